"""Capacity advice: how many workers the busiest hour of a day needs."""

from __future__ import annotations

import pytest

from antiphon.metrics import advice
from antiphon.stats.hour import HourStats


def busy_hour(units: int, seen: float, service: float) -> HourStats:
    hour = HourStats(requests=units, arrived=units, seen=seen, available=seen)
    for n in range(units):
        hour.service.add(service * (0.5 + n % 2))
    return hour


def test_too_little_is_said_to_be_too_little() -> None:
    for hour in (busy_hour(49, 3600, 1.0), busy_hour(500, 599, 1.0)):
        given = advice.give("tone", [(0.0, hour)], 1, 1, 2.0)
        assert given.load is None
        assert given.to_json()["enough_data"] is False
        words = advice.words(given)
        assert "not enough data" in words["en"]
        assert "数据还不够" in words["zh"]


def test_the_busiest_hour_decides() -> None:
    hours = [
        (0.0, busy_hour(100, 3600, 1.0)),
        (3600.0, busy_hour(900, 1800, 1.0)),
        (7200.0, busy_hour(1000, 3600, 1.0)),
    ]
    load = advice.busiest(hours)
    assert load is not None
    assert (load.hour, load.units, load.rate) == (3600.0, 900, 0.5)
    assert load.service == pytest.approx(1.0)
    assert load.variance == pytest.approx(0.25)


def test_what_one_worker_less_and_more_would_do() -> None:
    given = advice.give("tone", [(0.0, busy_hour(2000, 1000, 1.0))], 3, 1, 0.5)
    assert [workers for workers, _ in given.waits] == [2, 3, 4]
    # Two segments of a second each arrive every second: two workers never get to the end.
    assert given.to_json()["predictions"][0]["wait_p95"] is None
    assert given.needed == 4
    words = advice.words(given)
    assert "needs 4 workers; there are 3" in words["en"]
    assert "With 2 workers the queue would grow without end" in words["en"]
    assert "需要 4 个工作进程；现有 3 个" in words["zh"]
    assert "用 2 个时，队列会无限增长" in words["zh"]


def test_workers_with_several_slots_are_counted_as_workers() -> None:
    given = advice.give("tone", [(0.0, busy_hour(2000, 1000, 1.0))], 1, 4, 2.0)
    assert given.needed == 1
    assert "which is what there is" in advice.words(given)["en"]
    assert [workers for workers, _ in given.waits] == [1, 2]


def test_a_book_is_many_short_customers() -> None:
    """A thousand segments of one job among others do not make the model believe in customers of an hour each."""
    given = advice.give("tone", [(0.0, busy_hour(1500, 3600, 1.0))], 2, 1, 2.0)
    assert given.waits[1][1].percentile() < 2.0
