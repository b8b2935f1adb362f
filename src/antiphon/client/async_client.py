"""Async client: `AsyncClient`, with the same methods as `Client`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from antiphon.client import endpoints, errors, retrying, transport
from antiphon.client.endpoints import JobOptions, SpeechOptions, SubtitleKind
from antiphon.client.event_stream import EventStream
from antiphon.client.retrying import RoomWait
from antiphon.client.types import Audio, Event, Job, Model, UploadedVoice, Voice

T = TypeVar("T")
Send = Callable[[retrying.Call[Any]], Awaitable[retrying.Answer | retrying.Lost]]


class AsyncStream:
    """Audio that the server still makes: iterates over its bytes. `head` has the metadata, without data."""

    def __init__(self, head: Audio, response: httpx.Response) -> None:
        self.head = head
        self._parts = response.aiter_raw()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._parts)
        except httpx.TransportError as e:
            raise errors.Unreachable(f"the audio broke off: {e}") from e


class AsyncClient:
    """Talks to a server: `async with AsyncClient() as client: audio = await client.speak("Hello.")`."""

    def __init__(
        self, base_url: str | None = None, *,
        api_key: str | None = None, timeout: float = 60.0, retries: int = 4, patience: float = 30.0,
        room_patience: float = 86_400.0, on_wait: Callable[[RoomWait], None] = retrying.tell,
    ) -> None:  # fmt: skip
        """`base_url`: by default `ANTIPHON_SERVER`, else the server on this machine. `timeout`: seconds without data.
        `retries`: number of retries of a call. `patience`: longest `Retry-After` (seconds) to wait for; a longer one
        raises the error of its response. `room_patience`: seconds that `submit` waits in all until the server has room
        in line for its job; `on_wait` is told how long and why, and by default logs it. With no retries it does not
        wait."""
        policy = retrying.Retries(retries, patience, room_patience, on_wait)
        self._options = transport.Options.of(base_url, api_key, timeout, policy)
        self._http = httpx.AsyncClient(**self._options.httpx())

    # Speech

    async def speak(self, text: str, **options: Unpack[SpeechOptions]) -> Audio:
        """Speaks a text and waits for all of its audio.

        Retries when the server refuses for now (429, 503). Retries a broken connection only with an
        `idempotency_key`, which makes the speech a durable job on the server."""
        return await self._call(endpoints.speak(text, options))

    @contextlib.asynccontextmanager
    async def stream(self, text: str, **options: Unpack[SpeechOptions]) -> AsyncIterator[AsyncStream]:
        """The audio while the server makes it. Leaving the `with` block early cancels the work on the server."""
        async with self._open(endpoints.speak(text, options), self._options.retries) as (head, response):
            yield AsyncStream(head, response)

    # Jobs

    async def submit(self, text: str, **options: Unpack[JobOptions]) -> Job:
        """Queues a durable job. It gets a random idempotency key, so that a retry creates no second job.

        While the server has no room for it in line, waits for as long as `room_patience` allows."""
        return await self._call(endpoints.submit(text, options, repeated=self._options.retries.times > 0))

    async def job(self, id: str | Job) -> Job:
        return await self._call(endpoints.job(id))

    async def jobs(self, *, status: str | None = None, limit: int = 50, after: str | None = None) -> list[Job]:
        """The caller's jobs, newest first. `after`: the id of the last job of the previous page."""
        return await self._call(endpoints.jobs(status, limit, after))

    async def wait(self, id: str | Job, timeout: float | None = None) -> Job:
        """Waits until the job succeeds, also across a restart of the server. Raises `JobFailed`, `WaitTimeout`."""
        return await self._run(retrying.wait(endpoints.job(id), timeout), self._send)

    async def events(self, id: str | Job, after: int | None = None) -> AsyncIterator[Event]:
        """Events of a job until its end, each once, also across broken connections and restarts of the server.

        `after`: the id of the last event that was seen; by default all events."""
        stream = EventStream(endpoints.events_path(id), after)
        while not stream.over:
            broken: Exception | None = None
            try:
                async with self._open(stream.call(), retrying.ONCE) as (_, response):
                    async for line in response.aiter_lines():
                        if (event := stream.read(line)) is not None:
                            yield event
            except (httpx.TransportError, errors.ApiError, errors.Unreachable) as e:
                broken = e
            if not stream.over:
                await asyncio.sleep(stream.interrupted(broken))

    async def result(self, id: str | Job) -> Audio:
        """The audio of a job. Raises `Conflict` unless it has succeeded."""
        return await self._call(endpoints.result(id))

    async def subtitles(self, id: str | Job, kind: SubtitleKind = "srt") -> str:
        return await self._call(endpoints.subtitles(id, kind))

    async def cancel(self, id: str | Job) -> Job:
        return await self._call(endpoints.cancel(id))

    async def retry(self, id: str | Job) -> Job:
        """Queues a failed or cancelled job again; its finished segments are reused."""
        return await self._call(endpoints.retry(id))

    # Voices, models, health

    async def voices(self) -> list[Voice]:
        return await self._call(endpoints.voices())

    async def add_voice(
        self, name: str, recording: str | os.PathLike[str] | bytes, *, consent: str, ref_text: str | None = None
    ) -> UploadedVoice:
        """Uploads a recording (a path or bytes) to clone. `consent`: the speaker's statement."""
        return await self._call(endpoints.add_voice(name, recording, consent, ref_text))

    async def remove_voice(self, name: str) -> UploadedVoice:
        return await self._call(endpoints.remove_voice(name))

    async def models(self) -> list[Model]:
        return await self._call(endpoints.models())

    async def health(self) -> dict[str, Any]:
        """The response of `/health`; docs/architecture.md explains the states."""
        return await self._call(endpoints.health())

    # Connection

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _call(self, call: retrying.Call[T]) -> T:
        return await self._run(retrying.perform(call, self._options.retries), self._send)

    async def _run(self, steps: retrying.Steps[T], send: Send) -> T:
        outcome: retrying.Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # what a Steps[T] returns is a T
            if isinstance(step, retrying.Pause):
                outcome = None
                await asyncio.sleep(step.seconds)
            else:
                outcome = await send(step)

    async def _send(
        self, call: retrying.Call[Any], opened: list[httpx.Response] | None = None
    ) -> retrying.Answer | retrying.Lost:
        """With `opened`, adds the response to it, with its body unread unless it is an error."""
        try:
            request = self._http.build_request(**transport.arguments(call))
            response = await self._http.send(request, stream=opened is not None)
            if opened is None:
                return transport.answer(response, response.content)
            opened.append(response)
            return transport.answer(response, await response.aread() if response.is_error else b"")
        except httpx.TransportError as e:
            return transport.lost(e, self._options.base_url)

    @contextlib.asynccontextmanager
    async def _open(self, call: retrying.Call[T], retries: retrying.Retries) -> AsyncIterator[tuple[T, httpx.Response]]:
        """The parsed head of a response, and the response with its body unread."""
        opened: list[httpx.Response] = []
        try:
            yield await self._run(retrying.perform(call, retries), partial(self._send, opened=opened)), opened[-1]
        finally:
            for response in opened:
                await response.aclose()
