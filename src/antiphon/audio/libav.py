"""PyAV as this program wants it. Import it inside functions: it is slow to load, and plain formats need none of it."""

from __future__ import annotations

import contextlib
import ctypes

import av
import av.error

__all__ = ["av"]

# FFmpeg starts a thread per core for every encoder, filter and decoder, and for speech they only idle: a hundred
# listeners on a big machine would mean a thousand threads. Concurrency is the caller's. PyAV has no name for this
# setting; where it cannot be reached, everything still works, with the idle threads.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(av._core.__file__).av_cpu_force_count(1)
