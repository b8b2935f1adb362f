"""Bus: publishes events to subscribers and replays past ones. Publishing never waits for a subscriber.

Audio never crosses the bus, and no part of the server depends on a subscriber.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Self

from antiphon.domain.event import Event, EventType

Listener = Callable[[Event], None]


class Subscription:
    """The events that one subscriber has not read yet: at most `limit`. Beyond that the oldest are dropped, and the
    subscriber reads a `gap` event in their place.

    Iterate over it inside a `with` block, which ends the subscription."""

    def __init__(self, bus: Bus, job: str | None, owner: str | None, limit: int) -> None:
        self.job, self.owner = job, owner
        self._bus, self._limit = bus, limit
        self._waiting: deque[Event] = deque()
        self._lost_after: int | None = None
        self._last = 0
        self._wake = asyncio.Event()
        self._closed = False

    def wants(self, event: Event) -> bool:
        if self.job is not None:
            return event.job == self.job
        return event.owner is None or self.owner is None or event.owner == self.owner

    def offer(self, event: Event) -> None:
        if len(self._waiting) >= self._limit:
            lost = self._waiting.popleft()
            if self._lost_after is None:
                self._lost_after = self._last
            self._last = max(self._last, lost.id)
        self._waiting.append(event)
        self._wake.set()

    def close(self) -> None:
        """Ends the iteration after the events that wait."""
        self._closed = True
        self._bus._forget(self)
        self._wake.set()

    @property
    def behind(self) -> int:
        return len(self._waiting)

    @property
    def has_gap(self) -> bool:
        """Whether it lost events."""
        return self._lost_after is not None

    def heard(self, last_id: int) -> None:
        """The subscriber has the events up to this one from elsewhere, from a replay."""
        if self._last <= last_id:
            self._lost_after, self._last = None, last_id
        while self._waiting and self._waiting[0].id <= last_id:
            self._waiting.popleft()

    async def batch(self, most: int = 16, patience: float | None = None) -> list[Event]:
        """At most `most` events, oldest first; waits for the first one. Empty after `patience` seconds without one;
        raises `StopAsyncIteration` at the end."""
        try:
            async with asyncio.timeout(None if self._waiting or self._lost_after is not None else patience):
                found = [await anext(self)]
        except TimeoutError:
            return []
        while self._waiting and len(found) < most:
            found.append(await anext(self))
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        if self._lost_after is not None:
            missed, self._lost_after = self._lost_after, None
            first = self._waiting[0]
            return Event(first.id - 1, "gap", first.at, self.job, self.owner, {"after": missed})
        event = self._waiting.popleft()
        self._last = event.id
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Bus:
    """Publishes in one event loop; every method is called from it."""

    def __init__(
        self,
        *,
        keep: int = 4096,
        clock: Callable[[], float] = time.time,
        watched_elsewhere: Callable[[str], bool] = lambda job: False,
    ) -> None:
        """`keep`: how many past events can be replayed from memory; older ones are in the store. `watched_elsewhere`:
        whether a client watches a job by way of another server."""
        self._clock, self._watched_elsewhere = clock, watched_elsewhere
        self._last = 0
        self._past: deque[Event] = deque(maxlen=keep)
        self._by_job: dict[str, set[Subscription]] = defaultdict(set)
        self._others: set[Subscription] = set()
        self._listeners: list[Listener] = []
        self._stride, self._slot = 1, 0

    def number(self, slot: int, stride: int = 64) -> None:
        """From now on every id leaves the remainder `slot` when divided by `stride`, so that the ids of several servers
        never collide."""
        self._slot, self._stride = slot, stride

    def start_after(self, last_id: int) -> None:
        """Continues after the last id of the previous process."""
        self._last = max(self._last, last_id)

    def listen(self, listener: Listener) -> None:
        """Calls `listener` with every event when it is published. It must be fast and must not raise."""
        self._listeners.append(listener)

    def publish(
        self, type: EventType, job: str | None = None, owner: str | None = None, data: Mapping[str, Any] | None = None
    ) -> Event:
        now = self._clock()
        # At least the time in microseconds: ids grow over a restart even if the last events never reached the store.
        least = max(self._last + 1, int(now * 1e6))
        self._last = least + (self._slot - least) % self._stride
        event = Event(self._last, type, now, job, owner, data or {})
        self._past.append(event)
        for listener in self._listeners:
            listener(event)
        self.relay(event)
        return event

    def relay(self, event: Event) -> None:
        """Passes an event that another server published to the subscribers, but not to the listeners."""
        for subscription in tuple(self._by_job.get(event.job or "", ())):
            subscription.offer(event)
        for subscription in tuple(self._others):
            if subscription.wants(event):
                subscription.offer(event)

    def subscribe(self, *, job: str | None = None, owner: str | None = None, limit: int = 1000) -> Subscription:
        """Events of one job, or those that `owner` may see (None: all), from now on."""
        subscription = Subscription(self, job, owner, limit)
        (self._others if job is None else self._by_job[job]).add(subscription)
        return subscription

    def has_subscriber(self, job: str, owner: str) -> bool:
        """Whether any subscriber would receive an event of this job."""
        return (
            job in self._by_job or self._watched_elsewhere(job) or any(s.owner in (None, owner) for s in self._others)
        )

    def watched(self) -> list[str]:
        """The jobs that have a subscriber of their own."""
        return list(self._by_job)

    def after(
        self, last_id: int, limit: int, *, job: str | None = None, owner: str | None = None
    ) -> list[Event] | None:
        """The next `limit` past events with a greater id, oldest first; None when memory does not reach back that far,
        or other servers publish as well."""
        if self._stride > 1 or not self._past or self._past[0].id > last_id + 1:
            return None
        probe = Subscription(self, job, owner, 1)
        first = bisect_right(self._past, last_id, key=lambda event: event.id)
        wanted = (event for event in islice(self._past, first, None) if probe.wants(event))
        return list(islice(wanted, limit))

    @property
    def subscribers(self) -> int:
        return len(self._others) + sum(len(s) for s in self._by_job.values())

    def close(self) -> None:
        """Ends every subscription."""
        for subscription in [*self._others, *(s for group in self._by_job.values() for s in group)]:
            subscription.close()

    def _forget(self, subscription: Subscription) -> None:
        self._others.discard(subscription)
        if (job := subscription.job) is not None and job in self._by_job:
            self._by_job[job].discard(subscription)
            if not self._by_job[job]:
                del self._by_job[job]
