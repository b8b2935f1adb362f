"""WAV: writes and reads files of mono 16-bit PCM, finished or streamed."""

from __future__ import annotations

import io
import struct

from antiphon.audio import pcm
from antiphon.domain import errors

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PCM = 1
#: The largest size in a header. Browsers and FFmpeg read it as "until the end of the file".
UNKNOWN = 0xFFFF_FFFF


def header(rate: int, nbytes: int | None = None) -> bytes:
    """The 44 bytes before the PCM. `nbytes` is the length of the PCM; None is a stream without a known end.

    Above 4 GiB the sizes are `UNKNOWN`; players then read to the end of the file.
    """
    riff = UNKNOWN if nbytes is None else min(_HEADER.size - _CHUNK.size + nbytes, UNKNOWN)
    data = UNKNOWN if nbytes is None else min(nbytes, UNKNOWN)
    bits = 8 * pcm.WIDTH
    return _HEADER.pack(
        b"RIFF", riff, b"WAVE", b"fmt ", _FORMAT.size, _PCM, 1, rate, rate * pcm.WIDTH, pcm.WIDTH, bits, b"data", data
    )


class Writer:
    """Writes a WAV file as it grows. If `sink` can seek, `finish` writes the exact sizes into the header."""

    def __init__(self, sink: io.RawIOBase | io.BufferedIOBase, rate: int) -> None:
        self._sink, self._rate, self._nbytes = sink, rate, 0
        sink.write(header(rate))

    def write(self, audio: bytes) -> None:
        self._sink.write(audio)
        self._nbytes += len(audio)

    def finish(self) -> None:
        if self._sink.seekable():
            self._sink.seek(0)
            self._sink.write(header(self._rate, self._nbytes))
            self._sink.seek(0, io.SEEK_END)

    def close(self) -> None:
        """Does nothing: the caller closes the sink."""


def read(data: bytes) -> tuple[bytes, int]:
    """PCM and rate (Hz) of a mono 16-bit WAV file, finished or streamed. Raises `InvalidRequest` for any other file.

    It is for files of our own; `codec.decode` reads those of clients.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise errors.InvalidRequest("This is no WAV file")
    rate = 0
    at = 12
    while at + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if name == b"fmt " and size >= _FORMAT.size and at + _FORMAT.size <= len(data):
            tag, channels, rate, _, _, bits = _FORMAT.unpack_from(data, at)
            if (tag, channels, bits) != (_PCM, 1, 8 * pcm.WIDTH):
                raise errors.InvalidRequest("This WAV file is not mono 16-bit PCM")
        elif name == b"data" and rate:
            end = min(at + size, len(data))
            return data[at : end - (end - at) % pcm.WIDTH], rate
        # Chunks are padded to even lengths.
        at += size + size % 2
    raise errors.InvalidRequest("This WAV file has no audio in it")
