"""Finished files over HTTP: entity tags from the content's digest, ranges, and no path outside the output directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse

from antiphon.api import callers
from antiphon.api.client_limits import begin_stream
from antiphon.domain import errors
from antiphon.files.store import FileStore
from antiphon.jobs.service import JobService

#: Only names that the server makes: no separator, and only the dot of the extension.
_NAME = re.compile(r"[a-z]+_([0-9a-hjkmnp-tv-z]{26})(?:_[0-9]{1,2})?\.[a-z0-9]{2,4}")
#: A request for more ranges, which no player sends, is answered with the whole file.
MAX_RANGES = 16
#: `first-last`, `first-` or `-length` of RFC 9110, 14.1.2; no file has a size of more digits.
_SPEC = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class FinishedFiles:
    """The files of the jobs that have ended, by name."""

    jobs: JobService
    store: FileStore

    async def respond(self, request: Request, name: str) -> Response:
        """A file of the output directory. Raises `NotFound` for any name that the server did not create."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise errors.NotFound("There is no such file")
        job = await self.jobs.stored(match[1], callers.visible_owner(request))
        digest = job.result.digest_of(name) if job.result is not None else None
        if job.result is None or digest is None:
            raise removed()
        # The page's content policy lets it load from this origin only, so it is not redirected.
        if self.store.signs and request.headers.get("sec-fetch-site") != "same-origin":
            return await self._redirect(request, name, digest)
        begin_stream(request)
        path = await self.store.local(name, digest)
        if path is not None:
            return plain_file(request, path, digest, job.result.media_type)
        return await self._shared(request, name, digest, job.result.bytes_of(name), job.result.media_type)

    async def _shared(self, request: Request, name: str, digest: str, size: int, media_type: str) -> Response:
        """A file of another server, passed on while it comes from the storage.

        Raises `NotFound`, `StorageDown`."""
        headers = _headers(digest)
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        try:
            ranges = requested_ranges(request, headers["ETag"], size)
        except Unsatisfiable as e:
            return _unsatisfiable(headers, e)
        # For several ranges a server may send the whole file (RFC 9110, 14.2); each would be a request to the storage.
        first, end = ranges[0] if ranges is not None and len(ranges) == 1 else (0, size)
        part = end - first < size
        pieces = await self.store.open(name, digest, first, end if part else None)
        if pieces is None:
            raise removed()
        headers |= {"Content-Length": str(end - first), "Accept-Ranges": "bytes"}
        if part:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        if request.method == "HEAD":
            await pieces.aclose()
            return Response(status_code=200, headers=headers, media_type=media_type)
        return StreamingResponse(pieces, 206 if part else 200, headers, media_type)

    async def _redirect(self, request: Request, name: str, digest: str) -> Response:
        """Sends the client to the storage, unless the client has the file already."""
        headers = _headers(digest)
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return RedirectResponse(await self.store.sign(name, digest), 307, {"Cache-Control": "private, no-store"})


def plain_file(request: Request, path: Path, digest: str, media_type: str) -> Response:
    """A file whose bytes never change: its digest is the entity tag."""
    headers = _headers(digest)
    etag = headers["ETag"]
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        _rewrite_ranges(request, etag, path.stat().st_size)
    except Unsatisfiable as e:
        return _unsatisfiable(headers, e)
    return FileResponse(path, media_type=media_type, headers=headers)


def _unsatisfiable(headers: dict[str, str], error: Unsatisfiable) -> Response:
    return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{error.size}"})


def removed() -> errors.NotFound:
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
    """The file has no byte of the ranges that the request names."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def requested_ranges(request: Request, etag: str, size: int) -> list[tuple[int, int]] | None:
    """The ranges of a file that the request asks for; None: the whole file. Raises `Unsatisfiable`."""
    header = request.headers.get("range")
    # A date in If-Range is ignored: it cannot tell two files of the same second apart.
    if header is None or request.headers.get("if-range", etag).strip() != etag:
        return None
    ranges = parse_ranges(header, size)
    if ranges is not None and not ranges:
        raise Unsatisfiable(size)
    return ranges


def _rewrite_ranges(request: Request, etag: str, size: int) -> None:
    """Rewrites the request's Range header for Starlette, or removes it. Raises `Unsatisfiable`.

    Starlette answers 400 or 416 to headers that RFC 9110 wants ignored (14.2) or served in part (15.5.17).
    """
    ranges = requested_ranges(request, etag, size)
    headers = [(k, v) for k, v in request.scope["headers"] if k not in (b"range", b"if-range")]
    if ranges is not None:
        headers.append((b"range", ("bytes=" + ",".join(f"{a}-{b - 1}" for a, b in ranges)).encode()))
    request.scope["headers"] = headers


def parse_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """The ranges of a Range header that are in the file, as (first, end) with `end` exclusive.

    None for a header that is ignored: another unit, not well-formed, or more than `MAX_RANGES`.
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
            first, end = max(0, size - int(match[3])), size
        else:
            first, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if first < end:
            found.append((first, end))
    return found


def matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
