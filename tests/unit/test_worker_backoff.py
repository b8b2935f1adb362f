"""When a dead worker is started again: failed starts wait ever longer, accidents do not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from antiphon.worker.supervisor import BACKOFF_FIRST, BACKOFF_LONGEST, FAILURES, OVER_UNITS, STEADY, WINDOW, Backoff


def test_failed_starts_wait_ever_longer_and_are_given_up() -> None:
    backoff, now, waits = Backoff(random.Random(1)), 0.0, []
    for _ in range(12):
        waits.append(backoff.failed(now, 0.0))
        now += waits[-1]
    bounds = [min(BACKOFF_LONGEST, BACKOFF_FIRST * 2**n) for n in range(12)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    quick = Backoff()
    assert [quick.failed(float(n), 0.0) and quick.hopeless(float(n)) for n in range(FAILURES)] == [False] * 4 + [True]


def test_those_that_die_together_do_not_come_back_together() -> None:
    assert len({Backoff(random.Random(seed)).failed(0.0, 0.0) for seed in range(20)}) == 20


def test_accidents_of_a_worker_that_ran_well_are_forgiven_however_many() -> None:
    backoff = Backoff()
    for n in range(50):
        assert backoff.failed(n * STEADY, STEADY) == 0.0
        assert not backoff.hopeless(n * STEADY)


def test_an_accident_ends_what_failed_starts_began() -> None:
    backoff = Backoff()
    for n in range(FAILURES):
        backoff.failed(float(n), 0.0)
    assert backoff.failed(20.0, STEADY) == 0.0
    assert not backoff.hopeless(20.0)


def test_units_that_kill_are_blamed_before_the_engine_is() -> None:
    backoff = Backoff()
    for n in range(OVER_UNITS):
        assert backoff.failed(float(n), 0.2, at_work=True) == 0.0
        assert not backoff.hopeless(float(n))
    # A dozen in a row, and never a unit computed: this engine kills whatever it is given.
    for n in range(FAILURES):
        backoff.failed(20.0 + n, 0.2, at_work=True)
    assert backoff.hopeless(20.0 + FAILURES)
    assert backoff.failed(40.0, 0.2, worked=True, at_work=True) == 0.0
    assert not backoff.hopeless(40.0)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=60))
def test_it_never_waits_longer_than_said(steps: list[tuple[float, float]]) -> None:
    backoff, now, failed = Backoff(), 0.0, 0
    for gap, ready_for in steps:
        now += gap
        failed = 0 if ready_for >= STEADY else failed + 1
        assert 0.0 <= backoff.failed(now, ready_for) <= BACKOFF_LONGEST
        assert not backoff.hopeless(now) or failed >= FAILURES
        assert not backoff.hopeless(now + WINDOW + 1)
