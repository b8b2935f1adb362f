"""The cache: finished results by recipe key, in memory, on disk and shared, so that nothing is computed twice."""

from antiphon.cache.cache import Cache, Stats
from antiphon.cache.entry import Entry
from antiphon.cache.files import Files
from antiphon.cache.remote import RemoteCache
from antiphon.cache.single_flight import SingleFlight

__all__ = ["Cache", "Entry", "Files", "RemoteCache", "SingleFlight", "Stats"]
