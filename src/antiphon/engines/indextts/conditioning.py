"""Conditioning: what a model computed from references, cached by the references' digests within a budget of bytes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from antiphon.domain import errors
from antiphon.engines.indextts import excerpt
from antiphon.engines.indextts.references import GONE, Reference

#: Seconds that no recording is longer than.
WHOLE = 86_400.0


class ConditioningCache:
    """Evicts what was least recently used. Not thread-safe: the model's one thread uses it."""

    def __init__(self, budget: int) -> None:
        """`budget` in bytes; a single entry above it is returned but not stored."""
        self._budget = budget
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.nbytes = 0
        self.hits = self.misses = 0

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry, made if it is absent. If `make` raises, nothing is stored."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            self.hits += 1
            return found[0]
        self.misses += 1
        value = make()
        size = nbytes(value)
        if size <= self._budget:
            self._entries[key] = (value, size)
            self.nbytes += size
            while self.nbytes > self._budget:
                _, (_, evicted) = self._entries.popitem(last=False)
                self.nbytes -= evicted
        return value

    def find(self, key: Hashable) -> Any | None:
        """The entry, if it is there."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)


class CachedConditioning(ABC):
    """Mix-in for a package's model: caches by digest in place of path, and hears the best seconds of references."""

    def use(self, cache: ConditioningCache, reference_seconds: float) -> None:
        self._cache, self._reference_seconds = cache, reference_seconds

    def listen(self, voice: Reference, emotion_reference: Reference | None) -> tuple[Any, Any]:
        """Computes the conditioning of both references, or finds it in the cache.

        Returns what was heard in the voice's recording: [1, frames, 1024], its style [1, 192], the prompt of the flow
        [1, frames of mel, channels] and its mel [1, mels, frames of mel]; and in the emotion's: [1, frames, 1024].
        """
        self._digests = {os.path.abspath(each.path): each.digest for each in (voice, emotion_reference) if each}
        return self._compute(voice.path, (emotion_reference or voice).path)

    @abstractmethod
    def _compute(self, voice: str, emotion: str) -> tuple[Any, Any]:
        """Asks the model for the conditioning of both paths."""

    @abstractmethod
    def _drop_own_cache(self) -> None:
        """Empties the package's cache, which knows references by their paths."""

    def _cached(self, kind: str, path: str, compute: Callable[[], Any]) -> Any:
        def fresh() -> Any:
            self._drop_own_cache()
            made = compute()
            self._drop_own_cache()
            return made

        return self._cache.get((kind, self._digests[os.path.abspath(path)]), fresh)

    def _load_and_cut_audio(self, path: str, longest: float, verbose: bool = False, sr: int | None = None) -> Any:
        """The best seconds of a recording, [1, samples], and their rate; the package would take the first ones. Raises
        `UnknownVoice`: a voice may be deleted between a request for it and this."""
        try:
            audio, rate = super()._load_and_cut_audio(path, WHOLE, verbose, sr)  # type: ignore[misc]  # the package's
        except OSError as e:
            raise errors.UnknownVoice(GONE) from e
        except Exception as e:
            # Nothing is computed here but a file is read, so nothing is wrong but the file.
            raise errors.UnknownVoice("The voice's recording cannot be read; upload it again") from e
        start, end = excerpt.best(audio[0].numpy(), rate, min(longest, self._reference_seconds))
        return audio[:, start:end], rate


def nbytes(value: Any) -> int:
    """Bytes of the tensors in a value, through nested collections."""
    if hasattr(value, "element_size"):
        return int(value.numel() * value.element_size())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return sum(map(nbytes, value))
    return 0
