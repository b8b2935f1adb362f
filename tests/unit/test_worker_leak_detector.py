"""A leak is told from a cache that fills, from noise and from single jumps."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from antiphon.worker.leak_detector import LEAST, LeakDetector

MIB = 2**20


def told(size: Callable[[int], float], units: int = 400, step: int = 1) -> int | None:
    """Units after which it is called a leak of 64 MiB."""
    detector = LeakDetector(64 * MIB)
    for n in range(0, units, step):
        if detector.look(n, int(size(n))):
            return n
    return None


@pytest.mark.parametrize("step", [1, 7])
def test_steady_detector_is_a_leak(step: int) -> None:
    rng = random.Random(1)
    found = told(lambda n: 900 * MIB + n * 3 * MIB + rng.gauss(0, 20 * MIB), step=step)
    assert found is not None
    assert found >= (LEAST - 1) * step


@pytest.mark.parametrize(
    "size",
    [
        lambda n: 900 * MIB,
        lambda n: 900 * MIB + min(n, 20) * 30 * MIB,  # caches that fill
        lambda n: 900 * MIB + 600 * MIB * (1 - 0.93**n),  # pools that settle
        lambda n: 900 * MIB + (300 * MIB if n > 100 else 0),  # one long unit
        lambda n: 900 * MIB + random.Random(n).random() * 300 * MIB,
        lambda n: 900 * MIB + n * MIB / 20,  # too slow to matter within the window
        lambda n: 900 * MIB - n * MIB,
    ],
)
def test_what_levels_off_is_none(size: Callable[[int], float]) -> None:
    assert told(size) is None


def test_looks_without_a_unit_say_nothing() -> None:
    detector = LeakDetector(1)
    assert not any(detector.look(3, n * MIB) for n in range(200))
    assert not any(LeakDetector(0).look(n, n * MIB) for n in range(200))
