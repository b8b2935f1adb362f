"""Transcription: a recording becomes a plan, its pieces become text."""
