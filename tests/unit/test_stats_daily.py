"""Sketches, hours, the day's statistics and the advice that is drawn from them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from antiphon.metrics import advice
from antiphon.stats.daily import HOURS, MINUTES, Statistics
from antiphon.stats.distributions import ACCURACY, Histogram, Sketch
from antiphon.stats.hour import HourStats


class Clock:
    """Half past some hour, until it is moved."""

    def __init__(self) -> None:
        self.now = 500_000 * 3600.0 + 1800

    def __call__(self) -> float:
        return self.now


def sketched(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


# Sketch


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_as_near_as_it_says(seed: int) -> None:
    rng = random.Random(seed)
    values = [rng.lognormvariate(-1, 2) for _ in range(5000)]
    sketch, ordered = sketched(values), sorted(values)
    for part in (0.5, 0.9, 0.95, 0.99, 1.0):
        true = ordered[int(part * 5000) - 1]
        assert sketch.percentile(part) == pytest.approx(true, rel=ACCURACY * 1.01)
    assert sketch.mean == pytest.approx(sum(values) / 5000)
    mean = sum(values) / 5000
    assert sketch.variance == pytest.approx(sum((v - mean) ** 2 for v in values) / 5000)


def test_two_sketches_add_up_to_that_of_all() -> None:
    rng = random.Random(1)
    first, second = ([rng.expovariate(3) for _ in range(100)] for _ in range(2))
    both = sketched(first)
    both.merge(sketched(second))
    whole = sketched(first + second)
    assert both.buckets == whole.buckets
    assert both.total == pytest.approx(whole.total)
    assert (both.count, both.largest) == (whole.count, whole.largest)


def test_a_sketch_is_bounded_whatever_it_is_given() -> None:
    sketch = Sketch()
    for exponent in range(-3000, 3000):
        sketch.add(10 ** (exponent / 10))
    for never in (-1.0, float("nan"), float("inf")):
        sketch.add(never)
    assert len(sketch.buckets) < 250
    assert sketch.count == 6000
    assert sketch.percentile(0) is not None


def test_an_empty_sketch_knows_nothing() -> None:
    assert Sketch().percentile(0.95) is None
    assert (Sketch().mean, Sketch().variance) == (0.0, 0.0)


def test_histogram_buckets_hold_their_upper_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 7.5


# The day


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
    assert statistics.day().requests <= HOURS * 3
    assert len(statistics.to_json()["tone"]) <= HOURS
    assert len(json.dumps(statistics.to_json())) < 60_000


def test_hours_of_a_clock_that_was_set_back_are_dropped() -> None:
    clock = Clock()
    statistics = Statistics(clock)
    statistics.request("tone")
    clock.now -= 10 * 86400
    statistics.request("tone")
    assert statistics.day().requests == 1
    assert len(statistics.to_json()["tone"]) == 1


def test_a_day_survives_a_restart() -> None:
    clock = Clock()
    before = Statistics(clock)
    before.request("tone")
    before.now("tone").waits.add(1.5)
    before.now("tone").service.add(0.25)
    before.passed("tone", 100.0, 2)
    kept = json.loads(json.dumps(before.to_json()))
    clock.now += 7200
    after = Statistics(clock)
    after.load_json(kept)
    after.request("tone")
    assert after.day("tone").requests == 2
    assert after.day("tone").waits.percentile(0.5) == pytest.approx(1.5, rel=ACCURACY)
    assert after.day("tone").utilisation == pytest.approx(0.25 / 200)
    clock.now += HOURS * 3600
    late = Statistics(clock)
    late.load_json(kept)
    assert late.day().requests == 0


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
    assert statistics.day().requests == 0
    assert statistics.day().waits.percentile(0.5) is None


def test_as_many_models_as_there_are_and_no_more() -> None:
    statistics = Statistics(Clock())
    hour = {**HourStats().to_json(), "requests": 1}
    statistics.load_json({f"m{n}": {"500000": hour} for n in range(1000)})
    assert len(statistics.models) == 64


# Advice


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
        said = advice.words(given)
        assert "not enough data" in said["en"]
        assert "数据还不够" in said["zh"]


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
    said = advice.words(given)
    assert "needs 4 workers; there are 3" in said["en"]
    assert "With 2 workers the queue would grow without end" in said["en"]
    assert "需要 4 个工作进程；现有 3 个" in said["zh"]
    assert "用 2 个时，队列会无限增长" in said["zh"]


def test_workers_with_several_slots_are_counted_as_workers() -> None:
    given = advice.give("tone", [(0.0, busy_hour(2000, 1000, 1.0))], 1, 4, 2.0)
    assert given.needed == 1
    assert "which is what there is" in advice.words(given)["en"]
    assert [workers for workers, _ in given.waits] == [1, 2]


def test_a_book_is_many_short_customers() -> None:
    """A thousand segments of one job among others do not make the model believe in customers of an hour each."""
    given = advice.give("tone", [(0.0, busy_hour(1500, 3600, 1.0))], 2, 1, 2.0)
    assert given.waits[1][1].percentile() < 2.0
