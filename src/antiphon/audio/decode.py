"""Decoding: turns clients' audio files into PCM, within limits of bytes, seconds, channels, rates and formats.

FFmpeg's decoders are large and were not written for hostile input. Decode clients' files in a process with limits.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from antiphon.audio import pcm
from antiphon.domain import errors

if TYPE_CHECKING:
    import numpy as np
    from av import AudioCodecContext, AudioFrame
    from av.container import InputContainer
    from numpy.typing import NDArray

#: FFmpeg's names of the accepted containers. Playlists are not accepted: they refer to other files and hosts.
_CONTAINERS = "wav,mp3,aac,flac,ogg,mov,matroska"
_CODECS = (
    "aac,alac,flac,mp3,mp3float,opus,vorbis,"
    "pcm_u8,pcm_s16be,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw"
)
_ACCEPTED = "WAV, MP3, FLAC, Ogg, Opus, AAC, M4A or WebM"
MAX_CHANNELS = 8
RATES = range(4_000, 192_001)
#: Most damaged packets to skip in a file; players skip them too, where the end of a file is cut off.
MAX_DAMAGED = 8


def decode(data: bytes | Path, *, max_seconds: float = 600.0, max_bytes: int = 64 * 1024 * 1024) -> tuple[bytes, int]:
    """Mono PCM at the file's own rate, and that rate in Hz. `max_bytes` bounds the file, `max_seconds` the audio.

    Raises `InvalidRequest` that says what is wrong with the file, or `OSError` if it cannot be read.
    """
    from antiphon.audio.libav import av

    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    if size > max_bytes:
        raise errors.InvalidRequest(f"The audio file has {size} bytes; at most {max_bytes} are taken")
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        try:
            return _decode(file, max_seconds)
        except av.error.FFmpegError as e:
            raise errors.InvalidRequest(f"The audio file cannot be read; send {_ACCEPTED}") from e


def _decode(file: BinaryIO, max_seconds: float) -> tuple[bytes, int]:
    from antiphon.audio.libav import av

    parts: list[bytes] = []
    rate = 0
    left = 0.0
    options = {"format_whitelist": _CONTAINERS, "codec_whitelist": _CODECS}
    # Accept audio whose tags are in some other encoding.
    with av.open(file, "r", container_options=options, metadata_errors="replace", io_open=_refuse) as container:
        for frame in _frames(container):
            if not rate:
                rate = frame.sample_rate
                left = max_seconds * rate
            _check(frame, rate)
            left -= frame.samples
            if left < 0:
                raise errors.InvalidRequest(f"The audio is longer than {max_seconds:g} seconds")
            parts.append(_mono(frame))
    if not any(parts):
        raise errors.InvalidRequest("There is no audio in the file")
    return b"".join(parts), rate


def _refuse(*_: Any) -> NoReturn:
    raise errors.InvalidRequest("The audio file refers to other files")


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    from antiphon.audio.libav import av

    if not container.streams.audio:
        raise errors.InvalidRequest("There is no audio in the file")
    stream = container.streams.audio[0]
    # Despite its type, PyAV gives None if FFmpeg has no decoder, such as for a WAV file with an unknown format tag.
    known: AudioCodecContext | None = stream.codec_context
    if known is None or known.name not in _CODECS.split(","):
        kind = "an unknown kind" if known is None else f"kind {known.name}"
        raise errors.InvalidRequest(f"Audio of {kind} is not taken; send {_ACCEPTED}")
    damaged = 0
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except av.error.InvalidDataError:
            damaged += 1
            if damaged > MAX_DAMAGED:
                raise
            continue
        yield from frames


def _check(frame: AudioFrame, rate: int) -> None:
    if frame.sample_rate != rate:
        raise errors.InvalidRequest("The audio changes its sample rate on the way")
    if rate not in RATES:
        raise errors.InvalidRequest(f"The audio has {rate} Hz; {RATES[0]} to {RATES[-1]} are taken")
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise errors.InvalidRequest(f"The audio has {frame.layout.nb_channels} channels; at most {MAX_CHANNELS}")


def _mono(frame: AudioFrame) -> bytes:
    """The mean of all channels, as PCM."""
    import numpy as np

    raw = frame.to_ndarray()
    channels = raw if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels).T
    samples: NDArray[np.float32] = channels.astype(np.float32)
    if raw.dtype.kind == "u":
        samples = (samples - 128.0) / 128.0
    elif raw.dtype.kind == "i":
        samples = samples / float(2 ** (8 * raw.dtype.itemsize - 1))
    if not np.isfinite(samples).all():
        raise errors.InvalidRequest("The audio has samples that are not finite numbers")
    return pcm.from_float(samples.mean(axis=0))
