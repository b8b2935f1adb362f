"""The cache: recipe to finished audio, in memory and on disk, so that nothing is made twice."""

from antiphon.cache.cache import Cache, Stats
from antiphon.cache.entry import Entry
from antiphon.cache.flight import SingleFlight

__all__ = ["Cache", "Entry", "SingleFlight", "Stats"]
