"""Stats: counts what happens to jobs, units and requests.

Entry points: `observer.Observer` takes events, `counters.Counters` and `daily.Statistics` hold the figures."""
