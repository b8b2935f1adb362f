"""Cluster: servers that share a store. What happens to a job on one of them is heard, asked and cancelled on all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from antiphon.bus import Bus
from antiphon.concurrency.tasks import TaskSet, log_and_wait, retry_until
from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.jobs import views
from antiphon.jobs.queue_control import QueueControl
from antiphon.jobs.recovery import Recovery
from antiphon.jobs.service import JobService
from antiphon.references.service import References
from antiphon.store.cluster import ClusterChannel

log = structlog.get_logger("antiphon.cluster")

#: Seconds for which another server is sent progress after a client there asked for it, and between two looks at what
#: clients here ask for.
WATCHED, LOOK = 30.0, 0.5
#: Seconds that another server gets to answer.
ANSWER = 1.0


class Cluster:
    """Used in one event loop; everything that must not be missed is in the store and only announced here."""

    def __init__(
        self,
        channel: ClusterChannel,
        bus: Bus,
        jobs: JobService,
        references: References,
        recovery: Recovery,
        queue: QueueControl,
    ) -> None:
        self._channel, self._bus, self._jobs = channel, bus, jobs
        self._references, self._recovery, self._queue = references, recovery, queue
        #: Jobs of this server that a client of another server watches, until when (monotonic).
        self._watched: dict[str, float] = {}
        self._requested: dict[str, float] = {}
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._ranges: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue()
        #: Newest event id heard of from each server.
        self._newest: dict[int, int] = {}
        self._gone = asyncio.Event()
        self._tasks = TaskSet("antiphon.cluster")
        #: This server's place among the living servers of the store, from 0, and their number.
        self._rank = 0, 1

    async def start(self) -> None:
        self._bus.listen(self._on_event_here)
        self._channel.listen(self._on_message, self._on_reconnect)
        self._tasks.spawn(self._relay(), "relay events")
        self._tasks.spawn(self._watch(), "watch elsewhere")
        self._tasks.spawn(self._take_over(), "take over")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def servers(self) -> tuple[int, int]:
        """Which of the living servers of the store this is, from 0, and how many they are."""
        with contextlib.suppress(errors.StoreError):
            slots = sorted(slot for _, slot, left in await self._channel.servers() if left > 0)
            if self._channel.slot in slots:
                self._rank = slots.index(self._channel.slot), len(slots)
        return self._rank

    async def ask(self, job: str) -> dict[str, Any] | None:
        """How a job looks to the server that works on it; None if no server answers in time."""
        number = f"{self._channel.server}/{next(self._numbers)}"
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self._channel.send({"kind": "ask", "job": job, "number": number})
            async with asyncio.timeout(ANSWER):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._answers[number]

    # What other servers say

    def _on_message(self, message: Mapping[str, Any]) -> None:
        """A server of another version may send anything: a message that is not understood is ignored."""
        try:
            getattr(self, f"_on_{message.get('kind')}", lambda unknown: None)(message)
        except (KeyError, TypeError, ValueError) as e:
            log.warning("a message of another server is not understood", message=dict(message), error=repr(e))

    def _on_events(self, message: Mapping[str, Any]) -> None:
        slot, first, last = int(message["slot"]), int(message["first"]), int(message["last"])
        if self._bus.subscribers:
            self._ranges.put_nowait((slot, first, last))
        self._newest[slot] = max(last, self._newest.get(slot, 0))

    def _on_event(self, message: Mapping[str, Any]) -> None:
        self._bus.relay(Event(**message["event"]))

    def _on_watch(self, message: Mapping[str, Any]) -> None:
        for job in message["jobs"]:
            if job in self._jobs.active:
                self._watched[job] = time.monotonic() + WATCHED

    def _on_cancelled(self, message: Mapping[str, Any]) -> None:
        self._jobs.ended_elsewhere(message["job"], ours=message.get("server") == self._channel.server)

    def _on_voices(self, message: Mapping[str, Any]) -> None:
        self._references.forget(message["owner"])
        if (digest := message["unused"]) is not None:
            self._tasks.spawn(self._references.remove_unused(digest), "remove a recording")

    def _on_ask(self, message: Mapping[str, Any]) -> None:
        if (active := self._jobs.active.get(message["job"])) is not None:
            view = {"kind": "view", "to": message["from"], "number": message["number"], "view": views.of_active(active)}
            self._tasks.spawn(self._channel.send(view), "tell a view")

    def _on_view(self, message: Mapping[str, Any]) -> None:
        if (answer := self._answers.get(message["number"])) is not None and not answer.done():
            answer.set_result(dict(message["view"]))

    def _on_queue(self, message: Mapping[str, Any]) -> None:
        job = message["job"]
        work = self._queue.reload() if job is None else self._queue.reload_job(job)
        self._tasks.spawn(self._read_again(work), "read what an operator set")

    async def _read_again(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except errors.StoreError as e:
            log.warning("what an operator set on another server could not be read", error=e.message)

    def _on_left(self, message: Mapping[str, Any]) -> None:
        self._gone.set()

    def _on_reconnect(self) -> None:
        """The connection was lost for a while: looks at what other servers may have done meanwhile."""
        self._references.forget_all()
        self._tasks.spawn(self._look_again(), "look again")

    async def _look_again(self) -> None:
        for slot, newest in tuple(self._newest.items()):
            self._ranges.put_nowait((slot, newest + 1, 2**62))
        with contextlib.suppress(errors.StoreError):
            await self._queue.reload()
            ids = [active.id for active in self._jobs.active.values() if active.durable]
            ours = await self._channel.own_jobs(ids)
            for job in ids:
                if job not in ours:
                    self._jobs.ended_elsewhere(job, ours=False)

    # What this server says

    def is_watched(self, job: str) -> bool:
        return self._watched.get(job, 0.0) > time.monotonic()

    def _on_event_here(self, event: Event) -> None:
        """Progress is not kept in the store, since it is true for a second only: it is sent to the other servers."""
        if event.type == "job.progress" and event.job is not None and self.is_watched(event.job):
            message = {name: getattr(event, name) for name in ("id", "type", "at", "job", "owner", "data")}
            self._tasks.spawn(self._channel.send({"kind": "event", "event": message}), "tell progress")

    async def voices_changed(self, owner: str, unused: str | None) -> None:
        """Tells the others whose voices changed here, and which recording belongs to no voice any more."""
        await self._channel.send({"kind": "voices", "owner": owner, "unused": unused})

    async def queue_changed(self, job: str | None) -> None:
        """Tells the others what an operator paused or resumed here: a job, or a client or everything (None)."""
        await self._channel.send({"kind": "queue", "job": job})

    # Over time

    async def _relay(self) -> None:
        """Brings other servers' events to the subscribers here, each server's events in their order."""
        done: dict[int, int] = {}
        while True:
            slot, first, last = await self._ranges.get()
            for event in await self._between(slot, max(first, done.get(slot, 0) + 1), last):
                done[slot] = event.id
                self._bus.relay(event)

    async def _between(self, slot: int, first: int, last: int) -> list[Event]:
        """A store that is away is waited for: a subscriber who misses the end of a job would wait for it for ever."""
        waits = log_and_wait(log, "events of another server wait for the store")
        try:
            return await retry_until(
                lambda: self._channel.events_between(slot, first, last), errors.StoreAway, LOOK, waits
            )
        except errors.StoreError as e:
            log.warning("events of another server could not be read", error=e.message)
            return []

    async def _watch(self) -> None:
        """Tells the others which of their jobs are watched here, so that they send live progress."""
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            self._watched = {job: until for job, until in self._watched.items() if until > now}
            for job in self._watched:
                if (active := self._jobs.active.get(job)) is not None and active.started_at is None:
                    self._jobs.lifecycle.announce(active, "job.progress")
            here = [job for job in self._bus.watched() if job not in self._jobs.active]
            self._requested = {job: at for job, at in self._requested.items() if job in here and now - at < WATCHED / 2}
            new = [job for job in here if job not in self._requested]
            for some in (new[at : at + 100] for at in range(0, len(new), 100)):
                await self._channel.send({"kind": "watch", "jobs": some})
                self._requested |= dict.fromkeys(some, now)

    async def _take_over(self) -> None:
        """Looks for work of servers whose lease has ended, and at once when a server says that it leaves."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._channel.lease / 2):
                    await self._gone.wait()
            self._gone.clear()
            try:
                await self._recovery.take_over()
            except errors.StoreError as e:
                log.warning("the work of others could not be looked at", error=e.message)
