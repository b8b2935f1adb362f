"""IndexTTS: what the batched runtime gains beside the package itself, stage by stage and as a whole."""
