"""What the two IndexTTS engines share; loaded in worker processes only."""
