"""The cache: recipe to finished audio, in memory, on disk and shared, so that nothing is made twice."""

from antiphon.cache.beyond import Beyond
from antiphon.cache.cache import Cache, Stats
from antiphon.cache.entry import Entry
from antiphon.cache.flight import SingleFlight

__all__ = ["Beyond", "Cache", "Entry", "SingleFlight", "Stats"]
