"""IndexTTS for real: the packages' own inference on small random checkpoints. `make test-indextts` runs these."""
