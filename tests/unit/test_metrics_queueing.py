"""The capacity formulas against known values of Erlang's and against a simulation of the queue itself."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest

from antiphon.metrics import queueing

#: Customers of a simulation; the first part is the time until it is in its usual state.
CUSTOMERS, WARM_UP = 200_000, 5_000


def simulate(arrivals: float, draw: Callable[[random.Random], float], servers: int, seed: int) -> list[float]:
    """Waits of a first come, first served queue, customer by customer: each takes the server that is free first."""
    rng = random.Random(seed)
    free = [0.0] * servers
    now, waits = 0.0, []
    for number in range(CUSTOMERS + WARM_UP):
        now += rng.expovariate(arrivals)
        begins = max(now, free[0])
        heapq.heapreplace(free, begins + draw(rng))
        if number >= WARM_UP:
            waits.append(begins - now)
    return waits


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[math.ceil(part * len(values)) - 1]


def lognormal(mean: float, variance: float) -> Callable[[random.Random], float]:
    sigma = math.sqrt(math.log(1 + variance / mean**2))
    mu = math.log(mean) - sigma**2 / 2
    return lambda rng: rng.lognormvariate(mu, sigma)


# Known values


@pytest.mark.parametrize(
    ("servers", "load", "blocked"),
    [(1, 1.0, 1 / 2), (2, 1.0, 1 / 5), (5, 3.0, 0.110054), (10, 5.0, 0.018385), (100, 90.0, 0.026957)],
)
def test_erlang_b_has_the_values_of_the_tables(servers: int, load: float, blocked: float) -> None:
    assert queueing.erlang_b(servers, load) == pytest.approx(blocked, rel=1e-4)


@pytest.mark.parametrize(
    # By hand for one and two servers (ρ, and 2ρ²/(1+ρ)); c=10 and a=9 from the sum that defines it, below.
    ("servers", "load", "chance"),
    [(1, 0.3, 0.3), (1, 0.9, 0.9), (2, 1.0, 1 / 3), (2, 1.6, 2 * 0.64 / 1.8), (3, 3.0, 1.0)],
)
def test_erlang_c_has_the_values_of_the_tables(servers: int, load: float, chance: float) -> None:
    assert queueing.erlang_c(servers, load) == pytest.approx(chance, rel=1e-9)


@pytest.mark.parametrize(("servers", "load"), [(3, 2.0), (10, 9.0), (40, 30.0)])
def test_erlang_c_is_the_sum_that_defines_it(servers: int, load: float) -> None:
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    total = sum(load**n / math.factorial(n) for n in range(servers)) + last
    assert queueing.erlang_c(servers, load) == pytest.approx(last / total, rel=1e-9)


def test_many_servers_neither_overflow_nor_lose_digits() -> None:
    assert 0 < queueing.erlang_c(4000, 3900.0) < 1


def test_one_server_is_pollaczek_khinchine() -> None:
    # λE[S²] / 2(1-ρ), with constant and with exponential service.
    assert queueing.wait(0.5, 1.0, 0.0, 1).mean == pytest.approx(0.5 * 1 / (2 * 0.5))
    assert queueing.wait(0.5, 1.0, 1.0, 1).mean == pytest.approx(0.5 * 2 / (2 * 0.5))


def test_one_exponential_server_has_the_exact_percentile() -> None:
    # P(W > t) = ρ·exp(-(μ-λ)t)
    wait = queueing.wait(0.8, 1.0, 1.0, 1)
    assert wait.percentile(0.95) == pytest.approx(math.log(0.8 / 0.05) / 0.2)
    assert wait.percentile(0.1) == 0.0


# Against the queue itself


@pytest.mark.parametrize(("servers", "rate", "seed"), [(1, 0.7, 1), (2, 1.7, 2), (8, 6.4, 3)])
def test_m_m_c_is_what_a_simulation_gives(servers: int, rate: float, seed: int) -> None:
    """Within 6 %: the formula is exact, so that is what chance leaves to a simulation of this length."""
    waits = simulate(rate, lambda rng: rng.expovariate(1.0), servers, seed)
    told = queueing.wait(rate, 1.0, 1.0, servers)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(told.chance, rel=0.06)
    assert sum(waits) / len(waits) == pytest.approx(told.mean, rel=0.06)
    assert percentile(waits, 0.95) == pytest.approx(told.percentile(0.95), rel=0.06)


@pytest.mark.parametrize(
    ("servers", "rate", "variance", "seed"),
    [(1, 0.7, 0.25, 4), (2, 1.6, 0.25, 5), (2, 1.6, 2.0, 6), (4, 3.4, 0.5, 7), (4, 3.2, 2.0, 8)],
)
def test_m_g_c_is_near_what_a_simulation_gives(servers: int, rate: float, variance: float, seed: int) -> None:
    """Lognormal service: the chance within 3 %, mean and 95th percentile within 15 %."""
    waits = simulate(rate, lognormal(1.0, variance), servers, seed)
    told = queueing.wait(rate, 1.0, variance, servers)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(told.chance, rel=0.03)
    assert sum(waits) / len(waits) == pytest.approx(told.mean, rel=0.15)
    assert percentile(waits, 0.95) == pytest.approx(told.percentile(0.95), rel=0.15)


# How many


def test_needed_is_the_least_number_that_keeps_the_target() -> None:
    found = queueing.needed(3.0, 1.0, 1.0, target=2.0)
    assert found is not None
    assert queueing.wait(3.0, 1.0, 1.0, found).percentile() <= 2.0
    assert queueing.wait(3.0, 1.0, 1.0, found - 1).percentile() > 2.0


def test_needed_counts_whole_workers() -> None:
    exact = queueing.needed(3.0, 1.0, 1.0, target=0.5)
    by_fours = queueing.needed(3.0, 1.0, 1.0, target=0.5, step=4)
    assert exact is not None
    assert by_fours == -(-exact // 4) * 4


def test_more_servers_never_wait_longer() -> None:
    waits = [queueing.wait(5.0, 0.9, 2.0, n).percentile() for n in range(1, 20)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == math.inf
    assert waits[-1] == 0.0


def test_without_arrivals_nobody_waits() -> None:
    assert queueing.wait(0.0, 1.0, 1.0, 1).percentile() == 0.0
    assert queueing.needed(0.0, 0.0, 0.0, target=1.0) == 1


def test_an_impossible_load_is_said_to_be_one() -> None:
    assert queueing.needed(1e6, 1.0, 0.0, target=1.0) is None
    assert queueing.wait(2.0, 1.0, 0.0, 2).mean == math.inf


@pytest.mark.parametrize("numbers", [(-1.0, 1.0, 0.0), (math.nan, 1.0, 0.0), (1.0, math.inf, 0.0), (1.0, 0.0, 1.0)])
def test_numbers_that_cannot_be_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not a queue"):
        queueing.wait(*numbers, servers=1)
