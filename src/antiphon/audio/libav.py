"""PyAV, with FFmpeg's threads limited. Import it inside functions: it loads slowly, and WAV and PCM do not need it."""

from __future__ import annotations

import contextlib
import ctypes

import av
import av.error

__all__ = ["av"]

# FFmpeg starts a thread per core for every encoder, filter and decoder. With speech they idle, and a hundred listeners
# on a large machine would mean a thousand threads; callers use threads of their own. PyAV does not offer this setting.
# Without it everything still works, with the idle threads.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(av._core.__file__).av_cpu_force_count(1)
