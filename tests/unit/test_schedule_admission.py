"""Admission at its edges, and a Retry-After that is true."""

from __future__ import annotations

import random
from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
from hypothesis import given

from antiphon.domain import errors
from antiphon.schedule.admission import SOONEST, Admission
from antiphon.schedule.lanes import PASSES

EPSILON = 0.001


def books(**bounds: float) -> Admission:
    return Admission(
        **{"client_seconds": 100.0, "total_seconds": 250.0, "client_bytes": 1000, "total_bytes": 2500, **bounds}
    )  # type: ignore[arg-type]


@dataclass
class ClientLane:
    """One lane of one client: what is left of its ordinary jobs and, last in line, of its long one."""

    client: str
    waiting: bool
    ordinary: float = 0.0
    long: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ordinary + self.long

    @property
    def next(self) -> float:
        """Seconds until the lane changes."""
        return self.ordinary or self.long

    def spend(self, admission: Admission, seconds: float) -> None:
        seconds, long = min(seconds, self.next), not self.ordinary
        left = self.next - seconds if self.next - seconds > 1e-9 else 0.0
        if long:
            self.long = left
        else:
            self.ordinary = left
        admission.spend(self.client, seconds, waiting=self.waiting, long=long)
        if long and not left:
            # The job is at its end.
            admission.give_back(self.client, 1e-12, 0, waiting=self.waiting, long=True)


def drain(admission: Admission, lanes: list[ClientLane], seconds: float, slots: int) -> None:
    """Works off what is waiting for a time: clients in equal shares, of each the waiting lane and `1 / PASSES` of the
    durable one."""
    left = seconds * slots
    while left > 1e-9:
        rates: dict[str, list[tuple[ClientLane, float]]] = {}
        for client in {lane.client for lane in lanes}:
            own = [lane for lane in lanes if lane.client == client and lane.seconds]
            weights = [PASSES if lane.waiting else 1.0 for lane in own]
            if own:
                rates[client] = [(lane, weight / sum(weights)) for lane, weight in zip(own, weights, strict=True)]
        if not rates:
            return
        step = min([left / len(rates), *(lane.next / rate for own in rates.values() for lane, rate in own)])
        for own in rates.values():
            for lane, rate in own:
                lane.spend(admission, step * rate)
        left -= step * len(rates)


def test_what_just_fits_is_taken_and_a_little_more_is_refused_for_a_client() -> None:
    for seconds, nbytes in ((40.0, 10), (0.001, 400)):
        admission = books()
        admission.take("ann", 60.0, 600)
        admission.check("ann", seconds, nbytes)
        with pytest.raises(errors.OverShare, match="waiting"):
            admission.check("ann", 40.0 + EPSILON, 10)
        with pytest.raises(errors.OverShare):
            admission.check("ann", 0.001, 401)
        admission.check("bob", 100.0, 1000)


def test_what_just_fits_is_taken_and_a_little_more_is_refused_overall() -> None:
    admission = books()
    for client in ("ann", "bob"):
        admission.take(client, 100.0, 1000)
    admission.check("cyd", 50.0, 500)
    with pytest.raises(errors.QueueFull, match="full"):
        admission.check("cyd", 50.0 + EPSILON, 500)
    with pytest.raises(errors.QueueFull):
        admission.check("cyd", 50.0, 501)


def test_the_number_of_jobs_is_bounded_by_client() -> None:
    admission = books(client_jobs=3)
    for _ in range(3):
        admission.take("ann", 1.0, 1)
    with pytest.raises(errors.OverShare) as refused:
        admission.take("ann", 1.0, 1)
    assert refused.value.retry_after == pytest.approx(1.0)
    admission.take("bob", 1.0, 1)
    admission.give_back("ann", 1.0, 1)
    admission.take("ann", 1.0, 1)


