"""Events over HTTP: server-sent events with replay, and the article's WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from antiphon.api import callers
from antiphon.api.client_limits import begin_stream
from antiphon.bus import Bus, Subscription
from antiphon.domain import client_values, errors
from antiphon.domain.event import FINAL_EVENTS, Event
from antiphon.jobs.events import EventJournal
from antiphon.jobs.service import JobService

log = structlog.get_logger("antiphon.socket")

#: Close codes of a WebSocket (RFC 6455, section 7.4.1): what the client asked for cannot be; the server failed.
POLICY, FAILED = 1008, 1011
#: Seconds of silence after which a comment keeps proxies from closing the stream.
KEEP_ALIVE = 15.0
#: Events whose encoded form is stored for the next listener.
ENCODED_EVENTS = 512

#: How the document describes a stream: each event by its fields.
STREAM: dict[str, Any] = {
    "description": "Server-sent events; `data` is JSON with id, type, at, job and what the event tells.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "object", "properties": {name: {"type": "string"} for name in ("id", "event", "data")}}
        }
    },
}


def routes(streams: EventStreams, jobs: JobService) -> APIRouter:
    router = APIRouter(tags=["events"])

    @router.get(
        "/v1/events",
        summary="What happens to your jobs and to the models, as SSE",
        responses={200: STREAM},
        response_class=StreamingResponse,
    )
    async def events(request: Request) -> Response:
        return streams.sse(request, owner=callers.owner(request))

    @router.websocket("/ws")
    async def ws(socket: WebSocket, id: str | None = None) -> None:
        owner = callers.owner(socket)
        await socket.accept()
        try:
            if id is not None:
                await socket.send_json(await jobs.get(id, owner))
            await _push(streams, socket, id, owner)
        except errors.AntiphonError as e:
            await _refuse(socket, e, POLICY)
        except WebSocketDisconnect:
            return
        except Exception:
            log.exception("a stream of events failed inside the server")
            await _refuse(socket, errors.AntiphonError(), FAILED)

    return router


async def _refuse(socket: WebSocket, error: errors.AntiphonError, code: int) -> None:
    """Says what is wrong before the connection ends, if the client still listens."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json({"type": "error", "error": error.public, "code": error.code, "param": error.param})
        await socket.close(code=code, reason=client_values.close_reason(error.public))


@dataclass(frozen=True, slots=True)
class EventStreams:
    """Past events from the journal, followed by live ones from the bus."""

    bus: Bus
    journal: EventJournal
    jobs: JobService

    def sse(self, request: Request, *, job: str | None = None, owner: str | None = None) -> Response:
        """Replays what follows `Last-Event-ID`; without it, a job's stream begins with its first event."""
        begin_stream(request)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = self.stream(job=job, owner=owner, after=first_id(request.headers.get("last-event-id"), job))
        return StreamingResponse(_sse(events), headers=headers, media_type="text/event-stream")

    async def stream(self, *, job: str | None, owner: str | None, after: int | None) -> AsyncGenerator[list[Event]]:
        """Past events after `after`, then live ones, each once and in order; ends with the job's last event.

        Events come in lists, as soon as they are there; an empty list says that `KEEP_ALIVE` seconds were silent."""
        subscription = self.bus.subscribe(job=job, owner=owner)
        seen = 0
        try:
            if after is not None:
                async with contextlib.aclosing(self._past(subscription, after)) as pages:
                    async for found in pages:
                        seen = found[-1].id
                        yield found
                if seen and await self._is_last(job, found[-1]):
                    return
            while True:
                try:
                    events = await subscription.batch(patience=KEEP_ALIVE)
                except StopAsyncIteration:
                    return
                new = [event for event in events if event.id > seen or event.type == "gap"]
                if new or not events:
                    yield new
                final = [event for event in new if event.type in FINAL_EVENTS]
                if final and await self._is_last(job, final[-1]):
                    return
        finally:
            subscription.close()

    async def _past(self, subscription: Subscription, after: int) -> AsyncGenerator[list[Event]]:
        """Past events in pages. What happens meanwhile waits in the subscription; what that cannot hold is past too."""
        again = True
        while again:
            began = after
            async with contextlib.aclosing(self.journal.past(after, subscription.job, subscription.owner)) as pages:
                async for page in pages:
                    after = page[-1].id
                    subscription.heard(after)
                    yield page
            again = subscription.has_gap and after > began

    async def _is_last(self, job: str | None, event: Event) -> bool:
        """Whether nothing follows. A job that ended may have been queued again since, and wait for its model."""
        if job is None or event.type not in FINAL_EVENTS or job in self.jobs.active:
            return False
        try:
            return (await self.jobs.stored(job)).state.final
        except errors.AntiphonError:
            return True


def first_id(text: str | None, job: str | None) -> int | None:
    """The id of the event after which a stream begins; None: with the next event. Raises `InvalidRequest`."""
    if not text:
        return None if job is None else 0
    return client_values.whole_number(text, "Last-Event-ID")


async def _sse(batches: AsyncGenerator[list[Event]]) -> AsyncIterator[bytes]:
    # Sent at once, so that the client sees the stream open before anything happens.
    yield b": listening\n\n"
    async with contextlib.aclosing(batches):
        async for events in batches:
            yield b"".join(map(_block, events)) if events else b": still here\n\n"


def _block(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), encoded(event))


#: Encoded events by id: each event is encoded once, however many clients listen.
_encoded: dict[int, bytes] = {}


def encoded(event: Event) -> bytes:
    if event.type == "gap":
        # Gaps are per listener and have no id of their own.
        return msgspec.json.encode(view(event))
    line = _encoded.get(event.id)
    if line is None:
        if len(_encoded) >= ENCODED_EVENTS:
            _encoded.clear()
        line = _encoded[event.id] = msgspec.json.encode(view(event))
    return line


def view(event: Event) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "at": event.at, "job": event.job, **event.data}


async def _push(streams: EventStreams, socket: WebSocket, job: str | None, owner: str) -> None:
    """Sends events until the job ends or the client disconnects; the client's own messages are ignored."""
    after = first_id(socket.query_params.get("last_event_id"), job)
    sending = asyncio.create_task(_send_all(streams, socket, job, owner, after), name="ws send")
    reading = asyncio.create_task(_until_closed(socket), name="ws read")
    try:
        await asyncio.wait((sending, reading), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()  # What ended it is told to the client by the caller.
            await socket.close()
    finally:
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)


async def _send_all(streams: EventStreams, socket: WebSocket, job: str | None, owner: str, after: int | None) -> None:
    async for events in streams.stream(job=job, owner=owner, after=after):
        for event in events:
            await socket.send_text(encoded(event).decode())


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
