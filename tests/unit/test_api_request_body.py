"""Bodies that come slowly: together they hold so many bytes and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from antiphon.api import request_body
from antiphon.domain import errors

LIMIT = 1000


class Slow:
    """A client that sends a body in parts, each when it is told to."""

    def __init__(self) -> None:
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        request = Request({"type": "http", "headers": []}, self._receive)
        self.reading = asyncio.ensure_future(request_body.body(request, LIMIT))

    async def _receive(self) -> dict[str, Any]:
        part = await self.parts.get()
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(self, *parts: bytes | None) -> None:
        for part in parts:
            self.parts.put_nowait(part)
        while not (self.parts.empty() or self.reading.done()):
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_bodies_in_parts_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "unread", unread := request_body.UnreadBodies(500))
    first, second = Slow(), Slow()
    await first.send(b"a" * 200, b"b" * 100)
    await second.send(b"c" * 150)
    assert unread.bytes == 450
    await second.send(b"d" * 100)
    with pytest.raises(errors.Busy) as refused:
        await second.reading
    assert refused.value.retry_after is not None
    assert unread.bytes == 300
    await first.send(b"e" * 200, None)
    assert await first.reading == b"a" * 200 + b"b" * 100 + b"e" * 200
    assert unread.bytes == 0


async def test_a_body_that_comes_whole_is_always_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "unread", unread := request_body.UnreadBodies(100))
    whole, large = Slow(), Slow()
    await whole.send(b"a" * 300, None)
    assert await whole.reading == b"a" * 300
    await large.send(b"a" * (LIMIT + 1))
    with pytest.raises(request_body.TooLarge):
        await large.reading
    assert unread.bytes == 0
