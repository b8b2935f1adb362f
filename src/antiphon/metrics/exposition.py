"""The exposition: everything as Prometheus's text, from a registry of our own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from antiphon.app.antiphon import Antiphon
from antiphon.metrics import families

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    def __init__(self, antiphon: Antiphon) -> None:
        self._antiphon = antiphon
        # The library's own would be shared by all servers of a process.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known when they are asked for."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families.every(self._antiphon)

    def text(self) -> bytes:
        """All of it; in the event loop's thread, whose numbers these are."""
        return generate_latest(self._registry)
