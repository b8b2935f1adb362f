"""Events to whoever listens: server-sent events with replay, and the article's WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from antiphon.api import request_body
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENTS, Event

#: Seconds of silence after which a comment keeps proxies from closing the stream.
KEEP_ALIVE = 15.0
#: Events whose written form is kept for the next listener.
REMEMBERED = 512


#: How the streams are documented: each event as its fields.
STREAM: dict[str, Any] = {
    "description": "Server-sent events; `data` is JSON with id, type, at, job and what the event tells.",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
            }
        }
    },
}


def view(event: Event) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "at": event.at, "job": event.job, **event.data}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(tags=["events"])

    @router.get(
        "/v1/events",
        summary="What happens to your jobs and to the models, as SSE",
        responses={200: STREAM},
        response_class=StreamingResponse,
    )
    async def events(request: Request) -> Response:
        return sse_response(antiphon, request, owner=request_body.owner(request))

    @router.websocket("/ws")
    async def ws(socket: WebSocket, id: str | None = None) -> None:
        owner = request_body.owner(socket)
        await socket.accept()
        try:
            if id is not None:
                await socket.send_json(await antiphon.jobs.get(id, owner))
            await _push(antiphon, socket, id, owner)
        except errors.AntiphonError as e:
            await socket.send_json({"type": "error", "error": e.message, "code": e.code})
            await socket.close(code=1008, reason=e.message[:100])
        except WebSocketDisconnect:
            return

    return router


async def _push(antiphon: Antiphon, socket: WebSocket, job: str | None, owner: str) -> None:
    """Sends events until the job ends or the client goes; what the client sends is read and ignored."""
    after = last_id(socket.query_params.get("last_event_id"))
    sending = asyncio.create_task(_send_all(antiphon, socket, job, owner, after), name="ws send")
    reading_ = asyncio.create_task(_until_closed(socket), name="ws read")
    try:
        await asyncio.wait((sending, reading_), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and sending.exception() is None:
            await socket.close()
    finally:
        for task in (sending, reading_):
            task.cancel()
        await asyncio.gather(sending, reading_, return_exceptions=True)


async def _send_all(antiphon: Antiphon, socket: WebSocket, job: str | None, owner: str, after: int | None) -> None:
    after = after if after is not None else (0 if job else None)
    async for events in stream(antiphon, job=job, owner=owner, after=after):
        for event in events:
            await socket.send_text(encoded(event).decode())


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def sse_response(antiphon: Antiphon, request: Request, *, job: str | None = None, owner: str | None = None) -> Response:
    """Replays what follows `Last-Event-ID`; without it a job's story from its beginning, else from now on."""
    after = last_id(request.headers.get("last-event-id"))
    if after is None and job is not None:
        after = 0
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = stream(antiphon, job=job, owner=owner, after=after)
    return StreamingResponse(_sse(events), headers=headers, media_type="text/event-stream")


def last_id(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not text.isdigit() or len(text) > 18:
        raise errors.InvalidRequest("Last-Event-ID must be the id of an event", param="Last-Event-ID")
    return int(text)


async def _sse(batches: AsyncGenerator[list[Event]]) -> AsyncIterator[bytes]:
    # Said at once, so that the client sees the stream open before anything happens.
    yield b": listening\n\n"
    async with contextlib.aclosing(batches):
        async for events in batches:
            yield b"".join(map(_block, events)) if events else b": still here\n\n"


def _block(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), encoded(event))


#: What events look like on the wire: hundreds may listen, and each event is written once.
_written: dict[int, bytes] = {}


def encoded(event: Event) -> bytes:
    if event.type == "gap":
        # Everybody has gaps of his own.
        return msgspec.json.encode(view(event))
    line = _written.get(event.id)
    if line is None:
        if len(_written) >= REMEMBERED:
            _written.clear()
        line = _written[event.id] = msgspec.json.encode(view(event))
    return line


async def stream(
    antiphon: Antiphon, *, job: str | None, owner: str | None, after: int | None
) -> AsyncGenerator[list[Event]]:
    """Past events after `after`, then live ones, each once and in order; ends with the job's last event.

    They come as they are there, several at a time; none at all after `KEEP_ALIVE` seconds of silence."""
    subscription = antiphon.bus.subscribe(job=job, owner=owner)
    seen = 0
    try:
        if after is not None:
            found = await antiphon.journal.past(after, job, owner)
            seen = found[-1].id if found else 0
            if found:
                yield found
            if found and await _is_last(antiphon, job, found[-1]):
                return
        while True:
            try:
                events = await subscription.batch(patience=KEEP_ALIVE)
            except StopAsyncIteration:
                return
            fresh = [event for event in events if event.id > seen or event.type == "gap"]
            if fresh or not events:
                yield fresh
            ends = [event for event in fresh if event.type in FINAL_EVENTS]
            if ends and await _is_last(antiphon, job, ends[-1]):
                return
    finally:
        subscription.close()


async def _is_last(antiphon: Antiphon, job: str | None, event: Event) -> bool:
    """Whether nothing follows: a job that ended may have been asked for anew since, and wait for its model."""
    if job is None or event.type not in FINAL_EVENTS or job in antiphon.jobs.active:
        return False
    try:
        return (await antiphon.jobs.stored(job)).state.final
    except errors.AntiphonError:
        return True
