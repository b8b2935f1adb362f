"""Report: what /v1/stats answers, from the statistics, the cache and the served models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from antiphon.cache import Cache
from antiphon.metrics import advice
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.stats.daily import Statistics
from antiphon.stats.distributions import Sketch
from antiphon.stats.hour import HourStats, merged

PERCENTILES = (50, 90, 95, 99)
#: Digits after the point of seconds and parts.
DIGITS = 4


def report(
    models: ModelRegistry, statistics: Statistics, cache: Cache, *, target_wait: float, started_at: float
) -> dict[str, Any]:
    """`target_wait`: seconds that 95 % of all requests should wait at most. `started_at`: seconds since the epoch."""
    ranked = models.selector.ranked()
    day = {h.name: statistics.hours(h.name) for h in ranked}
    given = [_advice(h, day[h.name], target_wait) for h in ranked if h.pool.slots]
    texts = [advice.words(each) for each in given]
    return {
        "object": "stats",
        "at": time.time(),
        "started_at": started_at,
        **_section(statistics.hours(), statistics.minutes()),
        "cache": _cache(cache),
        "models": {h.name: _section(day[h.name], statistics.minutes(h.name)) | _workers(h) for h in ranked},
        "advice": {
            "target_wait": target_wait,
            "en": "\n\n".join(each["en"] for each in texts) or "No model is ready yet.",
            "zh": "\n\n".join(each["zh"] for each in texts) or "还没有就绪的模型。",
            "models": [each.to_json() for each in given],
        },
    }


def _section(hours: Sequence[tuple[float, HourStats]], minutes: list[int]) -> dict[str, Any]:
    """The figures of one model, or of all together."""
    day = merged(hour for _, hour in hours)
    at, busiest = max(hours, key=lambda each: each[1].requests)
    answered = day.hits + day.synthesis.count
    return {
        "requests": {
            "day": day.requests,
            "failed": day.failed,
            "cancelled": day.cancelled,
            "per_minute": minutes,
            "per_hour": [hour.requests for _, hour in hours],
            "peak_hour": {"at": at, "requests": busiest.requests} if busiest.requests else None,
        },
        "wait": _times(day.waits),
        "synthesis": _times(day.synthesis),
        "segment": _times(day.service),
        "utilisation": _rounded(day.utilisation),
        "utilisation_peak": _rounded(max((hour.utilisation or 0.0 for _, hour in hours), default=None)),
        "cached_share": _rounded(day.hits / answered) if answered else None,
        "audio_seconds": round(day.audio, 1),
    }


def _times(sketch: Sketch) -> dict[str, Any]:
    found = {f"p{n}": _rounded(sketch.percentile(n / 100)) for n in PERCENTILES}
    mean, largest = (_rounded(sketch.mean), _rounded(sketch.largest)) if sketch.count else (None, None)
    return {"count": sketch.count, "mean": mean, **found, "max": largest}


def _cache(cache: Cache) -> dict[str, Any]:
    stats = cache.stats()
    lookups = stats.hits + stats.misses
    share = _rounded(stats.hits / lookups) if lookups else None
    found = {"hits": stats.hits, "misses": stats.misses, "hit_share": share}
    return {"entries": stats.entries, "bytes": stats.bytes, **found}


def _workers(served: ServedModel) -> dict[str, Any]:
    return {"state": served.state, "workers": len(served.pool.workers()), "slots": served.pool.slots}


def _advice(served: ServedModel, hours: Sequence[tuple[float, HourStats]], target: float) -> advice.Advice:
    slots = served.capabilities.parallel if served.capabilities is not None else 1
    return advice.give(served.name, hours, max(1, served.pool.parallel // slots), slots, target)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DIGITS)
