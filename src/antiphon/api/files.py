"""Finished files over HTTP: entity tags from the content's digest, ranges, and nothing outside the output directory."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse

from antiphon.api import request_body
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.files.store import FileStore

#: Only names that the server makes: no separator, no dot but the one of the extension.
_NAME = re.compile(r"^[a-z]+_([0-9a-hjkmnp-tv-z]{26})(?:_[0-9]{1,2})?\.[a-z0-9]{2,4}$")
#: A request for more ranges than a player ever sends is answered with the whole.
MAX_RANGES = 16
#: `first-last`, `first-` or `-length` of RFC 9110, 14.1.2; no file has a size of more digits.
_SPEC = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")


async def file_response(antiphon: Antiphon, request: Request, name: str, *, download_as: str | None = None) -> Response:
    """A file of the output directory. Raises `NotFound` for every name that is not one of ours."""
    match = _NAME.match(name)
    if match is None:
        raise errors.NotFound("There is no such file")
    job = await antiphon.jobs.stored(match[1], request_body.whose(request))
    files, digest = antiphon.files, job.result.digest_of(name) if job.result is not None else None
    if job.result is None or digest is None:
        raise gone()
    # A page is sent nowhere else: its policy lets it load from here only.
    if files.signs and request.headers.get("sec-fetch-site") != "same-origin":
        return await _elsewhere(files, request, name, digest)
    path = await files.local(name, digest)
    if path is not None:
        return plain_file(request, path, digest, job.result.media_type, download_as=download_as)
    size = job.result.bytes_of(name)
    return await shared_file(files, request, name, digest, size, job.result.media_type, download_as=download_as)


def plain_file(
    request: Request, path: Path, digest: str, media_type: str, *, download_as: str | None = None
) -> Response:
    """A file whose name the server made, and whose bytes never change: its digest is the entity tag."""
    headers = _headers(digest)
    etag = headers["ETag"]
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        _read_ranges(request, etag, path.stat().st_size)
    except Unsatisfiable as e:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{e.size}"})
    if download_as:
        headers["Content-Disposition"] = f'attachment; filename="{download_as}"'
    return FileResponse(path, media_type=media_type, headers=headers)


async def shared_file(
    files: FileStore,
    request: Request,
    name: str,
    digest: str,
    size: int,
    media_type: str,
    *,
    download_as: str | None = None,
) -> Response:
    """A file that another server made, passed on as it comes from the storage. Raises `NotFound`, `StorageDown`."""
    headers = _headers(digest)
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    try:
        ranges = asked_ranges(request, headers["ETag"], size)
    except Unsatisfiable as e:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{e.size}"})
    # Of several ranges a server may send the whole (RFC 9110, 14.2); from a storage each would be a request more.
    first, behind = ranges[0] if ranges is not None and len(ranges) == 1 else (0, size)
    part = behind - first < size
    pieces = await files.open(name, digest, first, behind if part else None)
    if pieces is None:
        raise gone()
    headers |= {"Content-Length": str(behind - first), "Accept-Ranges": "bytes"}
    if part:
        headers["Content-Range"] = f"bytes {first}-{behind - 1}/{size}"
    if download_as:
        headers["Content-Disposition"] = f'attachment; filename="{download_as}"'
    if request.method == "HEAD":
        await pieces.aclose()
        return Response(status_code=200, headers=headers, media_type=media_type)
    return StreamingResponse(pieces, 206 if part else 200, headers, media_type)


async def _elsewhere(files: FileStore, request: Request, name: str, digest: str) -> Response:
    """Sends the client to the storage; what it has already it need not fetch there."""
    headers = _headers(digest)
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return RedirectResponse(await files.sign(name, digest), 307, {"Cache-Control": "private, no-store"})


def gone() -> errors.NotFound:
    return errors.NotFound(
        "There is no such file: it was removed because it was old, or to make room (--output-bytes); "
        "ask for it to be made again"
    )


def _headers(digest: str) -> dict[str, str]:
    return {
        "ETag": f'"{digest}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }


class Unsatisfiable(Exception):
    """No range of the request is in the file."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def asked_ranges(request: Request, etag: str, size: int) -> list[tuple[int, int]] | None:
    """What the request asks for of a file; None: the whole. Raises `Unsatisfiable`."""
    header = request.headers.get("range")
    # Only the strong tag: a date cannot tell two files of one second apart.
    if header is None or request.headers.get("if-range", etag).strip() != etag:
        return None
    ranges = parse_ranges(header, size)
    if ranges is not None and not ranges:
        raise Unsatisfiable(size)
    return ranges


def _read_ranges(request: Request, etag: str, size: int) -> None:
    """Leaves the request with a Range that can be served to the letter, or with none. Raises `Unsatisfiable`.

    Starlette answers 400 or 416 to some of what RFC 9110 wants ignored (14.2) or served in part (15.5.17).
    """
    ranges = asked_ranges(request, etag, size)
    kept = [(k, v) for k, v in request.scope["headers"] if k not in (b"range", b"if-range")]
    if ranges is not None:
        kept.append((b"range", ("bytes=" + ",".join(f"{a}-{b - 1}" for a, b in ranges)).encode()))
    request.scope["headers"] = kept


def parse_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """The (first, behind the last) bytes that a Range header asks for and that are there.

    None for a header that is to be ignored: of another unit, not well-formed, or of more than `MAX_RANGES`.
    """
    unit, _, listed = header.partition("=")
    specs = [spec for each in listed.split(",", MAX_RANGES + 64) if (spec := each.strip(" \t"))]
    if unit.strip().lower() != "bytes" or not 1 <= len(specs) <= MAX_RANGES:
        return None
    found: list[tuple[int, int]] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            return None
        if match[3] is not None:
            first, behind = max(0, size - int(match[3])), size
        else:
            first, behind = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if first < behind:
            found.append((first, behind))
    return found


def matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
