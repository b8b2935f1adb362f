"""The order inside a flow: shortest remaining work first, with ageing (aging SRPT).

The job with the least `remaining / (1 + waited / ageing)²` goes next. These scores change with time, and not all alike,
so no heap can hold them. Jobs are kept in buckets of half an octave of remaining seconds instead, each in order of
arrival, and only the oldest job of each bucket is compared.

The distance from the exact rule: the oldest job of a bucket has waited at least as long as any other there and has
less than `STEP` times its remaining work, so its score is less than `STEP` times theirs. The job that goes next
therefore has less than `STEP` (√2) times the least score of all.

No job starves. A job that came later has waited less, so once a job has waited `ageing · (√(r / FLOOR) - 1)` (r is its
remaining seconds) no job that comes after it scores better, whatever its length; and in a bucket the oldest goes first.

There are at most two buckets to an octave: some sixty between a millisecond and a month, whatever the number of jobs.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort

from antiphon.schedule.ticket import Ticket

#: Buckets in an octave of remaining seconds, and the factor that one bucket spans.
PER_OCTAVE = 2
STEP = 2.0 ** (1 / PER_OCTAVE)
#: Seconds; less remaining work counts as this much.
FLOOR = 1e-3
#: Jobs in a block before it is split.
BLOCK = 128

#: When it arrived and its serial number: sorts just before the entry of the same ticket.
Key = tuple[float, float]
Entry = tuple[float, float, Ticket]


class Bucket:
    """Jobs in order of arrival, in blocks with their sums: operations are O(√n), but of memory moves and sums in C."""

    __slots__ = ("blocks", "count", "head", "seconds", "total")

    def __init__(self, ticket: Ticket) -> None:
        #: The oldest job.
        self.head = ticket
        self.blocks: list[list[Entry]] = [[(ticket.arrived, ticket.serial, ticket)]]
        #: Remaining seconds in each block.
        self.seconds = [ticket.remaining]
        self.total = ticket.remaining
        self.count = 1

    @property
    def mean(self) -> float:
        """Remaining seconds of a job, on average."""
        return max(FLOOR, self.total / self.count)

    def add(self, ticket: Ticket) -> None:
        entry = (ticket.arrived, ticket.serial, ticket)
        self.count += 1
        self.total += ticket.remaining
        if entry > self.blocks[-1][-1] and len(self.blocks[-1]) >= BLOCK:
            self.blocks.append([entry])
            self.seconds.append(ticket.remaining)
            return
        at = self._block(entry)
        block = self.blocks[at]
        if entry > block[-1]:
            block.append(entry)
        else:
            insort(block, entry)
        self.seconds[at] += ticket.remaining
        if at == 0:
            self.head = block[0][2]
        if len(block) > BLOCK:
            self._split(at)

    def remove(self, ticket: Ticket, seconds: float) -> None:
        """`seconds`: the remaining seconds that it counted for here."""
        at, key = self._find(ticket)
        block = self.blocks[at]
        del block[bisect_left(block, key)]
        self.count -= 1
        self.total -= seconds
        self.seconds[at] -= seconds
        if not block:
            del self.blocks[at], self.seconds[at]
        if at == 0 and self.blocks:
            self.head = self.blocks[0][0][2]

    def spend(self, ticket: Ticket, seconds: float) -> None:
        """A job in the bucket has `seconds` less remaining work."""
        self.total -= seconds
        self.seconds[self._find(ticket)[0]] -= seconds

    def before(self, key: Key) -> tuple[int, float]:
        """How many jobs arrived before `key`, and their remaining seconds."""
        at = self._block(key)
        block = self.blocks[at]
        inside = block[: bisect_left(block, key)]
        count = sum(map(len, self.blocks[:at])) + len(inside)
        return count, sum(self.seconds[:at]) + sum([entry[2].remaining for entry in inside])

    def _find(self, ticket: Ticket) -> tuple[int, Key]:
        key = (ticket.arrived, ticket.serial)
        # Nearly always it is the oldest job, because that is handed out first.
        return (0 if self.head is ticket else self._block(key)), key

    def _block(self, key: Key | Entry) -> int:
        """The block that a key falls into."""
        blocks = self.blocks
        if key > blocks[-1][0]:
            return len(blocks) - 1
        return max(0, bisect_right(blocks, key[:2], key=_first) - 1)

    def _split(self, at: int) -> None:
        block = self.blocks[at]
        halves = [block[: BLOCK // 2], block[BLOCK // 2 :]]
        self.blocks[at : at + 1] = halves
        self.seconds[at : at + 1] = [sum(entry[2].remaining for entry in half) for half in halves]


class AgingSrptQueue:
    """The jobs of one flow whose units can be handed out."""

    __slots__ = ("_ageing", "buckets", "count", "seconds", "units")

    def __init__(self, ageing: float) -> None:
        """`ageing`: seconds of waiting that count as much as being four times shorter."""
        self._ageing = ageing
        self.buckets: dict[int, Bucket] = {}
        self.count, self.units, self.seconds = 0, 0, 0.0

    def add(self, ticket: Ticket) -> None:
        self._enter(ticket)
        self.count += 1
        self.units += ticket.left
        self.seconds += ticket.remaining

    def remove(self, ticket: Ticket) -> None:
        self._leave(ticket, ticket.remaining)
        self.count -= 1
        self.units -= ticket.left
        self._lose(ticket.remaining)

    def take(self, ticket: Ticket) -> tuple[int, float]:
        """Hands out the next unit of a job that is in: its number and predicted seconds."""
        before = ticket.remaining
        index, cost = ticket.take()
        if not ticket.left:
            self._leave(ticket, before)
            self.count -= 1
        elif (level := bucket_of(before)) == bucket_of(ticket.remaining):
            self.buckets[level].spend(ticket, cost)
        else:
            self._leave(ticket, before)
            self._enter(ticket)
        self.units -= 1
        self._lose(cost)
        return index, cost

    def head(self, now: float) -> Ticket:
        """The job that goes next; the queue must not be empty."""
        best, least, ageing = None, math.inf, self._ageing
        for bucket in self.buckets.values():
            # `score`, inlined: a pop spends most of its time here.
            ticket = bucket.head
            age = 1 + (now - ticket.arrived) / ageing
            score = (ticket.remaining if ticket.remaining > FLOOR else FLOOR) / (age * age if age > 1 else 1)
            if score < least or (score == least and best is not None and _older(ticket, best)):
                best, least = ticket, score
        assert best is not None
        return best

    def score(self, ticket: Ticket, now: float) -> float:
        return max(FLOOR, ticket.remaining) / (1 + max(0.0, now - ticket.arrived) / self._ageing) ** 2

    def ahead(self, ticket: Ticket, now: float) -> tuple[int, float]:
        """How many jobs go before a job if nothing else arrives, and their seconds. The job need not be in the queue.

        In its own bucket those are the jobs that came earlier. In another they are the jobs that came before the time
        at which a job of that bucket's mean size would have had to come to score the same."""
        score, own = self.score(ticket, now), bucket_of(ticket.remaining)
        count, seconds = 0, 0.0
        for level, bucket in self.buckets.items():
            if level == own:
                key: Key = (ticket.arrived, ticket.serial)
            else:
                key = (now - self._ageing * (math.sqrt(bucket.mean / score) - 1), -1)
            jobs, work = bucket.before(key)
            count += jobs
            seconds += work
        return count, seconds

    def started(self, seconds: float) -> int:
        """About how many jobs are started before `seconds` of work are handed out; ageing is left out."""
        if seconds >= self.seconds:
            return self.count
        count = 0
        for _, bucket in sorted(self.buckets.items()):
            if seconds < bucket.total:
                return count + math.ceil(bucket.count * seconds / bucket.total)
            count += bucket.count
            seconds -= bucket.total
        return count

    def _enter(self, ticket: Ticket) -> None:
        level = bucket_of(ticket.remaining)
        if (bucket := self.buckets.get(level)) is not None:
            bucket.add(ticket)
        else:
            self.buckets[level] = Bucket(ticket)

    def _leave(self, ticket: Ticket, seconds: float) -> None:
        bucket = self.buckets[level := bucket_of(seconds)]
        bucket.remove(ticket, seconds)
        if not bucket.count:
            del self.buckets[level]

    def _lose(self, seconds: float) -> None:
        # Sums of an empty queue are exactly 0, so that rounding never adds up.
        self.seconds = max(0.0, self.seconds - seconds) if self.count else 0.0


def bucket_of(seconds: float) -> int:
    return math.floor(PER_OCTAVE * math.log2(max(FLOOR, seconds)))


def _first(block: list[Entry]) -> Key:
    return block[0][0], block[0][1]


def _older(ticket: Ticket, other: Ticket) -> bool:
    return (ticket.arrived, ticket.serial) < (other.arrived, other.serial)