def test_many_small_numbers_add_up_to_what_just_fits() -> None:
    """Ten times 0.7 is a little more than 7 in binary."""
    admission = books(client_seconds=7.0)
    for _ in range(10):
        admission.take("ann", 0.7, 1)
    with pytest.raises(errors.OverShare):
        admission.take("ann", EPSILON, 0)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_client_may_bring_one_long_job_and_all_that_it_may_have_besides(waiting: bool) -> None:
    admission = books()
    admission.take("ann", 60.0, 10, waiting=waiting)
    assert admission.take("ann", 57_600.0, 900, waiting=waiting)
    assert not admission.take("ann", 40.0, 10, waiting=waiting)
    with pytest.raises(errors.OverShare) as refused:
        admission.take("ann", 0.5, 1, waiting=waiting)
    assert refused.value.retry_after == pytest.approx(0.5)
    with pytest.raises(errors.OverShare, match="fits in 16 h 2 min") as refused:
        admission.take("ann", 100.5, 1, waiting=waiting)
    assert refused.value.retry_after == pytest.approx(57_700.0)
    admission.give_back("ann", 57_600.0, 900, waiting=waiting, long=True)
    admission.take("ann", 100.5, 1, waiting=waiting)


def test_a_book_refuses_no_short_request_and_a_burst_of_requests_no_job() -> None:
    admission = books()
    admission.take("ann", 100.0, 1000)
    for client in ("bob", "cyd", "dan"):
        admission.force(client, 100.0, 1000)
    admission.take("ann", 0.5, 1, waiting=True)
    for client in ("ann", "bob", "cyd", "dan"):
        admission.force(client, 90.0, 900, waiting=True)
    admission.give_back("ann", 100.0, 1000)
    admission.give_back("bob", 100.0, 1000)
    admission.take("ann", 50.0, 500)
    with pytest.raises(errors.QueueFull):
        admission.take("eve", 1.0, 1, waiting=True)
    assert admission.queued("ann") == (50.0, 500, 1)
    assert admission.queued("ann", waiting=True) == (90.5, 901, 2)


def test_the_lanes_are_told_apart_by_the_time_that_they_take() -> None:
    admission = books()
    admission.take("ann", 100.0, 10)
    admission.take("ann", 100.0, 10, waiting=True)
    with pytest.raises(errors.OverShare, match="requests") as refused:
        admission.take("ann", 8.0, 1, waiting=True)
    assert refused.value.retry_after == pytest.approx(8.0 * (1 + 1 / PASSES))
    with pytest.raises(errors.OverShare, match="jobs") as refused:
        admission.take("ann", 2.0, 1)
    assert refused.value.retry_after == pytest.approx(2.0 * (1 + PASSES))
    with pytest.raises(errors.OverShare) as refused:
        admission.take("ann", 50.0, 1)
    assert refused.value.retry_after == pytest.approx(150.0)


def test_a_long_job_does_not_lock_the_others_out() -> None:
    admission = books()
    admission.take("ann", 57_600.0, 900)
    # It counts for one client's share.
    admission.take("bob", 100.0, 10)
    admission.take("cyd", 50.0, 10)
    with pytest.raises(errors.QueueFull):
        admission.take("dan", 1.0, 1)


def test_an_empty_queue_takes_anything() -> None:
    admission = books(total_seconds=10.0, total_bytes=10)
    admission.take("ann", 5000.0, 5000)
    with pytest.raises(errors.QueueFull):
        admission.take("bob", 1.0, 1)
    admission.give_back("ann", 5000.0, 5000)
    admission.take("bob", 5000.0, 5000)


def test_giving_back_is_never_less_than_nothing_and_never_at_the_cost_of_others() -> None:
    admission = books()
    admission.take("ann", 10.0, 10)
    admission.take("bob", 20.0, 20)
    admission.give_back("ann", 500.0, 500)
    admission.give_back("nobody", 5.0, 5)
    admission.spend("nobody", 5.0)
    assert admission.queued("ann") == (0.0, 0, 0)
    assert admission.queued() == admission.queued("bob") == (20.0, 20, 1)


