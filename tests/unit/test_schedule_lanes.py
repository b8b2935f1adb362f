"""The lanes of a flow: requests that somebody waits for go before durable jobs, which are not starved by them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.lanes import PASSES
from antiphon.schedule.ticket import Ticket
from tests.unit.test_schedule_queue import filled, order
from tests.unit.test_schedule_simulation import UNIT, Job, percentile, simulate, within

HOURS = 3600.0


def job(name: str, costs: Sequence[float] = (1.0,), *, waiting: bool = False, arrived: float | None = None) -> Ticket:
    ticket = Ticket(name, "ann", costs=costs, arrived=arrived)
    ticket.waiting = waiting
    return ticket


def test_a_request_that_somebody_waits_for_goes_before_shorter_and_older_durable_jobs() -> None:
    queue = filled(job("note", [0.1]), job("book", [1.0] * 3), job("page", [0.5] * 2, waiting=True), now=10 * HOURS)
    queue.push(job("old", [1.0] * 9, arrived=0.0), 10 * HOURS)
    assert order(queue, 10 * HOURS)[:3] == ["page:0", "page:1", "old:0"]


def test_a_short_request_is_next_however_long_a_book_has_been_in_line() -> None:
    """By age alone a book of an hour that has aged for ten would go before a second."""
    queue = filled(job("book", [1.0] * 3600, arrived=0.0), now=10 * HOURS)
    for n in range(12):
        queue.push(job(f"short {n}", waiting=True), 10 * HOURS + n)
        popped = queue.pop(10 * HOURS + n)
        assert popped is not None
        assert popped[0].job == f"short {n}"
        queue.settle(*popped, 1.0)
        if (popped := queue.pop(10 * HOURS + n)) is not None:
            assert popped[0].job == "book"
            queue.settle(*popped, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.05, 2.0), min_size=1, max_size=8), st.floats(0.2, 2.0), st.randoms())
def test_durable_work_gets_its_part_under_any_flood_of_requests(
    durable: list[float], largest: float, rnd: random.Random
) -> None:
    """The bound of `lanes`: at most `PASSES` seconds go before each second of it, and as many again for its next unit;
    and requests are held up by no more than what that pays for, and one unit."""
    book, queue = job("book", durable), FairQueue()
    queue.push(book, 0.0)
    passed, done, now, serial = 0.0, 0.0, 0.0, 0
    while book.left:
        while queue.queued_jobs("ann") < 4:
            serial += 1
            queue.push(job(f"short {serial}", [largest * rnd.uniform(0.1, 1.0)], waiting=True), now)
        taken, index, cost = queue.pop(now) or pytest.fail("nothing to hand out")
        queue.settle(taken, index, cost, cost)
        now += cost
        if taken is book:
            done += cost
            assert done <= passed / PASSES + 1e-4
        else:
            passed += cost
            assert passed <= PASSES * (done + max(durable)) + largest + 1e-4
    assert done == pytest.approx(sum(durable), rel=1e-5)


def test_what_was_passed_while_nothing_durable_was_queued_is_owed_to_nobody() -> None:
    queue = filled(*(job(f"short {n:02}", waiting=True) for n in range(50)))
    for _ in range(47):
        queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    queue.push(job("book", [0.5] * 5), 0.0)
    assert order(queue)[:3] == ["short 47:0", "short 48:0", "short 49:0"]


def test_durable_work_that_is_served_besides_is_owed_less() -> None:
    """A client that sends one request after the other leaves slots to its book, which then has no claim to more."""
    queue = filled(job("book", [1.0] * 500))
    for n in range(100):
        queue.push(job(f"short {n}", waiting=True), float(n))
        for expected in (f"short {n}", "book", "book"):
            taken, index, cost = queue.pop(float(n)) or pytest.fail("nothing to hand out")
            assert taken.job == expected
            queue.settle(taken, index, cost, cost)


def test_lanes_do_not_change_what_a_client_gets() -> None:
    jobs = [Job(0.0, "ann", [UNIT] * 600, waiting=True), Job(0.0, "ann", [UNIT] * 600), Job(0.0, "bob", [UNIT] * 1200)]
    simulate(jobs, slots=2, until=60.0)
    ann = sum(took for each in jobs[:2] for _, took in each.handed)
    bob = sum(took for _, took in jobs[2].handed)
    assert ann == pytest.approx(bob, abs=2 * UNIT)
    durable = sum(took for _, took in jobs[1].handed)
    assert durable / ann == pytest.approx(1 / (PASSES + 1), rel=0.05)


def test_a_request_is_heard_next_whatever_its_client_has_in_line() -> None:
    """Also where prices are wrong by far, as on a server that has just started."""
    book = [Job(0.0, "ann", [UNIT] * 300)]
    queued = [Job(0.01 * n, "ann", [UNIT] * 2) for n in range(50)]
    short = [Job(0.6 + 0.4 * n, "ann", [UNIT * 20], waiting=True) for n in range(40)]
    simulate([*book, *queued, *short], slots=2, truth=lambda each, cost: UNIT)
    waits = [each.took for each in short]
    assert percentile(waits, 0.5) <= 2 * UNIT + 1e-9
    assert max(waits) <= 2 * UNIT + 1e-9


def test_a_job_changes_its_lane_when_somebody_comes_and_goes() -> None:
    book, note = job("book", [1.0] * 3), job("note", [0.2])
    queue = filled(book, note)
    queue.set_waiting(book, True)
    assert [queue.position(each, 0.0) for each in (book, note)] == [1, 2]
    taken = queue.pop(0.0) or pytest.fail("nothing to hand out")
    assert taken[0] is book
    queue.set_waiting(book, False)
    assert [queue.position(each, 0.0) for each in (book, note)] == [2, 1]
    queue.settle(*taken, 1.0)
    assert order(queue) == ["note:0", "book:1", "book:2"]


def test_positions_and_etas_follow_the_lanes() -> None:
    book, note = job("book", [1.0] * 20), job("note", [0.5])
    first, second = job("first", [1.0], waiting=True), job("second", [1.0] * 30, waiting=True)
    queue = filled(book, note, second, first)
    assert [queue.position(each, 0.0) for each in (first, second)] == [1, 2]
    etas = {each.job: queue.eta(each, 1, 0.0) for each in (book, note, first, second)}
    ends, now = {}, 0.0
    while popped := queue.pop(0.0):
        now += popped[2]
        ends[popped[0].job] = now
        queue.settle(*popped, popped[2])
    assert ends["first"] < ends["note"] < ends["second"] < ends["book"]
    for name, end in ends.items():
        assert etas[name] == pytest.approx(end, abs=1.5), name


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("seed", range(6))
def test_the_eta_of_a_fixed_backlog_of_both_lanes_is_within_a_quarter_for_nine_jobs_in_ten(
    seed: int, slots: int
) -> None:
    rnd, jobs = random.Random(seed), []
    for _ in range(160):
        units = [UNIT * rnd.uniform(0.5, 2) for _ in range(rnd.choice((1, 1, 1, 2, 4, 20, 100)))]
        jobs.append(Job(0.0, f"c{rnd.randrange(4)}", units, waiting=rnd.random() < 0.4))
    assert within(simulate(jobs, slots, noise=0.2, seed=seed), 0.25) >= 0.9
