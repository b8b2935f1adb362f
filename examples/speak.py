"""Speaks a sentence and saves it: python speak.py "Hello there." hello.wav"""

import sys

from antiphon import Client

text = sys.argv[1] if len(sys.argv) > 1 else "Hello there. This is Antiphon."
path = sys.argv[2] if len(sys.argv) > 2 else "hello.wav"

with Client() as client:  # ANTIPHON_SERVER, or http://127.0.0.1:7860
    audio = client.speak(text)
    audio.save(path)
    for warning in audio.warnings:  # What the model could not do of what was asked.
        print("note:", warning)
    print(f"{path}: {len(audio.data)} bytes of {audio.media_type}, cache {audio.cache}")
