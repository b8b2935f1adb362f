"""Admission: whether work is accepted or refused early, and after what time refused work would be accepted.

Requests that somebody waits for and durable jobs are counted apart, as they stand in two lanes (`lanes`): a client's
book refuses none of its short requests, and a burst of requests refuses no job. In each lane a client may have a
bounded number of predicted seconds, bytes of text and jobs, and so may all clients together. Work that just fits is
accepted. Two rules keep a refusal honest:

- A job that is longer than the bound of a client by itself is accepted all the same, one at a time, and does not count
  against the client's seconds. A book of a million characters is sixteen hours of audio, more than any sensible bound:
  "come back later" would be false, because no later time is late enough. It is fair, because the queue lets a long job
  delay the others by no more than its client's share, and its client's shorter jobs hardly at all.
- So that such a book does not lock out the other clients, a client counts in the total for no more seconds than one
  client may have. An empty lane accepts anything.

`retry_after` is the time in which enough of the waiting work is done. Waiting clients are served in equal shares. So
until x of a client's seconds are done, each of the others is also served for x seconds, or for all that it has. Of a
client's own seconds, the waiting lane has `PASSES` for each one of the durable lane while both have work; and in a lane
the long job comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from antiphon.domain import errors
from antiphon.schedule.lanes import PASSES

MIB = 1024 * 1024
#: Seconds by which sums of many small numbers may be off through rounding.
ROUNDING = 1e-6
#: Turns seconds of work into seconds until it is done.
When = Callable[[float], float]
#: Least `retry_after`, in seconds.
SOONEST = 0.1


@dataclass(slots=True)
class Account:
    """What one client, or all clients together, have in one lane."""

    seconds: float = 0.0
    nbytes: int = 0
    jobs: int = 0
    #: Of these, the jobs that are longer than a client's bound, and their seconds.
    long_jobs: int = 0
    long_seconds: float = 0.0

    def add(self, seconds: float, nbytes: int, jobs: int, long: bool) -> None:
        self.nbytes = max(0, self.nbytes + nbytes)
        self.jobs = max(0, self.jobs + jobs)
        # Without a job there are no seconds, whatever rounding has left.
        self.seconds = max(0.0, self.seconds + seconds) if self.jobs or self.nbytes else 0.0
        if long:
            self.long_jobs = max(0, self.long_jobs + jobs)
            self.long_seconds = max(0.0, self.long_seconds + seconds) if self.long_jobs else 0.0
        self.long_seconds = min(self.long_seconds, self.seconds)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client, and all together, may have in a lane."""

    client_seconds: float
    total_seconds: float
    client_bytes: int
    total_bytes: int
    client_jobs: int


class Lane:
    """What waits in one lane, over all models of a server."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.accounts: dict[str, Account] = {}
        self.total = Account()
        #: Seconds of all clients, each counted for no more than one client may have.
        self.counted = 0.0

    def of(self, client: str) -> Account:
        return self.accounts.get(client) or Account()

    def seconds(self, client: str) -> float:
        return account.seconds if (account := self.accounts.get(client)) else 0.0

    def add(self, client: str, seconds: float, nbytes: int, jobs: int, long: bool) -> None:
        own = self.accounts.setdefault(client, Account())
        before = Account(own.seconds, own.nbytes, own.jobs)
        own.add(seconds, nbytes, jobs, long)
        # Only what the client really had is subtracted from the total.
        self.total.add(own.seconds - before.seconds, own.nbytes - before.nbytes, own.jobs - before.jobs, False)
        bound = self.bounds.client_seconds
        self.counted += min(own.seconds, bound) - min(before.seconds, bound)
        if not (own.jobs or own.nbytes):
            del self.accounts[client]
        if not self.accounts:
            self.counted = 0.0

    def client_relief(self, client: str, seconds: float, nbytes: int) -> float | None:
        """Seconds of the client's work in this lane to be done until its bounds allow a job; None if they do now."""
        own, bounds = self.of(client), self.bounds
        if not own.jobs:
            return None
        if seconds > bounds.client_seconds + ROUNDING:
            relief = own.seconds if own.long_jobs else -1.0
        else:
            excess = own.seconds - own.long_seconds + seconds - bounds.client_seconds
            relief = excess if excess > ROUNDING else -1.0
        relief = max(
            relief,
            _part(own.seconds, own.nbytes + nbytes - bounds.client_bytes, own.nbytes),
            _part(own.seconds, own.jobs + 1 - bounds.client_jobs, own.jobs),
        )
        # Once it has nothing left, its job is taken however long it is.
        return None if relief < 0 else min(relief, own.seconds)

    def excess(self, client: str, seconds: float) -> float:
        """Counted seconds that all clients would have too much with a job."""
        own, bound = self.seconds(client), self.bounds.client_seconds
        return self.counted + min(own + seconds, bound) - min(own, bound) - self.bounds.total_seconds

    def bytes_relief(self, nbytes: int) -> float:
        """Seconds of all clients' work to be done until there is room for so many bytes; below 0: there is."""
        return _part(self.total.seconds, self.total.nbytes + nbytes - self.bounds.total_bytes, self.total.nbytes)


