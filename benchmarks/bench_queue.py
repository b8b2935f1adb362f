"""`python -m benchmarks.bench_queue`: what a place in the fair queue costs, small and large queues in turn."""

from __future__ import annotations

import heapq
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable

from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.ticket import Ticket

SMALL, LARGE = 100, 100_000
#: Each figure is the median of so many rounds; rounds of the small and the large queue take turns.
ROUNDS = 25


def main() -> None:
    print("| what | 100 jobs | 100,000 jobs | ratio | goal |\n|---|---|---|---|---|")
    for clients in (1, 10, 100):
        small, large = Load(SMALL, clients), Load(LARGE, clients)
        for what, measure in MEASURES.items():
            compare(f"{what}, {clients} clients", small, large, measure, GOALS.get(what, ""))
    crowd = Load(LARGE, 1000)
    for what, measure in MEASURES.items():
        print(f"| {what}, 1000 clients | | {statistics.median(measure(crowd) for _ in range(ROUNDS)):.1f} µs | | |")
    for what, clients, units in (("one client", 1, 1), ("a client each", LARGE, 1), ("20 units each", 1, 20)):
        print(f"| bytes a queued job, {what} | | {memory(clients, units):.0f} | | ≤ 2048 |")
    errors = arrivals()
    nine = statistics.quantiles(errors, n=10)[-1]
    print(f"\nETA at submission under random arrivals (90 % load, 20 % noise): "
          f"error {statistics.median(errors):.0%} in the median, {nine:.0%} at p90, {len(errors)} jobs")  # fmt: skip


class Load:
    """A queue that is kept at a number of jobs, of one unit or several, each of some tenths of a second."""

    def __init__(self, jobs: int, clients: int) -> None:
        self.rnd, self.clients, self.now, self.size = random.Random(1), clients, 0.0, jobs
        self.queue = FairQueue()
        self.tickets = [self.ticket() for _ in range(jobs)]
        for ticket in self.tickets:
            self.now += 0.001
            self.queue.push(ticket, self.now)

    def ticket(self) -> Ticket:
        cost = 0.2 * self.rnd.uniform(0.3, 3)
        client = f"client {self.rnd.randrange(self.clients)}"
        return Ticket("job", client, costs=[cost] * self.rnd.choice((1, 1, 1, 3, 10)))

    def push(self) -> float:
        """Microseconds for one."""
        new = [self.ticket() for _ in range(50)]
        self.now += 0.1

        def run() -> None:
            for ticket in new:
                self.queue.push(ticket, self.now)

        spent = clock(run) / len(new)
        for ticket in new:
            self.queue.remove(ticket)
        return spent

    def pop(self) -> float:
        self.now += 0.1

        def run() -> None:
            for _ in range(50):
                popped = self.queue.pop(self.now)
                assert popped is not None
                self.queue.settle(*popped, popped[2])

        spent = clock(run) / 50
        while len(self.queue) < self.size:
            self.tickets.append(self.ticket())
            self.queue.push(self.tickets[-1], self.now)
        self.tickets = [ticket for ticket in self.tickets if ticket.left]
        return spent

    def position(self) -> float:
        asked = self.rnd.sample(self.tickets, 5)
        return clock(lambda: [self.queue.position(ticket, self.now) for ticket in asked]) / len(asked)

    def eta(self) -> float:
        asked = self.rnd.sample(self.tickets, 5)
        return clock(lambda: [self.queue.eta(ticket, 2, self.now) for ticket in asked]) / len(asked)

    def etas(self) -> float:
        asked = self.rnd.sample(self.tickets, 50)
        return clock(lambda: self.queue.etas(asked, 2, self.now)) / len(asked)


MEASURES: dict[str, Callable[[Load], float]] = {
    "push": Load.push,
    "pop and settle": Load.pop,
    "position": Load.position,
    "eta": Load.eta,
    "eta of 50 at once, each": Load.etas,
}
GOALS = {"push": "≤ 2", "pop and settle": "≤ 2"}


def compare(what: str, small: Load, large: Load, measure: Callable[[Load], float], goal: str) -> None:
    pairs = [(measure(small), measure(large)) for _ in range(ROUNDS)]
    few, many = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"| {what} | {few:.1f} µs | {many:.1f} µs | {many / few:.2f} | {goal} |", flush=True)


def memory(clients: int, units: int) -> float:
    """Bytes that a queued job takes with everything that is kept for it, its id and client's name included."""
    tracemalloc.start()
    queue = FairQueue()
    for n in range(LARGE):
        costs = [0.1 * (1 + k) for k in range(units)]
        queue.push(Ticket(f"job number {n:012}", f"client number {n % clients:012}", costs=costs), n * 0.001)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(queue) == LARGE
    return used / LARGE


def arrivals(slots: int = 2, seed: int = 2, seconds: float = 3600.0) -> list[float]:
    """Relative errors of the ETA at submission while jobs keep arriving."""
    rnd, queue, now, ends = random.Random(seed), FairQueue(), 0.0, list[tuple[float, int, Ticket, int, float, float]]()
    told: dict[Ticket, tuple[float, float]] = {}
    last: dict[Ticket, float] = {}
    counts = (1, 2, 4, 20)
    mean = 0.25 * statistics.mean(counts)
    arrival, serial = 0.0, 0
    while now < seconds:
        now = min(arrival, ends[0][0]) if ends else arrival
        while ends and ends[0][0] <= now:
            _, _, ticket, index, cost, took = heapq.heappop(ends)
            queue.settle(ticket, index, cost, took)
            last[ticket] = now
        if arrival <= now:
            costs = [rnd.uniform(0.1, 0.4) for _ in range(rnd.choice(counts))]
            ticket = Ticket("job", rnd.choice("abcd"), rnd.choice(("vip", "normal", "normal", "bulk")), costs)
            queue.push(ticket, now)
            told[ticket] = now, queue.eta(ticket, slots, now, [max(0.0, end[0] - now) for end in ends])
            arrival = now + rnd.expovariate(0.9 * slots / mean)
        while len(ends) < slots and (popped := queue.pop(now)):
            serial += 1
            took = popped[2] * rnd.uniform(0.8, 1.2)
            heapq.heappush(ends, (now + took, serial, *popped, took))
    done = [ticket for ticket in told if ticket in last and not ticket.left and not ticket.in_flight]
    return [abs(told[t][1] - (last[t] - told[t][0])) / (last[t] - told[t][0]) for t in done]


def clock(run: Callable[[], object]) -> float:
    """Microseconds."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e6


if __name__ == "__main__":
    main()
