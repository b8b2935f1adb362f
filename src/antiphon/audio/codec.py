"""Codec: encodes PCM into the audio formats of the API, as a stream, whole or into a file.

Audio longer than a few hundred milliseconds should be encoded in a thread, unless `Encoder.cheap` is true. AAC keeps
its encoder's padding (up to 80 ms), and so does streamed MP3: neither has a header that tells players of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from antiphon.audio import pcm, wav
from antiphon.audio.decode import decode
from antiphon.domain.request import FORMATS, Format, check_choice

__all__ = ["EXTENSIONS", "MEDIA_TYPES", "Encoder", "FileWriter", "decode", "encode", "output_rate"]

MEDIA_TYPES: Mapping[Format, str] = {
    "mp3": "audio/mpeg",
    # Opus in Ogg.
    "opus": "audio/ogg",
    # ADTS frames, no container.
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    # Samples without a header; the client has to know the rate.
    "pcm": "audio/pcm",
}
EXTENSIONS: Mapping[Format, str] = {format: f".{format}" for format in FORMATS}

#: Hz of PCM for a request that names no rate, as OpenAI has it.
PCM_RATE = 24_000
_MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: Hz that a format can have, in ascending order; a format that is not here can have any.
_RATES: Mapping[Format, tuple[int, ...]] = {
    "mp3": _MPEG_RATES,
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
    "aac": (*_MPEG_RATES, 64_000, 88_200, 96_000),
}


def output_rate(format: Format, rate_in: int, rate_out: int | None = None) -> int:
    """Hz of the encoded audio: `rate_out`, else 24 kHz for pcm, else the input's.

    If the format cannot have that rate, its next higher one, else its highest.
    """
    wanted = rate_out or (PCM_RATE if format == "pcm" else rate_in)
    allowed = _RATES.get(format, (wanted,))
    return next((rate for rate in allowed if rate >= wanted), allowed[-1])


def encode(audio: bytes, rate: int, format: Format, rate_out: int | None = None) -> bytes:
    """A whole file, with exact lengths in its header."""
    encoder = Encoder(format, rate, rate_out=rate_out, streaming=False)
    encoder.feed(audio)
    return encoder.finish()


class _Writer(Protocol):
    """Writes PCM in some format to a sink."""

    def write(self, audio: bytes) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _Bare:
    def __init__(self, sink: io.RawIOBase | io.BufferedIOBase) -> None:
        self._sink = sink

    def write(self, audio: bytes) -> None:
        self._sink.write(audio)

    def finish(self) -> None: ...

    def close(self) -> None: ...


def _writer(format: Format, rate: int, sink: io.RawIOBase | io.BufferedIOBase) -> _Writer:
    if format == "pcm":
        return _Bare(sink)
    if format == "wav":
        return wav.Writer(sink, rate)
    from antiphon.audio.muxer import Muxer

    return Muxer(format, rate, sink)


class _Pipe(io.RawIOBase):
    """Collects what is written until it is taken. Cannot seek, like a network connection."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # it only gets bytes, which need no copy
        self._parts.append(data)
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class _Track:
    """Base of `Encoder` and `FileWriter`: encodes PCM at `rate_in` into a sink.

    Any thread may use it, one at a time. Only `close` may be called while another thread works, as happens when a
    client disconnects: it does not wait, and the other thread releases everything when it is done.
    """

    def __init__(
        self, format: Format, rate_in: int, rate_out: int | None, sink: io.RawIOBase | io.BufferedIOBase
    ) -> None:
        self.media_type = MEDIA_TYPES[format]
        #: Hz of the encoded audio.
        self.rate = output_rate(format, rate_in, rate_out)
        self._rate_in, self._sink = rate_in, sink
        self._samples = 0
        self._lock = threading.Lock()
        self._closed = False
        self._resampler = pcm.Resampler(rate_in, self.rate) if rate_in != self.rate else None
        self._writer: _Writer | None = _writer(format, self.rate, sink)
        #: Whether feeding costs no more than a copy, so that no thread is needed.
        self.cheap = format in ("wav", "pcm") and self._resampler is None

    @property
    def seconds(self) -> float:
        """Seconds of audio fed so far."""
        return self._samples / self._rate_in

    def close(self) -> None:
        """Releases everything, finished or not. Never waits, never raises, and may be called again."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._lock.release()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[_Writer]:
        """One thread's turn. An error closes the track, since half a frame may be written; so does `close`."""
        try:
            with self._lock:
                if self._closed or self._writer is None:
                    raise ValueError("this encoder is closed")
                try:
                    yield self._writer
                except BaseException:
                    self._closed = True
                    raise
        finally:
            # After the lock is free: a `close` after this check gets the lock itself.
            if self._closed:
                self.close()

    def _put(self, writer: _Writer, audio: bytes) -> None:
        pcm.check_whole(audio)
        self._samples += len(audio) // pcm.WIDTH
        if self._resampler is not None:
            audio = self._resampler.feed(audio)
        if audio:
            writer.write(audio)

    def _end(self, writer: _Writer) -> None:
        self._closed = True
        if self._resampler is not None:
            writer.write(self._resampler.finish())
        writer.finish()

    def _release(self) -> None:
        # The sink first: FFmpeg then writes no trailer, which has no reader.
        with contextlib.suppress(OSError):
            self._sink.close()
        if self._writer is not None:
            self._writer.close()
        self._writer = self._resampler = None


class Encoder(_Track):
    """Encodes in memory.

    When streaming, `feed` returns what is ready, and headers have no length. Otherwise `finish` returns the whole file,
    with exact lengths.
    """

    def __init__(self, format: Format, rate_in: int, *, rate_out: int | None = None, streaming: bool) -> None:
        """Raises `InvalidRequest` for an unknown format."""
        check_choice("response_format", format, FORMATS)
        self._out = _Pipe() if streaming else io.BytesIO()
        super().__init__(format, rate_in, rate_out, self._out)

    def feed(self, audio: bytes) -> bytes:
        """Bytes that can be sent now, often none. Raises `UnitFailed` if the last sample is incomplete."""
        with self._turn() as writer:
            self._put(writer, audio)
            return self._out.take() if isinstance(self._out, _Pipe) else b""

    def finish(self) -> bytes:
        """The rest of the file. Closes the encoder."""
        with self._turn() as writer:
            self._end(writer)
            return self._out.take() if isinstance(self._out, _Pipe) else self._out.getvalue()


class FileWriter(_Track):
    """Encodes into a file as the audio arrives. A WAV file above 4 GiB has all samples, but no length in its header."""

    def __init__(self, path: str | Path, format: Format, rate_in: int, rate_out: int | None = None) -> None:
        """Overwrites `path`, which should be a temporary name. Raises `OSError`, or `InvalidRequest` for the format."""
        check_choice("response_format", format, FORMATS)
        self._file = open(path, "w+b")  # noqa: SIM115  # closed by `close`
        try:
            super().__init__(format, rate_in, rate_out, self._file)
        except BaseException:
            self._file.close()
            raise

    def feed(self, audio: bytes) -> None:
        """Raises `OSError`, or `UnitFailed` if the last sample is incomplete."""
        with self._turn() as writer:
            self._put(writer, audio)

    def finish(self) -> tuple[int, str, float]:
        """Writes exact lengths into the header, syncs the file to disk and closes it.

        Returns its bytes, its SHA-256 (hexadecimal) and its seconds.
        """
        with self._turn() as writer:
            self._end(writer)
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
            # Read the file again: its header, which comes first, was written last.
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        return size, digest, self.seconds
