"""Speech audio: decodes a recording for transcription, resamples it for recognition, and cuts it at pauses.

The child answers with the length of a JSON list (four bytes, big-endian), the list with the bounds of each piece (first
sample, one after the last), and the samples: mono 16-bit PCM at 16 kHz."""

from __future__ import annotations

import json
import struct

from antiphon.audio import cut, decode, pcm, wav
from antiphon.domain import errors

#: Hz.
RATE = 16_000
#: Bytes and seconds of an upload.
MAX_BYTES, MAX_SECONDS = 200 * 1024 * 1024, 4 * 3600.0
MIN_SECONDS = 0.1
HEAD = struct.Struct(">I")


def read(data: bytes) -> bytes:
    """Samples and bounds, in the form described above. For the child process. Raises `InvalidRequest`."""
    audio, rate = decode.decode(data, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES)
    del data
    audio = pcm.resample(audio, rate, RATE)
    if pcm.duration(len(audio), RATE) < MIN_SECONDS:
        raise errors.InvalidRequest(f"The audio is shorter than {MIN_SECONDS:g} seconds")
    bounds = json.dumps(cut.cuts(audio, RATE)).encode()
    return b"".join((HEAD.pack(len(bounds)), bounds, audio))


def warm_up() -> None:
    """Reads two seconds of a square wave at another rate."""
    wave = (b"\0\x20" * 100 + b"\0\xe0" * 100) * 441
    read(wav.header(44_100, len(wave)) + wave)