def test_giving_back_nothing_is_no_jobs_end() -> None:
    admission = books()
    admission.take("ann", 10.0, 10)
    admission.give_back("ann", 0.0, 0)
    assert admission.queued("ann") == (10.0, 10, 1)


def test_what_an_earlier_life_took_is_not_refused() -> None:
    admission = books()
    for _ in range(5):
        admission.force("ann", 100.0, 1000)
    assert admission.queued() == (500.0, 5000, 5)


def test_retry_after_is_never_nothing() -> None:
    admission = books()
    admission.take("ann", 0.0, 1000)
    with pytest.raises(errors.OverShare) as refused:
        admission.take("ann", 1.0, 1)
    assert refused.value.retry_after == SOONEST


JOBS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0.5, 60)), min_size=3, max_size=40)
LONG = st.dictionaries(st.tuples(st.integers(0, 5), st.booleans()), st.floats(101, 300), max_size=4)


@given(JOBS, LONG, st.floats(1, 150), st.integers(1, 4), st.integers(0, 6), st.booleans())
def test_retry_after_is_the_time_in_which_enough_is_worked_off(
    jobs: list[tuple[int, bool, float]], long: dict[tuple[int, bool], float],
    seconds: float, slots: int, asker: int, waiting: bool,
) -> None:  # fmt: skip
    """After that time the job fits; a little sooner it does not."""
    admission = books()
    lanes = {(n, lane): ClientLane(f"c{n}", lane) for n in range(7) for lane in (False, True)}
    for n, lane, work in jobs:
        admission.force(f"c{n}", work, 1, waiting=lane)
        lanes[n, lane].ordinary += work
    for (n, lane), work in long.items():
        assert admission.force(f"c{n}", work, 1, waiting=lane)
        lanes[n, lane].long = work
    client, work = f"c{asker}", list(lanes.values())
    try:
        admission.check(client, seconds, 1, waiting=waiting, when=lambda work: work / slots)
    except errors.Busy as refused:
        wait = refused.retry_after
        assert wait is not None
        if wait > 2 * SOONEST:
            drain(admission, work, wait - 0.05, slots)
            with pytest.raises(errors.Busy):
                admission.check(client, seconds, 1, waiting=waiting, when=lambda work: work / slots)
            drain(admission, work, 0.05 + 1e-5, slots)
        else:
            drain(admission, work, wait + 1e-5, slots)
        if not lanes[asker, waiting].seconds:
            # All of its work is done, so its jobs are at their ends as well.
            left, nbytes, ended = admission.queued(client, waiting=waiting)
            for _ in range(ended):
                admission.give_back(client, left, nbytes, waiting=waiting)
        admission.check(client, seconds, 1, waiting=waiting, when=lambda work: work / slots)


@pytest.mark.parametrize("waiting", [False, True])
def test_the_books_balance(waiting: bool) -> None:
    rnd, admission, taken = random.Random(4), books(), []
    for _ in range(2000):
        client = f"c{rnd.randrange(6)}"
        if rnd.random() < 0.6:
            work = (client, rnd.uniform(0.1, 20), rnd.randrange(1, 200))
            try:
                admission.take(*work, waiting=waiting)
            except errors.Busy:
                continue
            taken.append(work)
        elif taken:
            admission.give_back(*taken.pop(rnd.randrange(len(taken))), waiting=waiting)
        seconds, nbytes, jobs = admission.queued(waiting=waiting)
        assert seconds == pytest.approx(sum(work[1] for work in taken), abs=1e-6)
        assert (nbytes, jobs) == (sum(work[2] for work in taken), len(taken))
    for work in taken:
        admission.give_back(*work, waiting=waiting)
    assert admission.queued(waiting=waiting) == (0.0, 0, 0)
    assert not admission._durable.accounts
    assert not admission._waiting.accounts
