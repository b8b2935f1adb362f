"""Conditioning: a package's model computes references once, and hears their best seconds."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from antiphon.domain import errors
from antiphon.engines import excerpt
from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.references import GONE, Reference

#: Seconds that no recording is longer than.
WHOLE = 86_400.0


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
