"""Distributions: sketches are accurate, additive and bounded; histograms count into the right bucket."""

from __future__ import annotations

import random

import pytest

from antiphon.stats.distributions import ACCURACY, Histogram, Sketch


def sketched(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


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
