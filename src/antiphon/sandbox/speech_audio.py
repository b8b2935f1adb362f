"""Speech that is to be written down: brought to the rate that recognition wants, and cut where nobody speaks.

An answer of the child is the length of a JSON list (four bytes, big-endian), the list of (first sample, one after the
last) of each piece, and the samples: mono 16-bit PCM at 16 kHz.
"""

from __future__ import annotations

import json
import struct

from antiphon.audio import cut, decode, pcm, wav
from antiphon.domain import errors

RATE = 16_000
#: Bytes of an upload, and seconds of it.
MAX_BYTES, MAX_SECONDS = 200 * 1024 * 1024, 4 * 3600.0
MIN_SECONDS = 0.1
HEAD = struct.Struct(">I")


def read(data: bytes) -> bytes:
    """For the child. Raises `InvalidRequest`."""
    audio, rate = decode.decode(data, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES)
    del data
    audio = pcm.resample(audio, rate, RATE)
    if pcm.duration(len(audio), RATE) < MIN_SECONDS:
        raise errors.InvalidRequest(f"The audio is shorter than {MIN_SECONDS:g} seconds")
    bounds = json.dumps(cut.cuts(audio, RATE)).encode()
    return b"".join((HEAD.pack(len(bounds)), bounds, audio))


def rehearse() -> None:
    """Reads two seconds of a square wave at another rate."""
    wave = (b"\0\x20" * 100 + b"\0\xe0" * 100) * 441
    read(wav.header(44_100, len(wave)) + wave)
