"""The fair queue, one behaviour at a time; all of them together are in tests/state."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from antiphon.domain.job import Priority
from antiphon.schedule.eta import start
from antiphon.schedule.flow import Flow, VirtualTime
from antiphon.schedule.heap import Heap
from antiphon.schedule.line import STEP, Line, bucket_of
from antiphon.schedule.queue import FairQueue, Ticket


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


def test_a_ticket_can_be_popped_again_at_once_for_another_slot() -> None:
    queue = filled(ticket("book", costs=[1.0, 2.0, 3.0]))
    assert [popped[1:] for popped in (queue.pop(0), queue.pop(0), queue.pop(0)) if popped] == [
        (0, 1.0),
        (1, 2.0),
        (2, 3.0),
    ]
    assert queue.pop(0) is None


@given(st.lists(st.tuples(st.floats(0.01, 1000), st.floats(0, 500)), min_size=1, max_size=60), st.floats(500, 5000))
def test_what_goes_next_is_the_best_by_the_exact_rule_up_to_the_promised_factor(
    jobs: list[tuple[float, float]], now: float
) -> None:
    line = Line(30.0)
    for n, (seconds, arrived) in enumerate(jobs):
        each = Ticket(str(n), "ann", costs=[seconds], arrived=arrived)
        each.serial = n
        line.add(each)
    exact = min(seconds / (1 + (now - arrived) / 30) ** 2 for seconds, arrived in jobs)
    assert line.score(line.head(now), now) <= STEP * exact * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_line_counts_as_brute_force_does(seed: int) -> None:
    """Enough jobs for many blocks, of any age, some handed out in part, some taken out again."""
    rnd, line, tickets = random.Random(seed), Line(30.0), []
    for n in range(1500):
        costs = [rnd.choice((0.2, 1.0, 7.0))] * rnd.choice((1, 2, 5))
        tickets.append(Ticket(str(n), "ann", costs=costs, arrived=float(rnd.randrange(50))))
        tickets[-1].serial = n
        line.add(tickets[-1])
    for each in rnd.sample(tickets, 700):
        line.remove(each)
        tickets.remove(each)
    for each in rnd.sample(tickets, 300):
        line.take(each)
        if not each.left:
            tickets.remove(each)
    assert line.count == len(tickets)
    assert line.units == sum(each.left for each in tickets)
    assert line.seconds == pytest.approx(math.fsum(each.remaining for each in tickets))
    assert sum(bucket.count for bucket in line.buckets.values()) == len(tickets)
    for level, bucket in line.buckets.items():
        kept = sorted((e for e in tickets if bucket_of(e.remaining) == level), key=lambda e: (e.arrived, e.serial))
        assert [entry[2] for block in bucket.blocks for entry in block] == kept
        assert bucket.head is kept[0]
        assert bucket.total == pytest.approx(math.fsum(e.remaining for e in kept))
        for place in (0, len(kept) // 3, len(kept) - 1):
            count, seconds = bucket.before((kept[place].arrived, kept[place].serial))
            assert count == place
            assert seconds == pytest.approx(math.fsum(e.remaining for e in kept[:place]), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_who_is_ahead_of_a_job_is_who_has_the_better_score(seed: int) -> None:
    rnd, line, tickets = random.Random(seed), Line(30.0), []
    for n in range(300):
        tickets.append(Ticket(str(n), "ann", costs=[rnd.choice((0.2, 1.0, 7.0))], arrived=rnd.uniform(0, 60)))
        tickets[-1].serial = n
        line.add(tickets[-1])
    exact = sorted(tickets, key=lambda each: line.score(each, 60.0))
    for place in range(0, 300, 17):
        count, seconds = line.ahead(exact[place], 60.0)
        assert count == place
        assert seconds == pytest.approx(math.fsum(each.remaining for each in exact[:place]), abs=1e-6)


def test_a_unit_whose_worker_died_goes_first_within_its_job() -> None:
    book = ticket("book", costs=[1.0] * 4)
    queue = filled(book)
    taken = [queue.pop(0.0) or pytest.fail("nothing to hand out") for _ in range(3)]
    assert queue.put_back(*taken[1], 0.0)
    assert queue.put_back(*taken[0], 0.0)
    assert queue.backlog_seconds() == pytest.approx(3.0)
    queue.settle(*taken[2], 1.0)
    assert order(queue) == ["book:0", "book:1", "book:3"]


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


def test_a_dropped_unit_is_not_handed_out() -> None:
    book = Ticket("book", "ann", costs=[1.0, 2.0, 3.0, 4.0], indices=[3, 5, 6, 9])
    queue = filled(book)
    assert [queue.drop_unit(book, index) for index in (3, 6, 6, 4)] == [True, True, False, False]
    assert queue.backlog_seconds() == pytest.approx(6.0)
    assert order(queue) == ["book:5", "book:9"]
    assert not queue.drop_unit(book, 9)


def test_a_finished_job_can_need_a_unit_once_more() -> None:
    book = ticket("book", costs=[1.0, 1.0])
    queue = filled(book)
    order(queue)
    assert len(queue) == 0
    assert queue.put_back(book, 1, 0.5, 9.0)
    assert not queue.put_back(book, 1, 0.5, 9.0)
    assert queue.backlog_seconds("ann") == 0.5
    assert order(queue) == ["book:1"]


def test_a_removed_job_is_gone_for_good_and_twice_is_once() -> None:
    book, note = ticket("book", costs=[1.0] * 3), ticket("note", "bob")
    queue = filled(book, note)
    taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
    queue.remove(book)
    queue.remove(book)
    queue.settle(taken, index, cost, cost)
    assert not queue.put_back(book, 0, 1.0, 0.0)
    for change in (queue.pause, queue.resume, queue.move_to_front):
        change(book)
    queue.change_class(book, "vip")
    assert order(queue) == ["note:0"]
    with pytest.raises(ValueError, match="queued before"):
        queue.push(book, 0.0)


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


def test_who_waits_behind_the_front_is_told_so() -> None:
    ann, gift = ticket("a", costs=[1.0]), ticket("gift", costs=[5.0] * 3)
    queue = filled(ann, gift)
    queue.move_to_front(gift)
    assert queue.eta(ann, 1, 0.0) == pytest.approx(16.0)
    assert queue.eta(gift, 1, 0.0, [2.0]) == pytest.approx(17.0)
    queue.move_to_front(ann)
    assert queue.eta(gift, 1, 0.0) == pytest.approx(16.0)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 8])
def test_a_unit_is_expected_to_start_when_a_slot_comes_free(slots: int) -> None:
    for count in range(60):
        assert start(slots, [], count * 0.5, 0.5) == pytest.approx(count // slots * 0.5, abs=0.25)
    assert start(slots, [3.0] * slots, 0.0, 0.5) == 3.0
    assert start(slots, [3.0] * (slots - 1), 0.0, 0.5) == 0.0
    assert start(slots, [9.0] * (slots + 5), 0.0, 0.5) == 9.0


def test_a_unit_that_comes_back_does_not_overtake_who_was_moved_to_the_front_later() -> None:
    first, second = ticket("first", costs=[1.0, 1.0]), ticket("second")
    queue = filled(first, second)
    queue.move_to_front(first)
    taken, index, cost = queue.pop(0.0) or pytest.fail("nothing to hand out")
    queue.move_to_front(second)
    queue.put_back(taken, index, cost, 0.0)
    assert order(queue) == ["second:0", "first:0", "first:1"]


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


def test_repricing_changes_what_is_left_and_nothing_else() -> None:
    book = ticket("book", costs=[1.0, 2.0, 3.0])
    queue = filled(book)
    queue.pop(0.0)
    queue.reprice(book, 2.0)
    assert book.pending() == [(1, 4.0), (2, 6.0)]
    assert queue.backlog_seconds() == pytest.approx(10.0)
    for factor in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="factor"):
            queue.reprice(book, factor)


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
    assert len(queue._shares._flows) <= 1


def test_time_has_caught_up_with_everybody_when_all_is_done() -> None:
    rnd, queue = random.Random(1), FairQueue()
    for n in range(1000):
        queue.push(ticket("job", f"client {n}", rnd.choice(("vip", "normal", "bulk"))), 0.0)
    order(queue)
    assert len(queue._shares._flows) <= 1


def test_idle_flows_are_let_go_while_others_are_busy() -> None:
    queue = filled(ticket("book", "busy", costs=[1.0] * 5000))
    for n in range(1000):
        queue.push(ticket("job", f"client {n}"), 0.0)
        for _ in range(3):
            queue.settle(*(queue.pop(0.0) or pytest.fail("nothing to hand out")), 1.0)
    assert len(queue._shares._flows) < 20


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


@pytest.mark.parametrize("costs", [[], [math.nan], [math.inf], [-0.1], [1.0, -1.0]])
def test_costs_that_cannot_be_are_refused(costs: list[float]) -> None:
    with pytest.raises(ValueError, match="costs"):
        Ticket("job", "ann", costs=costs)


@pytest.mark.parametrize("indices", [[0], [1, 0], [2, 2], [-1, 0], [0, 1, 2]])
def test_numbers_that_cannot_be_are_refused(indices: list[int]) -> None:
    with pytest.raises(ValueError, match="indices"):
        Ticket("job", "ann", costs=[1.0, 1.0], indices=indices)


def test_single_and_equal_units_carry_no_array() -> None:
    assert isinstance(Ticket("job", "ann", costs=[0.1])._costs, float)
    many = Ticket("job", "ann", costs=[0.1] * 500, indices=range(7, 507))
    assert isinstance(many._costs, float)
    assert many._indices is None
    assert many.pending()[-1] == (506, 0.1)


@given(st.lists(st.tuples(st.integers(0, 8), st.one_of(st.none(), st.integers(0, 5)))))
def test_the_heap_tells_the_least_whatever_was_changed_or_taken_out(steps: list[tuple[int, int | None]]) -> None:
    heap: Heap[int] = Heap()
    known: dict[int, float] = {}
    for item, key in steps * 5:
        if key is None:
            heap.discard(item)
            known.pop(item, None)
        else:
            heap.set(item, key)
            known[item] = key
        first = heap.first()
        assert (first and first[0]) == min(known.values(), default=None)
        assert first is None or known[first[1]] == first[0]
        assert (len(heap), set(heap)) == (len(known), set(known))
        assert len(heap._heap) <= 2 * len(known) + 33


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(("join", "leave", "charge", "refund"))), max_size=60))
def test_virtual_time_never_goes_back_and_its_weight_is_that_of_who_shares(steps: list[tuple[int, str]]) -> None:
    time = VirtualTime()
    flows = [Flow(str(n), "normal", weight, 30.0) for n, weight in enumerate((4.0, 1.0, 1.0, 0.25))]
    time.join(flows[0])
    time.join(flows[3])
    for n, step in steps:
        flow, before = flows[n], time.now
        if step == "join" and not flow.active:
            time.join(flow)
            assert flow.start >= time.now
        elif step == "leave" and flow.active:
            time.leave(flow)
        elif step in ("charge", "refund"):
            time.charge(flow, 1.0 if step == "charge" else -1.0)
        assert time.now >= before
        assert all(time.remembers(f) == (not f.active and f.start > time.now) for f in flows)
        assert time.weight == sum(f.weight for f in flows if f.active or f.start > time.now)
