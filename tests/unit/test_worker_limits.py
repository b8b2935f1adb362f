"""A worker's clocks and its units in flight: when it must be killed, and what each unit is told when it ended."""

from __future__ import annotations

import pytest

from antiphon.domain import errors
from antiphon.domain.unit import Recipe, Unit
from antiphon.worker.exit_reason import NO_BLAME, ExitReason
from antiphon.worker.in_flight import UnitsInFlight
from antiphon.worker.limits import WorkerLimits
from antiphon.worker.watchdog import TICK, Watchdog

LIMITS = WorkerLimits(heartbeat_timeout=10, start_silence=60, load_timeout=100, unit_timeout=300, cancel_grace=2)


def watched(watchdog: Watchdog, until: float, ready: bool, beats: float = 0.0, since: float = 0.0) -> str | None:
    """What is said up to a time, checked every tick; `beats`: seconds between signs of life, 0: none come."""
    now = heard = since
    while now < until:
        now += TICK
        if beats and now - heard >= beats:
            heard = now
            watchdog.seen(now)
        if (reason := watchdog.check(now, ready)) is not None:
            assert reason.fault
            return reason.reason
    return None


def test_silence_and_a_long_start_are_noticed() -> None:
    assert watched(Watchdog(LIMITS, 0.0), 10, ready=True) is None
    assert watched(Watchdog(LIMITS, 0.0), 11, ready=True) == "no heartbeat for 10 s"
    assert watched(Watchdog(LIMITS, 0.0), 60, ready=False) is None
    assert watched(Watchdog(LIMITS, 0.0), 61, ready=False) == "no heartbeat for 60 s"
    assert watched(Watchdog(LIMITS, 0.0), 101, ready=False, beats=1.0) == "not ready 100 s after its start"
    assert watched(Watchdog(LIMITS, 0.0), 1000, ready=True, beats=1.0) is None


def test_a_pause_of_the_server_is_not_the_workers_silence() -> None:
    watchdog = Watchdog(LIMITS, 0.0)
    assert watched(watchdog, 5, ready=True) is None
    assert watchdog.check(500.0, ready=True) is None
    assert watched(watchdog, 504, ready=True, since=500.0) is None
    assert watched(watchdog, 520, ready=True, since=504.0) == "no heartbeat for 10 s"


async def test_units_that_take_too_long_and_what_the_others_are_told() -> None:
    units = UnitsInFlight()
    first, second, third = (
        units.add(units.next_serial(), Unit("j", n, Recipe("speech", "m", "1", {}), 1.0), now=float(n))
        for n in range(3)
    )
    assert units.expired(300.0, LIMITS) is None
    late = units.expired(301.0, LIMITS)
    assert late == ExitReason("a unit took longer than 300 s", fault=True, blame=frozenset({first.serial}))
    third.cancel_by = 5.0
    first.since = 400.0
    assert units.expired(6.0, LIMITS) == ExitReason("a cancelled unit was not dropped in 2 s", False, NO_BLAME)
    assert late is not None
    units.fail_all("w", late)
    assert not len(units)
    for unit, error in ((first, errors.WorkerDied), (second, errors.Displaced), (third, errors.Cancelled)):
        with pytest.raises(error):
            await unit.future
    await units.wait_until_empty()
