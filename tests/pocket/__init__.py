"""Pocket TTS for real: the package's own inference on small random models. `make test-indextts` runs these."""
