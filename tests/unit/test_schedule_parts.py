"""The parts that the fair queue is made of: tickets, the order inside a flow, heaps, virtual time."""

from __future__ import annotations

import math
import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from antiphon.schedule.aging_srpt import STEP, AgingSrptQueue, bucket_of
from antiphon.schedule.eta import seconds_until_start
from antiphon.schedule.flow import Flow
from antiphon.schedule.indexed_heap import IndexedHeap
from antiphon.schedule.ticket import Ticket
from antiphon.schedule.virtual_time import VirtualTime


@given(st.lists(st.tuples(st.floats(0.01, 1000), st.floats(0, 500)), min_size=1, max_size=60), st.floats(500, 5000))
def test_what_goes_next_is_the_best_by_the_exact_rule_up_to_the_promised_factor(
    jobs: list[tuple[float, float]], now: float
) -> None:
    queue = AgingSrptQueue(30.0)
    for n, (seconds, arrived) in enumerate(jobs):
        each = Ticket(str(n), "ann", costs=[seconds], arrived=arrived)
        each.serial = n
        queue.add(each)
    exact = min(seconds / (1 + (now - arrived) / 30) ** 2 for seconds, arrived in jobs)
    assert queue.score(queue.head(now), now) <= STEP * exact * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_line_counts_as_brute_force_does(seed: int) -> None:
    """Enough jobs for many blocks, of any age, some handed out in part, some taken out again."""
    rnd, queue, tickets = random.Random(seed), AgingSrptQueue(30.0), []
    for n in range(1500):
        costs = [rnd.choice((0.2, 1.0, 7.0))] * rnd.choice((1, 2, 5))
        tickets.append(Ticket(str(n), "ann", costs=costs, arrived=float(rnd.randrange(50))))
        tickets[-1].serial = n
        queue.add(tickets[-1])
    for each in rnd.sample(tickets, 700):
        queue.remove(each)
        tickets.remove(each)
    for each in rnd.sample(tickets, 300):
        queue.take(each)
        if not each.left:
            tickets.remove(each)
    assert queue.count == len(tickets)
    assert queue.units == sum(each.left for each in tickets)
    assert queue.seconds == pytest.approx(math.fsum(each.remaining for each in tickets))
    assert sum(bucket.count for bucket in queue.buckets.values()) == len(tickets)
    for level, bucket in queue.buckets.items():
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
    rnd, queue, tickets = random.Random(seed), AgingSrptQueue(30.0), []
    for n in range(300):
        tickets.append(Ticket(str(n), "ann", costs=[rnd.choice((0.2, 1.0, 7.0))], arrived=rnd.uniform(0, 60)))
        tickets[-1].serial = n
        queue.add(tickets[-1])
    exact = sorted(tickets, key=lambda each: queue.score(each, 60.0))
    for place in range(0, 300, 17):
        count, seconds = queue.ahead(exact[place], 60.0)
        assert count == place
        assert seconds == pytest.approx(math.fsum(each.remaining for each in exact[:place]), abs=1e-6)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 8])
def test_a_unit_is_expected_to_start_when_a_slot_comes_free(slots: int) -> None:
    for count in range(60):
        assert seconds_until_start(slots, [], count * 0.5, 0.5) == pytest.approx(count // slots * 0.5, abs=0.25)
    assert seconds_until_start(slots, [3.0] * slots, 0.0, 0.5) == 3.0
    assert seconds_until_start(slots, [3.0] * (slots - 1), 0.0, 0.5) == 0.0
    assert seconds_until_start(slots, [9.0] * (slots + 5), 0.0, 0.5) == 9.0


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
    heap: IndexedHeap[int] = IndexedHeap()
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
