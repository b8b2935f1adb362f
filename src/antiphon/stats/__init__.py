"""Stats: counts what happens to jobs, units and requests.

Entry points: `observer.Observer` takes events, `counters.Counters` and `daily.Statistics` hold the figures."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["counters", "daily", "distributions", "hour", "observer"]
