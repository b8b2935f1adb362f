"""The number of workers that follows the queue."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schedule.autoscale import AutoscalePolicy


def test_it_grows_at_once_and_shrinks_when_it_stayed_quiet() -> None:
    policy = AutoscalePolicy(1, 8, seconds=10, settle=60)
    assert policy.workers(0, 1, now=0) == 1
    assert policy.workers(35, 1, now=1) == 4
    assert policy.workers(0, 1, now=2) == 4
    assert policy.workers(500, 1, now=30) == 8
    assert policy.workers(15, 1, now=62) == 8  # The peak is not a minute ago.
    assert policy.workers(0, 1, now=91) == 2  # What was wanted at 62 still counts.
    assert policy.workers(0, 1, now=123) == 1


def test_a_worker_of_many_slots_is_worth_many() -> None:
    assert AutoscalePolicy(1, 8, seconds=10, settle=60).workers(100, 4, now=0) == 3


@given(
    st.integers(1, 5),
    st.integers(0, 20),
    st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 100)), min_size=1, max_size=60),
)
def test_it_keeps_its_bounds_and_what_was_wanted_of_late(
    least: int, more: int, looks: list[tuple[float, float]]
) -> None:
    policy, now, past = AutoscalePolicy(least, least + more, seconds=7, settle=50), 0.0, []
    for backlog, step in looks:
        now += step
        past.append((now, min(least + more, max(least, math.ceil(min(backlog / 7, 1e6))))))
        assert policy.workers(backlog, 1, now) == max(wanted for at, wanted in past if at >= now - 50)


@pytest.mark.parametrize(("least", "most", "seconds"), [(0, 1, 1), (2, 1, 1), (1, 1, 0)])
def test_what_is_no_policy(least: int, most: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="no autoscaling policy"):
        AutoscalePolicy(least, most, seconds, 1)
