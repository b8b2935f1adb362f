"""Counters: totals and histograms since the process started, for Prometheus. They hold no client, text or key."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

from antiphon.stats.distributions import Histogram

#: Histogram bounds in seconds, from a cached answer to an hour of waiting.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Ratios: 1 is as fast as speech for the first, and an exact prediction for the second.
TIMES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10)
RATIO = (0.1, 0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4, 10)

Labels = tuple[str, ...]


def _many(bounds: tuple[float, ...]) -> defaultdict[Labels, Histogram]:
    return defaultdict(partial(Histogram, bounds))


class Counters:
    """Counters and histograms by labels. Each label has a bounded number of values."""

    def __init__(self) -> None:
        #: By model, priority and outcome: accepted, succeeded, failed or cancelled.
        self.jobs: Counter[Labels] = Counter()
        #: By model and source of the audio: worker or cache.
        self.units: Counter[Labels] = Counter()
        #: Seconds of audio from workers, by model.
        self.audio: defaultdict[Labels, float] = defaultdict(float)
        #: Seconds from accepted to started, by model and priority; from started to the end, by model.
        self.waits = _many(SECONDS)
        self.synthesis = _many(SECONDS)
        #: Slot seconds of a segment, and its computing seconds per second of audio, by model.
        self.service = _many(SECONDS)
        self.rtf = _many(TIMES)
        #: Seconds from a request to the first byte of its audio.
        self.first_audio = Histogram(SECONDS)
        #: Seconds that a job took, divided by the seconds predicted when it was accepted.
        self.eta = Histogram(RATIO)
        #: Seconds until an accepted job was on disk; seconds by which the event loop was late.
        self.commit = Histogram(QUICK)
        self.lag = Histogram(QUICK)
        #: Requests by method, route and status; their seconds by route.
        self.http: Counter[Labels] = Counter()
        self.http_seconds = _many(SECONDS)
        #: By error code.
        self.refusals: Counter[Labels] = Counter()
        #: Responses being sent now, by protocol: http or websocket.
        self.open: Counter[Labels] = Counter({("http",): 0, ("websocket",): 0})