class Admission:
    """Counts what waits, over all models of a server. `waiting` names the lane: requests that somebody waits for, or
    durable jobs."""

    def __init__(
        self,
        *,
        client_seconds: float = 3600.0,
        total_seconds: float = 6 * 3600.0,
        client_bytes: int = 64 * MIB,
        total_bytes: int = 512 * MIB,
        client_jobs: int = 10_000,
    ) -> None:
        """The bounds of each lane."""
        bounds = Bounds(client_seconds, total_seconds, client_bytes, total_bytes, client_jobs)
        self._durable, self._waiting = Lane(bounds), Lane(bounds)

    def check(
        self, client: str, seconds: float, nbytes: int, *, waiting: bool = False, when: When = lambda work: work
    ) -> None:
        """Raises `OverShare` or `QueueFull` if a job of predicted `seconds` and `nbytes` of text does not fit now.

        `when`: in how many seconds so many predicted seconds of work will have been done."""
        lane = self._lane(waiting)
        over = self._client_wait(client, seconds, nbytes, waiting)
        full = self._total_wait(client, seconds, nbytes, waiting)
        if over is None and full is None:
            return
        # A job that fails both bounds has to wait for both.
        wait = when(max(SOONEST, over or 0.0, full or 0.0))
        then = f"This one of {span(seconds)} fits in {span(wait)}"
        if over is not None:
            raise errors.OverShare(f"{_has(lane.of(client), lane.bounds, waiting)}. {then}", retry_after=wait)
        raise errors.QueueFull(
            f"The queue is full: {span(lane.total.seconds)} of work are waiting. {then}", retry_after=wait
        )

    def take(
        self, client: str, seconds: float, nbytes: int, *, waiting: bool = False, when: When = lambda work: work
    ) -> bool:
        """Counts a job if it fits; raises as `check` does if not. Returns whether it is a long one."""
        self.check(client, seconds, nbytes, waiting=waiting, when=when)
        return self.force(client, seconds, nbytes, waiting=waiting)

    def force(self, client: str, seconds: float, nbytes: int, *, waiting: bool = False) -> bool:
        """Counts a job that was accepted before. Returns whether it is a long one: longer than a client's bound."""
        lane = self._lane(waiting)
        long = seconds > lane.bounds.client_seconds + ROUNDING
        lane.add(client, seconds, nbytes, 1, long)
        return long

    def spend(self, client: str, seconds: float, *, waiting: bool = False, long: bool = False) -> None:
        """Gives back predicted seconds that are done while their job goes on, so that there is room sooner. `long`: as
        `take` or `force` said."""
        self._lane(waiting).add(client, -seconds, 0, 0, long)

    def give_back(self, client: str, seconds: float, nbytes: int, *, waiting: bool = False, long: bool = False) -> None:
        """Gives back a job that ended, with what is left of it. With zero seconds and bytes it does nothing. `long`: as
        in `spend`."""
        if seconds or nbytes:
            self._lane(waiting).add(client, -seconds, -nbytes, -1, long)

    def queued(self, client: str | None = None, *, waiting: bool = False) -> tuple[float, int, int]:
        """Seconds, bytes and jobs that a client has in a lane; None: all clients together."""
        lane = self._lane(waiting)
        account = lane.total if client is None else lane.of(client)
        return account.seconds, account.nbytes, account.jobs

    def _lane(self, waiting: bool) -> Lane:
        return self._waiting if waiting else self._durable

    def _client_wait(self, client: str, seconds: float, nbytes: int, waiting: bool) -> float | None:
        """Seconds of work until the client's bounds allow a job; None if they do now."""
        relief = self._lane(waiting).client_relief(client, seconds, nbytes)
        if relief is None:
            return None
        return self._served(service(relief, self._lane(not waiting).seconds(client), waiting))

    def _total_wait(self, client: str, seconds: float, nbytes: int, waiting: bool) -> float | None:
        """Seconds of work until the bounds over all clients allow a job; None if they do now."""
        lane, other = self._lane(waiting), self._lane(not waiting)
        if not lane.total.jobs:
            return None
        waits = []
        if (excess := lane.excess(client, seconds)) > ROUNDING:
            falls: list[tuple[float, float]] = []
            for name, account in lane.accounts.items():
                brings = seconds if name == client else 0.0
                begin = max(0.0, account.seconds + brings - lane.bounds.client_seconds)
                if begin < account.seconds:
                    falls += _falls(begin, account.seconds, other.seconds(name), waiting)
            waits.append(self._served(_level(falls, excess)))
        if (relief := lane.bytes_relief(nbytes)) >= 0:
            waits.append(self._served(self._level_of_work(relief, waiting)))
        return max(waits, default=None)

    def _level_of_work(self, relief: float, waiting: bool) -> float:
        """Seconds for which each client is served until the clients of a lane have `relief` seconds less in it."""
        other = self._lane(not waiting)
        falls: list[tuple[float, float]] = []
        for name, account in self._lane(waiting).accounts.items():
            falls += _falls(0.0, account.seconds, other.seconds(name), waiting)
        return _level(falls, relief)

    def _served(self, level: float) -> float:
        """Seconds of work in which each client is served for `level` seconds, or for all that it has."""
        clients = self._durable.accounts.keys() | self._waiting.accounts.keys()
        return sum(min(self._durable.seconds(name) + self._waiting.seconds(name), level) for name in clients)


