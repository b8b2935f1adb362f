"""Pocket TTS: speaks in the voice of a recording, on a CPU. Entry point: `engine.PocketTTS`.

A worker process runs this engine with one compute thread: what is drawn at random comes from the process's own
generator, which is seeded for each unit.
"""
