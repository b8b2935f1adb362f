"""Image codec: converts the PNG files of engines to JPEG or WebP."""

from __future__ import annotations

import io
import struct
from typing import cast

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from antiphon.domain import errors
from antiphon.domain.image import Format

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Container, codec, pixel format and options of the encoders, by FFmpeg's names. 2 is the best quality of JPEG that
#: still compresses.
_ENCODERS = {
    "jpeg": ("mjpeg", "mjpeg", "yuvj444p", {"qmin": "2", "qmax": "2"}),
    "webp": ("webp", "libwebp", "bgra", {"quality": "90"}),
}


def size(png: bytes) -> tuple[int, int]:
    """(width, height) in pixels. Raises `UnitFailed` if it is not a PNG file (ISO 15948, 5.2 and 11.2.2)."""
    if png[:8] != _SIGNATURE or png[12:16] != b"IHDR" or len(png) < 33:
        raise errors.UnitFailed("The engine's result is no PNG file")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def convert(png: bytes, fmt: Format) -> bytes:
    """The image in another format. Blocking. Raises `UnitFailed` if the PNG file is damaged."""
    if fmt == "png":
        return png
    try:
        with av.open(io.BytesIO(png), "r", format="png_pipe") as file:
            frame = next(file.decode(video=0))
    except (av.FFmpegError, StopIteration) as e:
        raise errors.UnitFailed("The engine's result is a damaged PNG file") from e
    return _encode(frame, fmt)


def _encode(frame: VideoFrame, fmt: Format) -> bytes:
    container, codec, pixels, options = _ENCODERS[fmt]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = cast("VideoStream", file.add_stream(codec, rate=1, options=options))
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
        file.mux(stream.encode(frame.reformat(format=pixels)))
        file.mux(stream.encode())
    return out.getvalue()
