"""Audio. Entry points: `pcm` (samples), `codec` (formats), `wav`, `tempo`, `cut` and `subtitles`.

A submodule is imported by name, since some load numpy or FFmpeg.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["codec", "cut", "decode", "pcm", "subtitles", "tempo", "wav"]
