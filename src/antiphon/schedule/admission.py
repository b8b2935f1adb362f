"""Admission: whether work is accepted or refused early, and after what time refused work would be accepted.

Each client may have a bounded number of predicted seconds, bytes of text and jobs waiting, and so may all clients
together. Work that just fits is accepted. Two rules keep a refusal honest:

- A client that has nothing waiting may always send one job, however long. A book of a million characters is sixteen
  hours of audio, more than any sensible bound: "come back later" would be false, because no later time is late enough.
  It is fair, because the queue lets a long job delay the others by no more than its client's share; and while the job
  lasts, that client is refused any other.
- So that such a book does not lock out the other clients, a client counts in the total for no more seconds than one
  client may have. An empty queue accepts anything.

`retry_after` is the time in which enough of the waiting work is done. Waiting clients are served in equal shares. So
until x of a client's seconds are done, each of the others is also served for x seconds, or for all that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.domain import errors

MIB = 1024 * 1024
#: Seconds by which sums of many small numbers may be off through rounding.
ROUNDING = 1e-6
#: Least `retry_after`, in seconds.
SOONEST = 0.1


@dataclass(slots=True)
class Account:
    """What one client, or all clients together, have waiting."""

    seconds: float = 0.0
    nbytes: int = 0
    jobs: int = 0

    def add(self, seconds: float, nbytes: int, jobs: int) -> None:
        self.nbytes = max(0, self.nbytes + nbytes)
        self.jobs = max(0, self.jobs + jobs)
        # Without a job there are no seconds, whatever rounding has left.
        self.seconds = max(0.0, self.seconds + seconds) if self.jobs or self.nbytes else 0.0


class Admission:
    """Counts what waits, over all models of a server."""

    def __init__(
        self,
        *,
        client_seconds: float = 3600.0,
        total_seconds: float = 6 * 3600.0,
        client_bytes: int = 64 * MIB,
        total_bytes: int = 512 * MIB,
        client_jobs: int = 10_000,
    ) -> None:
        self._client_seconds, self._total_seconds = client_seconds, total_seconds
        self._client_bytes, self._total_bytes, self._client_jobs = client_bytes, total_bytes, client_jobs
        self._accounts: dict[str, Account] = {}
        self._total = Account()
        #: Seconds of all clients, each counted for no more than one client may have.
        self._counted = 0.0

    def check(self, client: str, seconds: float, nbytes: int, *, slots: int = 1) -> None:
        """Raises `OverShare` or `QueueFull` if a job of predicted `seconds` and `nbytes` of text does not fit now.

        `slots`: units that run at a time, so the predicted seconds of work that are done in one second."""
        own = self._accounts.get(client, Account())
        over = self._client_wait(own, seconds, nbytes)
        full = self._total_wait(own, seconds, nbytes)
        if over is None and full is None:
            return
        # A job that fails both bounds has to wait for both.
        wait = max(SOONEST, over or 0.0, full or 0.0) / max(1, slots)
        if over is not None:
            raise errors.OverShare(
                f"You have {own.jobs} jobs with {own.seconds:.0f} s of work waiting, and one client may have "
                f"{self._client_jobs} jobs with {self._client_seconds:.0f} s and {self._client_bytes} bytes of text; "
                f"this one of {seconds:.0f} s fits in {wait:.0f} s",
                retry_after=wait,
            )
        raise errors.QueueFull(
            f"The queue is full: {self._total.seconds:.0f} s of work are waiting; "
            f"this job of {seconds:.0f} s fits in {wait:.0f} s",
            retry_after=wait,
        )

    def take(self, client: str, seconds: float, nbytes: int, *, slots: int = 1) -> None:
        """Counts a job if it fits; raises as `check` does if not."""
        self.check(client, seconds, nbytes, slots=slots)
        self.force(client, seconds, nbytes)

    def force(self, client: str, seconds: float, nbytes: int) -> None:
        """Counts a job that was accepted before, by a previous process of the server."""
        self._add(client, seconds, nbytes, 1)

    def spend(self, client: str, seconds: float) -> None:
        """Gives back predicted seconds that are done while their job goes on, so that there is room sooner."""
        self._add(client, -seconds, 0, 0)

    def give_back(self, client: str, seconds: float, nbytes: int) -> None:
        """Gives back a job that ended, with what is left of it. With zero seconds and bytes it does nothing."""
        if seconds or nbytes:
            self._add(client, -seconds, -nbytes, -1)

    def queued(self, client: str | None = None) -> tuple[float, int, int]:
        """Seconds, bytes and jobs that a client has waiting; None: all clients together."""
        account = self._total if client is None else self._accounts.get(client, Account())
        return account.seconds, account.nbytes, account.jobs

    def _add(self, client: str, seconds: float, nbytes: int, jobs: int) -> None:
        own = self._accounts.setdefault(client, Account())
        before = Account(own.seconds, own.nbytes, own.jobs)
        own.add(seconds, nbytes, jobs)
        # Only what the client really had is subtracted from the total.
        self._total.add(own.seconds - before.seconds, own.nbytes - before.nbytes, own.jobs - before.jobs)
        self._counted += min(own.seconds, self._client_seconds) - min(before.seconds, self._client_seconds)
        if not (own.jobs or own.nbytes):
            del self._accounts[client]
        if not self._accounts:
            self._counted = 0.0

    def _client_wait(self, own: Account, seconds: float, nbytes: int) -> float | None:
        """Seconds of work until the client's bounds allow a job; None if they do now."""
        if not own.jobs:
            return None
        excess = own.seconds + seconds - self._client_seconds
        relief = max(
            excess if excess > ROUNDING else -1.0,
            _part(own.seconds, own.nbytes + nbytes - self._client_bytes, own.nbytes),
            _part(own.seconds, own.jobs + 1 - self._client_jobs, own.jobs),
        )
        if relief < 0:
            return None
        # Once it has nothing left, its job is taken however long it is.
        return sum(min(account.seconds, relief, own.seconds) for account in self._accounts.values())

    def _total_wait(self, own: Account, seconds: float, nbytes: int) -> float | None:
        """Seconds of work until the bounds over all clients allow a job; None if they do now."""
        if not self._total.jobs:
            return None
        new = min(own.seconds + seconds, self._client_seconds) - min(own.seconds, self._client_seconds)
        excess = self._counted + new - self._total_seconds
        excess_bytes = self._total.nbytes + nbytes - self._total_bytes
        waits = []
        if excess > ROUNDING:
            queued = [(a.seconds, seconds if a is own else 0.0) for a in self._accounts.values()]
            waits.append(_work_until(queued, self._client_seconds, excess))
        if excess_bytes > 0:
            waits.append(min(1.0, excess_bytes / max(1, self._total.nbytes)) * self._total.seconds)
        return max(waits, default=None)


def _part(seconds: float, excess: int, count: int) -> float:
    """The part of a client's seconds to be done until `excess` of its `count` is gone; below 0 without excess."""
    return -1.0 if excess <= 0 else seconds * min(1.0, excess / max(1, count))


def _work_until(queued: Sequence[tuple[float, float]], cap: float, relief: float) -> float:
    """Seconds of work until clients that are served in equal shares count for `relief` seconds less.

    `queued`: what each client has and what it sends now; it counts for both together, up to `cap`."""
    turns: list[tuple[float, int]] = []
    for has, brings in queued:
        begin = max(0.0, has + brings - cap)
        if begin < has:
            turns += [(begin, 1), (has, -1)]
    turns.sort()
    level, falling = 0.0, 0
    for at, change in turns:
        if falling * (at - level) >= relief:
            break
        relief -= falling * (at - level)
        level, falling = at, falling + change
    if falling:
        level += relief / falling
    return sum(min(has, level) for has, _ in queued)
