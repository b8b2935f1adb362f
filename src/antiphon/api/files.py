"""Finished files over HTTP: entity tags from the content's digest, ranges, and nothing outside the output directory."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from antiphon.audio import codec
from antiphon.domain import errors
from antiphon.service.app import Antiphon

#: Only names that the server makes: no separator, no dot but the one of the extension.
_NAME = re.compile(r"^speech_([0-9a-hjkmnp-tv-z]{26})(\.[a-z0-9]{2,4})$")
#: A request for more ranges than a player ever sends is answered with the whole.
MAX_RANGES = 16
_TYPES = {extension: codec.MEDIA_TYPES[fmt] for fmt, extension in codec.EXTENSIONS.items()}


async def file_response(antiphon: Antiphon, request: Request, name: str, *, download_as: str | None = None) -> Response:
    """A file of the output directory. Raises `NotFound` for every name that is not one of ours."""
    match = _NAME.match(name)
    if match is None or match[2] not in _TYPES:
        raise errors.NotFound("There is no such file")
    job = await antiphon.jobs.stored(match[1])
    path = antiphon.settings.output_path / name
    if job.result is None or job.result.name != name or not is_plain(path):
        raise errors.NotFound("There is no such file, or it was removed because it was old")
    return plain_file(request, path, job.result.digest, _TYPES[match[2]], download_as=download_as)


def plain_file(
    request: Request, path: Path, digest: str, media_type: str, *, download_as: str | None = None
) -> Response:
    """A file whose name the server made, and whose bytes never change: its digest is the entity tag."""
    etag = f'"{digest}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if request.headers.get("range", "").count(",") >= MAX_RANGES:
        request.scope["headers"] = [(k, v) for k, v in request.scope["headers"] if k != b"range"]
    if download_as:
        headers["Content-Disposition"] = f'attachment; filename="{download_as}"'
    return FileResponse(path, media_type=media_type, headers=headers)


def is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
