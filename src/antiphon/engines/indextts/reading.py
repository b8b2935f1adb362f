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
        #: Held while a text is read, and for a moment while the kept ones are looked at: who needs one of these does
        #: not wait for another text to be read.
        self._read, self._reading, self._looking = read, threading.Lock(), threading.Lock()
        self._kept: OrderedDict[tuple[str, Manner], Reading] = OrderedDict()
        self._ahead = ThreadPoolExecutor(1, "reading")

    def of(self, text: str, manner: Manner) -> Reading:
        """The reading, which may have been made before. Raises what the reader raises."""
        key = (text, manner)
        if (found := self._find(key)) is not None:
            return found
        with self._reading:
            # Another thread may have read it meanwhile.
            if (found := self._find(key)) is not None:
                return found
            found = self._read(text, manner)
        with self._looking:
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _find(self, key: tuple[str, Manner]) -> Reading | None:
        with self._looking:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def ahead(self, text: str, manner: Manner) -> Future[Reading]:
        """Begins to read a text, and returns at once."""
        return self._ahead.submit(self.of, text, manner)

    def close(self) -> None:
        self._ahead.shutdown(cancel_futures=True)
