"""The fair queue, one behaviour at a time. What every queue promises is in `test_schedule_contract`, all together in
tests/state."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from antiphon.domain.job import Priority
from antiphon.schedule.fair_queue import WEIGHTS, FairQueue
from antiphon.schedule.ticket import Ticket


def ticket(job: str, client: str = "ann", priority: Priority = "normal", costs: Sequence[float] = (1.0,)) -> Ticket:
    return Ticket(job, client, priority, costs)


def filled(*tickets: Ticket, now: float = 0.0) -> FairQueue:
    queue = FairQueue()
    for each in tickets:
        queue.push(each, now)
    return queue


def order(queue: FairQueue, now: float = 0.0) -> list[str]:
    """Units as they are handed out, each done at once."""
    out = []
    while popped := queue.pop(now):
        taken, index, cost = popped
        out.append(f"{taken.job}:{index}")
        queue.settle(taken, index, cost, cost)
    return out


def test_the_shortest_job_of_a_client_goes_first_and_its_units_in_order() -> None:
    queue = filled(ticket("book", costs=[1.0] * 3), ticket("note", costs=[0.2]), ticket("page", costs=[0.5, 0.6]))
    assert order(queue) == ["note:0", "page:0", "page:1", "book:0", "book:1", "book:2"]


def test_dead_workers_cost_their_client_nothing() -> None:
    ann, bob = ticket("a", "ann", costs=[1.0] * 50), ticket("b", "bob", costs=[1.0] * 50)
    queue, deaths = filled(ann, bob), 0
    for _ in range(60):
        taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
        if taken is ann and index % 2 == 0 and deaths < 2 * (index // 2 + 1):
            deaths += 1
            queue.put_back(taken, index, cost, 0.0)
        else:
            queue.settle(taken, index, cost, cost)
    assert deaths > 10
    assert abs(ann.left - bob.left) <= 1


def test_a_unit_that_was_found_costs_nothing() -> None:
    ann, bob = ticket("a", "ann", costs=[1.0] * 40), ticket("b", "bob", costs=[1.0] * 40)
    queue = filled(ann, bob)
    real = {ann: 0, bob: 0}
    for _ in range(40):
        taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
        found = taken is ann and index % 2 == 0
        real[taken] += not found
        queue.settle(taken, index, cost, 0.0 if found else cost)
    assert abs(real[ann] - real[bob]) <= 1


def test_units_keep_their_numbers() -> None:
    book = Ticket("book", "ann", costs=[1.0, 2.0, 3.0, 4.0], indices=[3, 5, 6, 9])
    queue = filled(book)
    assert queue.backlog_seconds() == pytest.approx(10.0)
    assert order(queue) == ["book:3", "book:5", "book:6", "book:9"]


def test_a_finished_job_can_need_a_unit_once_more() -> None:
    book = ticket("book", costs=[1.0, 1.0])
    queue = filled(book)
    order(queue)
    assert len(queue) == 0
    assert queue.put_back(book, 1, 0.5, 9.0)
    assert not queue.put_back(book, 1, 0.5, 9.0)
    assert queue.backlog_seconds("ann") == 0.5
    assert order(queue) == ["book:1"]


def test_the_front_goes_before_all_and_nobody_pays_for_it() -> None:
    book, note, other = ticket("book", costs=[1.0] * 3), ticket("note", costs=[0.1]), ticket("other", "bob", "vip")
    queue = filled(book, note, other)
    queue.move_to_front(note)
    queue.move_to_front(book)
    assert [queue.position(each, 0.0) for each in (book, note, other)] == [1, 2, 3]
    assert order(queue)[:4] == ["book:0", "book:1", "book:2", "note:0"]
    # Had Ann paid, she would stand behind everybody now.
    queue.push(ticket("next"), 0.0)
    queue.push(ticket("last", "cyd"), 0.0)
    assert order(queue)[0] in ("other:0", "next:0")


def test_a_unit_from_the_front_that_took_long_is_paid_for_by_nobody() -> None:
    ann, gift, bob = ticket("a", costs=[1.0] * 9), ticket("gift"), ticket("b", "bob", costs=[1.0] * 9)
    queue = filled(ann, gift, bob)
    queue.move_to_front(gift)
    queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1000.0)
    assert {unit[0] for unit in order(queue)[:2]} == {"a", "b"}


def test_pauses_hold_a_job_a_client_or_everything_until_they_are_ended() -> None:
    book, note, other = ticket("book", costs=[2.0]), ticket("note", costs=[1.0]), ticket("other", "bob")
    queue = filled(book, note, other)
    queue.pause()
    assert queue.pop(0.0) is None
    queue.resume()
    queue.pause(note)
    queue.pause("bob")
    assert math.isinf(queue.eta(note, 1, 0.0))
    assert math.isinf(queue.eta(other, 1, 0.0))
    assert queue.eta(book, 1, 0.0) == pytest.approx(2.0)
    queue.push(ticket("more", "bob"), 0.0)
    assert order(queue) == ["book:0"]
    assert len(queue) == 3
    assert queue.backlog_seconds() == pytest.approx(3.0)
    queue.resume("bob")
    assert order(queue) == ["other:0", "more:0"]
    queue.resume(note)
    assert order(queue) == ["note:0"]


@pytest.mark.parametrize("seed", range(6))
def test_any_two_busy_flows_are_served_alike_up_to_the_bound_of_the_paper(seed: int) -> None:
    """Over every stretch of time: the lead of one over the other stays within a band. Later flows join on the way."""
    rnd, queue = random.Random(seed), FairQueue()
    classes: tuple[Priority, ...] = ("vip", "normal", "bulk") if seed % 2 else ("normal",)
    flows: list[Ticket] = []
    served: dict[Ticket, float] = {}
    bands: dict[tuple[Ticket, Ticket], tuple[float, float]] = {}
    for step in range(1500):
        if step % 100 == 0:
            new = ticket(f"{step}", f"c{step}", rnd.choice(classes), [rnd.uniform(0.05, 1.0) for _ in range(2000)])
            flows.append(new)
            served[new] = 0.0
            queue.push(new, 0.0)
        taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
        queue.settle(taken, index, cost, cost)
        served[taken] += cost / WEIGHTS[taken.priority]
        for other in flows:
            pair = (taken, other) if flows.index(taken) < flows.index(other) else (other, taken)
            lead = served[pair[0]] - served[pair[1]]
            low, high = bands.get(pair, (lead, lead))
            bands[pair] = min(low, lead), max(high, lead)
    for (one, other), (low, high) in bands.items():
        bound = 1 / WEIGHTS[one.priority] + 1 / WEIGHTS[other.priority]
        assert high - low <= (2 if seed % 2 else 1) * bound + 1e-6, (one, other)


def test_a_pause_earns_nothing() -> None:
    ann, bob = ticket("a", "ann", costs=[1.0] * 100), ticket("b", "bob", costs=[1.0] * 100)
    queue = filled(ann, bob)
    queue.pause("ann")
    for _ in range(50):
        queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    queue.resume("ann")
    for _ in range(20):
        queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    assert 89 <= ann.left <= 91


def test_leaving_and_coming_back_does_not_wipe_out_what_was_had() -> None:
    """Ann never has more than one unit queued; her class still gets a fifth beside a normal one, not every other."""
    bob, served = ticket("b", "bob", costs=[1.0] * 300), 0
    queue = filled(bob, ticket("a", "ann", "bulk"))
    for _ in range(200):
        taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
        queue.settle(taken, index, cost, cost)
        if taken is not bob:
            served += 1
            queue.push(ticket("a", "ann", "bulk"), 0.0)
    assert served == pytest.approx(40, abs=2)


def test_another_class_is_another_share() -> None:
    ann, bob = ticket("a", "ann", costs=[1.0] * 100), ticket("b", "bob", costs=[1.0] * 100)
    queue = filled(ann, bob)
    queue.change_class(ann, "vip")
    assert queue.backlog_seconds("ann", "vip") == 100.0
    assert queue.backlog_seconds("ann", "normal") == 0.0
    for _ in range(50):
        queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    assert 100 - ann.left == pytest.approx(40, abs=2)


def test_a_job_with_a_deadline_is_bulk_until_its_slack_runs_out() -> None:
    dated = Ticket("dated", "ann", "vip", [1.0] * 10, deadline=1000.0)
    queue = filled(dated, ticket("other", "bob", costs=[1.0] * 1000))
    assert queue.backlog_seconds("ann", "bulk") == 10.0
    # Bulk beside normal is a fifth: ten units need 50 s, and the slot may have to be waited for another one.
    for now, raised in ((0.0, False), (930.0, False), (950.0, True)):
        queue.settle(*(queue.pop(now) or pytest.fail("nothing to hand out")), 1.0)
        assert dated.raised == raised
    assert queue.backlog_seconds("ann", "vip") > 0


def test_a_crowd_that_comes_later_makes_a_deadline_due_earlier() -> None:
    dated = Ticket("dated", "ann", "normal", [1.0] * 10, deadline=1000.0)
    queue = filled(dated)
    for n in range(20):
        queue.push(ticket(f"other {n}", f"c{n}", costs=[1.0] * 100), 0.0)
    # Among twenty others its ten units need 810 s.
    for now, raised in ((100.0, False), (200.0, True)):
        queue.settle(*(queue.pop(now) or pytest.fail("nothing to hand out")), 1.0)
        assert dated.raised == raised


def test_a_job_whose_deadline_has_passed_still_runs_and_a_class_outranks_a_deadline() -> None:
    late, calm = Ticket("late", "ann", costs=[1.0], deadline=-5.0), Ticket("calm", "ann", costs=[1.0], deadline=-5.0)
    queue = filled(late, calm)
    queue.change_class(calm, "bulk")
    assert order(queue) == ["late:0", "calm:0"]
