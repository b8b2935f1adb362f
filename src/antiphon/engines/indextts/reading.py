"""Reading: what a text is to the model: the tokens that it gets, and how long it is as it is spoken.

Reading a sentence takes milliseconds, with a grammar for its numbers up to forty. So a thread reads ahead what the
compute thread will need.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

#: Texts whose readings are kept.
KEPT = 512


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is to be read."""

    language: str
    #: Whether numbers and dates are written out as words.
    normalise: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    #: Letters of what is said: "$5" is four signs and eleven letters.
    length: float
    #: Token ids of the text's parts: one, unless the text is too long for the model.
    parts: tuple[tuple[int, ...], ...]


class Readings:
    """Reads with the model's own reader, one text at a time, from any thread."""

    def __init__(self, read: Callable[[str, Manner], Reading]) -> None:
        """`read` need not be safe for threads."""
        self._read, self._lock = read, threading.Lock()
        self._kept: OrderedDict[tuple[str, Manner], Reading] = OrderedDict()
        self._ahead = ThreadPoolExecutor(1, "reading")

    def of(self, text: str, manner: Manner) -> Reading:
        """The reading, which may have been made before. Raises what the reader raises."""
        key = (text, manner)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = self._read(text, manner)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
            return found

    def ahead(self, text: str, manner: Manner) -> Future[Reading]:
        """Begins to read a text, and returns at once."""
        return self._ahead.submit(self.of, text, manner)

    def close(self) -> None:
        self._ahead.shutdown(cancel_futures=True)
