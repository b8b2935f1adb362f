"""Fetch: one file over HTTP into its `.part`; resumed, checked against the server's headers, ended on a stall."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from antiphon.catalog.files import in_thread
from antiphon.catalog.progress import Meter
from antiphon.catalog.sources import FileSpec, SourceFailed, Unreachable, refusal

#: Bytes gathered before a thread writes them.
WRITE_BLOCK = 1024 * 1024
#: Tries with one address while each broken connection brought at least some bytes.
TRIES = 4
#: Bytes per second below which a source counts as stalled.
MIN_RATE = 1024

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one source has for its connection, and for its next bytes."""

    connect: float = 5.0
    stall: float = 30.0

    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.stall, connect=self.connect)


class _Broken(SourceFailed):
    """The connection broke during the transfer; the bytes so far are kept."""


class _StartOver(Exception):
    """The server does not resume at the asked offset."""


class Fetch:
    """The transfer of one file from one address."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, file: FileSpec, part: Path, patience: Patience, meter: Meter
    ) -> None:
        self._client, self._url, self._file = client, url, file
        self._part, self._patience, self._meter = part, patience, meter
        #: Whether earlier bytes are part of the result: a wrong hash may then be another source's fault.
        self.kept = False

    async def run(self) -> None:
        """Fills the part to its full size; the caller checks the hash.

        Raises `Unreachable` or `SourceFailed`; the part then holds what came so far.
        """
        first = self._size()
        self.kept = first > 0
        for attempt in range(TRIES):
            before = self._size()
            try:
                await self._once(before)
                return
            except _StartOver:
                forget(self._part)
            except _Broken:
                if attempt == TRIES - 1 or self._size() <= before:
                    raise
                await asyncio.sleep(0.1 * 2**attempt)
        raise SourceFailed("the server sends no part of the file that fits what is here")

    async def _once(self, offset: int) -> None:
        self._meter.at(offset)
        if offset == self._file.size:
            return
        try:
            async with self._client.stream("GET", self._url, headers=self._headers(offset)) as response:
                await self._receive(response, self._check(response, offset))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as e:
            raise Unreachable(f"no connection ({_short(e)})") from e
        except httpx.TimeoutException as e:
            raise SourceFailed(f"nothing came for {self._patience.stall:g} s") from e
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise _Broken(f"the connection broke ({_short(e)})") from e

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            note = _read_note(self._part)
            # An entity tag identifies the same bytes only at the same address.
            if note.get("url") == self._url and note.get("etag"):
                headers["If-Range"] = note["etag"]
        return headers

    def _check(self, response: httpx.Response, offset: int) -> int:
        """The offset at which the body starts. Raises `SourceFailed` when the server has another file, or none."""
        status, size = response.status_code, self._file.size
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            raise _StartOver
        if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise SourceFailed(refusal(status, response.reason_phrase))
        for hop in (*response.history, response):
            self._check_identity(hop)
        if status == httpx.codes.OK:
            length = response.headers.get("content-length", str(size))
            if length != str(size):
                raise SourceFailed(f"has another file ({length} bytes instead of {size})")
            return 0
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != offset:
            raise _StartOver
        if found[2] not in ("*", str(size)):
            raise SourceFailed(f"has another file ({found[2]} bytes instead of {size})")
        return offset

    def _check_identity(self, hop: httpx.Response) -> None:
        """Raises `SourceFailed` for another file before its bytes come: hubs send the SHA-256 as a header."""
        tag = hop.headers.get("x-linked-etag", "").strip('W/"').lower()
        if _SHA256.fullmatch(tag) and tag != self._file.sha256:
            raise SourceFailed(f"has another file (SHA-256 {tag[:12]}… instead of {self._file.sha256[:12]}…)")

    async def _receive(self, response: httpx.Response, offset: int) -> None:
        """Appends the body. However this ends, all bytes that arrived are in the part."""
        size, buffer, watch = offset, bytearray(), _Watch(self._patience.stall)
        self.kept = self.kept and offset > 0
        with self._part.open("r+b" if offset else "wb") as out:
            _write_note(self._part, self._url, response)
            out.seek(offset)
            out.truncate()
            self._meter.at(offset)
            try:
                async for piece in response.aiter_raw():
                    size += len(piece)
                    if size > self._file.size:
                        raise SourceFailed(f"sent more than the {self._file.size} bytes of the file")
                    buffer += piece
                    self._meter.fresh(len(piece))
                    watch.saw(len(piece))
                    if len(buffer) >= WRITE_BLOCK:
                        block, buffer = bytes(buffer), bytearray()
                        await in_thread(out.write, block)
            finally:
                out.write(buffer)
        if size < self._file.size:
            raise _Broken(f"ended after {size} of {self._file.size} bytes")

    def _size(self) -> int:
        """The bytes of the part; a part that is too long is removed."""
        try:
            size = self._part.stat().st_size
        except FileNotFoundError:
            return 0
        if size > self._file.size:
            forget(self._part)
            return 0
        return size


class _Watch:
    """Raises `SourceFailed` for a body that comes too slowly."""

    def __init__(self, window: float) -> None:
        self._window, self._since, self._bytes = window, time.monotonic(), 0

    def saw(self, count: int) -> None:
        self._bytes += count
        elapsed = time.monotonic() - self._since
        if elapsed < self._window:
            return
        if self._bytes < MIN_RATE * elapsed:
            raise SourceFailed(f"only {self._bytes} bytes came in {elapsed:.1f} s")
        self._since, self._bytes = time.monotonic(), 0


def forget(part: Path) -> None:
    """Removes the part and its note."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _write_note(part: Path, url: str, response: httpx.Response) -> None:
    """Notes the address of the part's bytes, and its entity tag unless that is weak and allows other bytes."""
    etag = response.headers.get("etag", "")
    note = {"url": url, "etag": "" if etag.startswith("W/") else etag}
    _note_path(part).write_text(json.dumps(note), "utf-8")


def _read_note(part: Path) -> dict[str, str]:
    try:
        note = json.loads(_note_path(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
