"""Exposition: all metrics as Prometheus's text, from a registry of our own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from antiphon.metrics import families
from antiphon.metrics.families import Sources

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        # All servers of a process would share the library's own registry.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known only when the metrics are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families.every(self._sources)

    def text(self) -> bytes:
        """All metrics. Called in the event loop's thread, which writes the numbers."""
        return generate_latest(self._registry)
