"""The contract of a queue policy, on every implementation: what holds whatever the order between jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.queue_policy import QueuePolicy
from antiphon.schedule.ticket import Ticket
from tests.unit.fifo_policy import FifoPolicy

POLICIES: tuple[Callable[[], QueuePolicy], ...] = (FairQueue, FifoPolicy)


@pytest.fixture(params=POLICIES, ids=lambda policy: policy.__name__)
def queue(request: pytest.FixtureRequest) -> QueuePolicy:
    made: QueuePolicy = request.param()
    return made


def ticket(job: str, client: str = "ann", costs: Sequence[float] = (1.0,)) -> Ticket:
    return Ticket(job, client, costs=costs)


def push(queue: QueuePolicy, *tickets: Ticket) -> None:
    for each in tickets:
        queue.push(each, 0.0)


def pop(queue: QueuePolicy) -> tuple[Ticket, int, float]:
    return queue.pop(0.0) or pytest.fail("nothing to hand out")


def order(queue: QueuePolicy) -> list[str]:
    """Units as they are handed out, each done at once; the head says before whose the next one is."""
    out = []
    while (bid := queue.head(0.0)) and (popped := queue.pop(0.0)):
        taken, index, cost = popped
        assert bid.flow == (taken.client, taken.priority)
        assert bid.urgent == bool(taken.front)
        out.append(f"{taken.job}:{index}")
        queue.settle(taken, index, cost, cost)
    assert queue.pop(0.0) is None
    return out


def test_units_of_a_job_go_in_order_and_the_job_is_counted_until_its_last(queue: QueuePolicy) -> None:
    push(queue, ticket("book", costs=[1.0, 2.0, 3.0]))
    assert queue.weight > 0
    assert [(len(queue), queue.backlog_seconds(), pop(queue)[1:]) for _ in range(3)] == [
        (1, 6.0, (0, 1.0)),
        (1, 5.0, (1, 2.0)),
        (1, 3.0, (2, 3.0)),
    ]
    assert queue.pop(0.0) is None
    assert queue.head(0.0) is None
    assert (len(queue), queue.backlog_seconds()) == (0, 0.0)


def test_every_unit_of_every_client_comes_out_once(queue: QueuePolicy) -> None:
    push(queue, *(ticket(f"{client}{n}", client, [0.1] * n) for client in ("ann", "bob", "cyd") for n in (1, 3, 8)))
    assert sorted(order(queue)) == sorted(
        f"{c}{n}:{k}" for c in ("ann", "bob", "cyd") for n in (1, 3, 8) for k in range(n)
    )


def test_only_those_who_wait_can_be_asked_for(queue: QueuePolicy) -> None:
    book, request, late = ticket("book", costs=[1.0, 1.0]), ticket("request", "bob"), ticket("late")
    request.waiting = True
    push(queue, book, request, late)
    assert (queue.head(0.0, waiting=True) or pytest.fail("one waits")).flow == ("bob", "normal")
    assert (queue.pop(0.0, waiting=True) or pytest.fail("one waits"))[0] is request
    assert (queue.head(0.0, waiting=True), queue.pop(0.0, waiting=True)) == (None, None)
    queue.set_waiting(late, True)
    assert (queue.pop(0.0, waiting=True) or pytest.fail("one waits"))[0] is late
    queue.move_to_front(book)
    assert (queue.pop(0.0, waiting=True) or pytest.fail("one is in front"))[0] is book
    assert order(queue) == ["book:1"]


def test_a_clients_own_durable_job_does_not_go_for_those_who_wait(queue: QueuePolicy) -> None:
    book, request = ticket("book", costs=[0.1]), ticket("request", costs=[1.0, 1.0])
    request.waiting = True
    push(queue, book, request)
    for _ in range(2):
        assert (queue.pop(0.0, waiting=True) or pytest.fail("one waits"))[0] is request
    assert queue.pop(0.0, waiting=True) is None
    assert order(queue) == ["book:0"]


def test_who_waits_and_is_held_is_not_handed_out(queue: QueuePolicy) -> None:
    request, other = ticket("request"), ticket("other", "bob")
    request.waiting = other.waiting = True
    push(queue, request, other)
    queue.pause("ann")
    assert (queue.pop(0.0, waiting=True) or pytest.fail("one waits"))[0] is other
    assert queue.pop(0.0, waiting=True) is None
    queue.resume("ann")
    queue.pause()
    assert queue.pop(0.0, waiting=True) is None
    queue.resume()
    assert (queue.pop(0.0, waiting=True) or pytest.fail("one waits"))[0] is request


def test_a_ticket_is_pushed_once(queue: QueuePolicy) -> None:
    book = ticket("book")
    push(queue, book)
    with pytest.raises(ValueError, match="queued before"):
        queue.push(book, 0.0)


def test_a_unit_that_comes_back_goes_first_within_its_job(queue: QueuePolicy) -> None:
    book = ticket("book", costs=[1.0] * 4)
    push(queue, book)
    taken = [pop(queue) for _ in range(3)]
    assert queue.put_back(*taken[1], 0.0)
    assert queue.put_back(*taken[0], 0.0)
    assert not queue.put_back(*taken[0], 0.0)
    assert queue.backlog_seconds() == pytest.approx(3.0)
    queue.settle(*taken[2], 1.0)
    assert order(queue) == ["book:0", "book:1", "book:3"]


def test_a_job_that_is_done_can_need_a_unit_again(queue: QueuePolicy) -> None:
    book = ticket("book", costs=[1.0, 1.0])
    push(queue, book)
    order(queue)
    assert queue.put_back(book, 1, 0.5, 9.0)
    assert queue.backlog_seconds() == 0.5
    assert order(queue) == ["book:1"]


def test_a_removed_job_is_gone_for_good_and_twice_is_once(queue: QueuePolicy) -> None:
    book, note = ticket("book", costs=[1.0] * 3), ticket("note", "bob")
    push(queue, book, note)
    queue.move_to_front(book)
    taken = pop(queue)
    queue.remove(book)
    queue.remove(book)
    queue.settle(*taken, 1.0)
    assert not queue.put_back(book, 0, 1.0, 0.0)
    for change in (queue.pause, queue.resume, queue.move_to_front):
        change(book)
    queue.change_class(book, "vip")
    assert queue.backlog_seconds() == pytest.approx(1.0)
    assert order(queue) == ["note:0"]


def test_what_is_moved_to_the_front_goes_before_all_and_the_last_moved_first(queue: QueuePolicy) -> None:
    first, second, other = ticket("first", costs=[1.0, 1.0]), ticket("second"), ticket("other", "bob", [0.1])
    push(queue, other, first, second)
    queue.move_to_front(first)
    taken = pop(queue)
    assert taken[0] is first
    queue.move_to_front(second)
    assert queue.put_back(*taken, 0.0)
    assert [queue.place(each, 1, 0.0)[0] for each in (second, first, other)] == [1, 2, 3]
    assert order(queue) == ["second:0", "first:0", "first:1", "other:0"]


def test_pauses_hold_a_job_a_client_or_everything_until_they_are_ended(queue: QueuePolicy) -> None:
    book, note, other = ticket("book", costs=[2.0]), ticket("note"), ticket("other", "bob")
    push(queue, book, note, other)
    queue.pause()
    assert order(queue) == []
    queue.resume()
    queue.pause(note)
    queue.pause("bob")
    assert [math.isinf(eta) for eta in queue.etas((book, note, other), 1, 0.0)] == [False, True, True]
    push(queue, ticket("more", "bob"))
    assert order(queue) == ["book:0"]
    assert (len(queue), queue.backlog_seconds()) == (3, pytest.approx(3.0))
    queue.resume("bob")
    assert order(queue) == ["other:0", "more:0"]
    queue.resume(note)
    assert order(queue) == ["note:0"]


def test_a_place_and_an_eta_count_what_goes_before_and_what_runs(queue: QueuePolicy) -> None:
    book = ticket("book", costs=[1.0] * 10)
    push(queue, book)
    assert queue.place(book, 1, 0.0) == (1, pytest.approx(10.0, rel=0.1))
    assert queue.etas((book,), 2, 0.0, (3.0, 3.0)) == [pytest.approx(8.0, rel=0.2)]
    order(queue)
    position, eta = queue.place(book, 1, 0.0)
    assert (position, math.isfinite(eta)) == (0, True)


def test_whether_somebody_waits_changes_no_sum_and_loses_no_unit(queue: QueuePolicy) -> None:
    book, note, other = ticket("book", costs=[1.0] * 3), ticket("note"), ticket("other", "bob")
    push(queue, book, note, other)
    taken = pop(queue)
    for waiting in (True, True, False, True):
        queue.set_waiting(book, waiting)
        queue.set_waiting(note, not waiting)
    assert (len(queue), queue.backlog_seconds()) == (len({book, note, other} - {t for t in (taken[0],) if not t.left}),
                                                     pytest.approx(4.0))  # fmt: skip
    assert queue.put_back(*taken, 0.0)
    assert sorted(order(queue)) == ["book:0", "book:1", "book:2", "note:0", "other:0"]
    queue.set_waiting(book, False)
    queue.remove(book)
    queue.set_waiting(book, True)
    assert len(queue) == 0


def test_another_class_counts_as_that_class(queue: QueuePolicy) -> None:
    book, note = ticket("book", costs=[1.0] * 3), ticket("note", "bob")
    push(queue, book, note)
    queue.change_class(book, "bulk")
    assert queue.backlog_by_class() == {"vip": 0.0, "normal": pytest.approx(1.0), "bulk": pytest.approx(3.0)}


def test_repricing_changes_what_is_left_and_nothing_else(queue: QueuePolicy) -> None:
    book = ticket("book", costs=[1.0, 2.0, 3.0])
    push(queue, book)
    pop(queue)
    queue.reprice(book, 2.0)
    assert book.pending() == [(1, 4.0), (2, 6.0)]
    assert queue.backlog_seconds() == pytest.approx(10.0)
    for factor in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="factor"):
            queue.reprice(book, factor)
