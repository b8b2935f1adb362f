"""What the fair queue tells about places in it, and what it keeps in memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from antiphon.schedule.fair_queue import FairQueue
from tests.unit.test_schedule_queue import filled, order, ticket


def test_who_waits_behind_the_front_is_told_so() -> None:
    ann, gift = ticket("a", costs=[1.0]), ticket("gift", costs=[5.0] * 3)
    queue = filled(ann, gift)
    queue.move_to_front(gift)
    assert queue.eta(ann, 1, 0.0) == pytest.approx(16.0)
    assert queue.eta(gift, 1, 0.0, [2.0]) == pytest.approx(17.0)
    queue.move_to_front(ann)
    assert queue.eta(gift, 1, 0.0) == pytest.approx(16.0)


def test_the_eta_knows_units_in_flight() -> None:
    book = ticket("book", costs=[5.0])
    queue = filled(book)
    queue.pop(10.0)
    assert queue.position(book, 12.0) == 0
    assert queue.eta(book, 1, 12.0, [3.0]) == pytest.approx(3.0)
    assert queue.eta(book, 1, 99.0, [0.0]) == 0.0
    queue.settle(book, 0, 5.0, 5.0)
    assert queue.eta(book, 1, 99.0) == 0.0


def test_positions_count_jobs() -> None:
    tickets = [ticket(f"{n}", "ann", costs=[0.1 * 2**n]) for n in range(5)]
    queue = filled(*tickets)
    assert [queue.position(each, 0.0) for each in tickets] == [1, 2, 3, 4, 5]
    assert order(queue) == [f"{n}:0" for n in range(5)]


@pytest.mark.parametrize("seed", range(5))
def test_positions_are_about_the_order_in_which_jobs_start(seed: int) -> None:
    rnd, tickets = random.Random(seed), []
    for n in range(200):
        costs = [rnd.uniform(0.1, 0.3)] * rnd.choice((1, 1, 2, 5, 30))
        tickets.append(ticket(str(n), f"c{rnd.randrange(8)}", rnd.choice(("vip", "normal", "bulk")), costs))
    queue = filled(*tickets)
    told = {each.job: queue.position(each, 0.0) for each in tickets}
    started = list(dict.fromkeys(unit.partition(":")[0] for unit in order(queue)))
    off = [abs(told[job] - place) for place, job in enumerate(started, 1)]
    assert sorted(off)[int(len(off) * 0.9)] <= 0.15 * len(tickets)
    assert told[started[0]] == 1


def test_a_queue_that_was_emptied_has_forgotten_its_clients() -> None:
    queue = FairQueue()
    for n in range(1000):
        queue.push(ticket("job", f"client {n}"), 0.0)
        order(queue)
    assert len(queue._flows._flows) <= 1


def test_time_has_caught_up_with_everybody_when_all_is_done() -> None:
    rnd, queue = random.Random(1), FairQueue()
    for n in range(1000):
        queue.push(ticket("job", f"client {n}", rnd.choice(("vip", "normal", "bulk"))), 0.0)
    order(queue)
    assert len(queue._flows._flows) <= 1


def test_idle_flows_are_let_go_while_others_are_busy() -> None:
    queue = filled(ticket("book", "busy", costs=[1.0] * 5000))
    for n in range(1000):
        queue.push(ticket("job", f"client {n}"), 0.0)
        for _ in range(3):
            queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    assert len(queue._flows._flows) < 20


def test_a_queued_job_takes_little_memory() -> None:
    """2 kB at most, with a job id and a client of its own."""
    count = 2000
    tracemalloc.start()
    queue = FairQueue()
    for n in range(count):
        queue.push(ticket(f"job number {n:010}", f"client number {n:010}", costs=[0.5]), 0.0)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(queue) == count
    assert used / count <= 2048
