"""MP3, Opus, AAC and FLAC through FFmpeg: PCM in, encoded bytes into a sink as soon as they are ready."""

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
    """How a format is made. Bit rates are for one voice: transparent for speech, and small."""

    encoder: str
    container: str
    #: Bits a second; None: lossless.
    bit_rate: int | None
    options: Mapping[str, str] = field(default_factory=dict)


_CODECS: Mapping[Format, _Codec] = {
    # Without the ID3 tag, which is empty but for its header: streams of bare frames can be joined.
    "mp3": _Codec("libmp3lame", "mp3", 64_000, {"id3v2_version": "0"}),
    # A page (in microseconds) is the least that a player gets at once; a second, the default, would be heard as lag.
    "opus": _Codec("libopus", "ogg", 32_000, {"page_duration": "200000"}),
    "aac": _Codec("aac", "adts", 64_000),
    "flac": _Codec("flac", "flac", None),
}


class Muxer:
    """One encoded file. Where `sink` can seek, `finish` puts true lengths into the header (MP3, FLAC).

    The same samples give the same bytes every time, so that a digest names the audio.
    """

    def __init__(self, format: Format, rate: int, sink: io.RawIOBase | io.BufferedIOBase) -> None:
        codec = _CODECS[format]
        # Leaves out random stream numbers and version strings.
        options = {"fflags": "+bitexact", **codec.options}
        self._rate = rate
        self._at = 0
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
        """Encodes a whole number of samples, a second at a time, so that an hour does not need its memory twice."""
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
        """Gives FFmpeg's memory back now instead of at some later garbage collection. Close the sink first: the
        trailer of an unfinished file is then not written."""
        self._container.close()
        del self._stream, self._container
