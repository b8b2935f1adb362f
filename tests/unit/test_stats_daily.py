"""Daily statistics: requests by minute and hour, what a restart keeps, and what is not read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.stats.daily import HOURS, MINUTES, Statistics
from antiphon.stats.distributions import ACCURACY, Sketch
from antiphon.stats.hour import HourStats, merged


class Clock:
    """Half past some hour, until it is moved."""

    def __init__(self) -> None:
        self.now = 500_000 * 3600.0 + 1800

    def __call__(self) -> float:
        return self.now


def day(statistics: Statistics, model: str | None = None) -> HourStats:
    """The sum of the last 24 hours, of one model or of all."""
    stored = [hours for name, hours in statistics.to_json().items() if model in (None, name)]
    return merged(HourStats.from_json(hour) for hours in stored for hour in hours.values())


def test_requests_fall_into_their_minute_and_hour() -> None:
    clock = Clock()
    statistics = Statistics(clock)
    for _ in range(3):
        statistics.request("tone")
    clock.now += 60
    statistics.request("tone")
    statistics.request("kokoro")
    assert statistics.minutes("tone")[-2:] == [3, 1]
    assert statistics.minutes()[-2:] == [3, 2]
    assert [hour.requests for _, hour in statistics.hours()][-1] == 5
    assert statistics.hours()[-1][0] == clock.now // 3600 * 3600
    clock.now += 3600
    assert statistics.minutes("tone")[-2:] == [0, 0]
    assert [hour.requests for _, hour in statistics.hours("tone")][-2:] == [4, 0]


def test_a_month_of_work_stays_a_day() -> None:
    clock = Clock()
    statistics = Statistics(clock)
    for _ in range(30 * 24):
        for _ in range(3):
            statistics.request("tone")
            statistics.now("tone").waits.add(clock.now % 7)
            clock.now += 1200
    assert len(statistics.hours()) == HOURS
    assert len(statistics.minutes()) == MINUTES
    assert day(statistics).requests <= HOURS * 3
    assert len(statistics.to_json()["tone"]) <= HOURS
    assert len(json.dumps(statistics.to_json())) < 60_000


def test_hours_of_a_clock_that_was_set_back_are_dropped() -> None:
    clock = Clock()
    statistics = Statistics(clock)
    statistics.request("tone")
    clock.now -= 10 * 86400
    statistics.request("tone")
    assert day(statistics).requests == 1
    assert len(statistics.to_json()["tone"]) == 1


def test_a_day_survives_a_restart() -> None:
    clock = Clock()
    before = Statistics(clock)
    before.request("tone")
    before.now("tone").waits.add(1.5)
    before.now("tone").service.add(0.25)
    before.passed("tone", 100.0, 2)
    stored = json.loads(json.dumps(before.to_json()))
    clock.now += 7200
    after = Statistics(clock)
    after.load_json(stored)
    after.request("tone")
    assert day(after, "tone").requests == 2
    assert day(after, "tone").waits.percentile(0.5) == pytest.approx(1.5, rel=ACCURACY)
    assert day(after, "tone").utilisation == pytest.approx(0.25 / 200)
    clock.now += HOURS * 3600
    late = Statistics(clock)
    late.load_json(stored)
    assert day(late).requests == 0


@pytest.mark.parametrize(
    "junk",
    [
        None,
        [],
        "x",
        {"tone": 3},
        {"tone": {"x": {}}},
        {"tone": {"500000": {"requests": "many"}}},
        {"tone": {"500000": None}},
        {"tone": {"500000": {**HourStats().to_json(), "requests": -1}}},
        {"tone": {"500000": {**HourStats().to_json(), "audio": float("inf")}}},
        {"tone": {"500000": {**HourStats().to_json(), "waits": {"buckets": [[10**9, 1]]}}}},
        {"tone": {"500000": {**HourStats().to_json(), "waits": {**Sketch().to_json(), "buckets": [[10**9, 1]]}}}},
    ],
)
def test_what_cannot_be_read_is_left_out(junk: Any) -> None:
    statistics = Statistics(Clock())
    statistics.load_json(junk)
    assert day(statistics).requests == 0
    assert day(statistics).waits.percentile(0.5) is None


def test_as_many_models_as_there_are_and_no_more() -> None:
    statistics = Statistics(Clock())
    hour = {**HourStats().to_json(), "requests": 1}
    statistics.load_json({f"m{n}": {"500000": hour} for n in range(1000)})
    assert len(statistics.to_json()) == 64
