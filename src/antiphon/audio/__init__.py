"""Audio. Entry points: `pcm` (samples), `codec` (formats), `wav`, `tempo`, `cut` and `subtitles`.

A submodule is imported by name, since some load numpy or FFmpeg.
"""
