"""Admission at its edges, and a Retry-After that is true."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from antiphon.domain import errors
from antiphon.schedule.admission import SOONEST, Admission

EPSILON = 0.001


def books(**bounds: float) -> Admission:
    return Admission(
        **{"client_seconds": 100.0, "total_seconds": 250.0, "client_bytes": 1000, "total_bytes": 2500, **bounds}
    )  # type: ignore[arg-type]


def drain(admission: Admission, clients: list[str], seconds: float, slots: int) -> None:
    """Works off what is waiting for a time, in equal shares."""
    left = seconds * slots
    while left > 1e-9:
        waiting = {client: queued for client in clients if (queued := admission.queued(client)[0]) > 1e-12}
        if not waiting:
            return
        step = min(left / len(waiting), *waiting.values())
        for client in waiting:
            admission.spend(client, step)
        left -= step * len(waiting)


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


def test_a_client_with_nothing_waiting_may_bring_one_job_however_long() -> None:
    admission = books()
    admission.take("ann", 57_600.0, 900)
    with pytest.raises(errors.OverShare) as refused:
        admission.take("ann", 0.1, 1)
    assert refused.value.retry_after == pytest.approx(57_500.1)
    # It does not lock the others out: it counts for one client's share.
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


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.5, 60)), min_size=3, max_size=40),
    st.floats(1, 150),
    st.integers(1, 4),
    st.integers(0, 6),
)
def test_retry_after_is_the_time_in_which_enough_is_worked_off(
    jobs: list[tuple[int, float]], seconds: float, slots: int, asker: int
) -> None:
    """After that time the job fits; a little sooner it does not."""
    admission, clients = books(), [f"c{n}" for n in range(7)]
    for n, work in jobs:
        admission.force(clients[n], work, 1)
    client = clients[asker]
    try:
        admission.check(client, seconds, 1, slots=slots)
    except errors.Busy as refused:
        wait = refused.retry_after
        assert wait is not None
        if wait > 2 * SOONEST:
            drain(admission, clients, wait - 0.05, slots)
            with pytest.raises(errors.Busy):
                admission.check(client, seconds, 1, slots=slots)
            drain(admission, clients, 0.05 + 1e-6, slots)
        else:
            drain(admission, clients, wait + 1e-6, slots)
        if admission.queued(client)[0] < 1e-6:
            # All of its work is done, so its jobs are at their ends as well.
            admission.give_back(client, 0.0, admission.queued(client)[1])
            for _ in range(admission.queued(client)[2]):
                admission.give_back(client, 1e-9, 0)
        admission.check(client, seconds, 1, slots=slots)


def test_the_books_balance() -> None:
    rnd, admission, taken = random.Random(4), books(), []
    for _ in range(2000):
        client = f"c{rnd.randrange(6)}"
        if rnd.random() < 0.6:
            work = (client, rnd.uniform(0.1, 20), rnd.randrange(1, 200))
            try:
                admission.take(*work)
            except errors.Busy:
                continue
            taken.append(work)
        elif taken:
            admission.give_back(*taken.pop(rnd.randrange(len(taken))))
        seconds, nbytes, jobs = admission.queued()
        assert seconds == pytest.approx(sum(work[1] for work in taken), abs=1e-6)
        assert (nbytes, jobs) == (sum(work[2] for work in taken), len(taken))
    for work in taken:
        admission.give_back(*work)
    assert admission.queued() == (0.0, 0, 0)
    assert not admission._accounts
