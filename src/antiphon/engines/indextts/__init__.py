"""IndexTTS-2.5 and IndexTTS2. Entry points: `indextts25.IndexTTS25` and `indextts2.IndexTTS2`; they share `base`.

A worker process runs these engines, each with one compute thread: the packages keep what they work on in the model
itself, so two threads would get each other's sound.
"""
