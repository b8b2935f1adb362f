"""Muxer: encodes PCM as MP3, Opus, AAC or FLAC with FFmpeg, and writes the bytes to a sink as they are ready."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from antiphon.audio import pcm
from antiphon.audio.libav import av
from antiphon.domain.request import Format


@dataclass(frozen=True, slots=True)
class _Codec:
    """How FFmpeg makes a format. The bit rates suit one voice: low, and without audible loss."""

    encoder: str
    container: str
    #: Bits a second; None for a lossless format.
    bit_rate: int | None
    options: Mapping[str, str] = field(default_factory=dict)


_CODECS: Mapping[Format, _Codec] = {
    # Without the ID3 tag, which would be empty, so that streams can be joined frame by frame.
    "mp3": _Codec("libmp3lame", "mp3", 64_000, {"id3v2_version": "0"}),
    # In microseconds. A player gets whole pages, so the default of a second would delay the first sound.
    "opus": _Codec("libopus", "ogg", 32_000, {"page_duration": "200000"}),
    "aac": _Codec("aac", "adts", 64_000),
    "flac": _Codec("flac", "flac", None),
}


class Muxer:
    """Writes one encoded file. If `sink` can seek, `finish` writes exact lengths into the header (MP3, FLAC).

    The same samples always give the same bytes, so that a digest identifies the audio.
    """

    def __init__(self, format: Format, rate: int, sink: io.RawIOBase | io.BufferedIOBase) -> None:
        codec = _CODECS[format]
        # Leaves out random stream numbers and version strings.
        options = {"fflags": "+bitexact", **codec.options}
        self._rate, self._at = rate, 0
        self._container = av.open(sink, "w", format=codec.container, container_options=options)
        stream = self._container.add_stream(codec.encoder, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        context = stream.codec_context
        context.flags |= av.codec.context.Flags.bitexact
        if codec.bit_rate is not None:
            context.bit_rate = codec.bit_rate
        self._container.start_encoding()

    def write(self, audio: bytes) -> None:
        """Encodes a whole number of samples, a second at a time, so that an hour of audio is not copied at once."""
        step = self._rate * pcm.WIDTH
        for start in range(0, len(audio), step):
            part = audio[start : start + step]
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(part) // pcm.WIDTH)
            frame.planes[0].update(part)
            frame.sample_rate = self._rate
            frame.time_base = Fraction(1, self._rate)
            frame.pts = self._at
            self._at += frame.samples
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        """Releases FFmpeg's memory now, not at a later garbage collection.

        Close the sink first, so that FFmpeg writes no trailer of an unfinished file.
        """
        self._container.close()
        del self._stream, self._container