def service(seconds: float, other: float, waiting: bool) -> float:
    """Seconds for which a client is served until so many of one lane are done, while its other lane has `other`."""
    return seconds + min(other, seconds / PASSES if waiting else seconds * PASSES)


def span(seconds: float) -> str:
    """A time for a person."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _falls(begin: float, end: float, other: float, waiting: bool) -> Iterator[tuple[float, float]]:
    """How fast a lane's seconds fall while its client is served: changes of the rate, by the seconds of service. It
    begins to fall when `begin` seconds are done and stops at `end`; from the kink on it has the client for itself."""
    kink = other * PASSES if waiting else other / PASSES
    for one, two in pairwise(sorted({begin, min(max(kink, begin), end), end})):
        start, stop = service(one, other, waiting), service(two, other, waiting)
        if stop > start:
            yield start, (two - one) / (stop - start)
            yield stop, -(two - one) / (stop - start)


def _level(falls: Sequence[tuple[float, float]], relief: float) -> float:
    """Seconds for which each client is served until their seconds have fallen by `relief`, all together."""
    level, rate = 0.0, 0.0
    for at, change in sorted(falls):
        if rate * (at - level) >= relief:
            break
        relief -= rate * (at - level)
        level, rate = at, rate + change
    return level + relief / rate if rate > ROUNDING else level


def _part(seconds: float, excess: int, count: int) -> float:
    """The part of a client's seconds to be done until `excess` of its `count` is gone; below 0 without excess."""
    return -1.0 if excess <= 0 else seconds * min(1.0, excess / max(1, count))


def _has(own: Account, bounds: Bounds, waiting: bool) -> str:
    what = "requests" if waiting else "jobs"
    room = f"{bounds.client_jobs} {what} with {span(bounds.client_seconds)} and {bounds.client_bytes} bytes of text"
    has = f"You have {own.jobs} {what} with {span(own.seconds)} of work waiting"
    return f"{has}, and one client may have {room}, and a single longer one besides"
