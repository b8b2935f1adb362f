"""Listener: from a recording and an emotion to what the stages need of them, computed once and cached.

What is heard in a recording is cached by the recording's digest (`conditioning`). The emotion comes on top of it: the
vector of each way to speak with a voice is a few kilobytes, so no request computes it twice either.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.indextts.batch.units import Voice
from antiphon.engines.references import Reference


@dataclass(frozen=True, slots=True)
class VoiceKey:
    """A voice, and the emotion that it speaks with."""

    voice: Reference
    #: A recording whose emotion is taken; None is the voice's own.
    emotion: Reference | None = None
    #: How much the emotion counts, recorded or by weights, 0 to 1.
    strength: float = 1.0
    #: Eight weights; None leaves the emotion to the recording.
    weights: tuple[float, ...] | None = None
    #: A description from which the weights are read.
    mood: str | None = None

    @property
    def entry(self) -> Hashable:
        emotion = self.emotion.digest if self.emotion else None
        return "speaker", self.voice.digest, emotion, self.strength, self.weights, self.mood


class Listener:
    def __init__(
        self,
        package: Any,
        cache: ConditioningCache,
        speaker: Callable[[Any, Any, Any], Any],
        read_mood: Callable[[str], Sequence[float] | None],
    ) -> None:
        """`package`: the model of either package. `speaker` makes [n, width], what a prompt begins with, of the heard
        recording [1, frames, 1024], its style [1, 192] and an emotion vector [1, width]. `read_mood` makes the eight
        weights of a description."""
        self._package, self._cache, self._speaker, self._read_mood = package, cache, speaker, read_mood

    def heard(self, key: VoiceKey) -> Voice | None:
        """What was computed before, if nothing of it is missing."""
        speaker = self._cache.find(key.entry)
        found = self._cache.find(("voice", key.voice.digest))
        return None if speaker is None or found is None else _voice(speaker, found)

    def listen(self, key: VoiceKey) -> Voice:
        """As both packages do it: the recordings are heard in float32, the rest is in the code model's precision."""
        found, emotion = self._package.listen(key.voice, key.emotion)

        def make() -> Any:
            heard, style, model = found[0], found[1], self._package
            with torch.autocast(heard.device.type, dtype=model.dtype, enabled=model.dtype is not None):
                return self._speaker(heard, style, self._emotion(key, heard, style, emotion))

        return _voice(self._cache.get(key.entry, make), found)

    def _emotion(self, key: VoiceKey, heard: Any, style: Any, emotion: Any) -> Any:
        """[1, width]: the emotion vector, as both packages' `infer` makes it."""
        model = self._package
        # Their lengths are those of a feature and not of the recording, and their masks let everything through.
        lengths = [torch.tensor([each.shape[-1]], device=each.device) for each in (heard, emotion)]
        alpha = key.strength if key.emotion else 1.0
        recorded = model.gpt.merge_emovec(heard, emotion, *lengths, alpha=alpha)
        given = key.weights if key.mood is None else self._read_mood(key.mood)
        if given is None:
            return recorded
        weights = torch.tensor(scaled(given, key.strength), device=heard.device)
        rows = [
            rows[functional.cosine_similarity(style.float(), speakers.float(), dim=1).argmax()]
            for speakers, rows in zip(model.spk_matrix, model.emo_matrix, strict=True)
        ]
        return (weights[:, None] * torch.stack(rows)).sum(0, keepdim=True) + (1 - weights.sum()) * recorded


def scaled(weights: Sequence[float], strength: float) -> list[float]:
    """Weights at a strength. Both packages cut them after four digits, and only then."""
    strength = max(0.0, min(1.0, strength))
    return list(weights) if strength == 1.0 else [int(each * strength * 10_000) / 10_000 for each in weights]


def _voice(speaker: Any, found: Any) -> Voice:
    _, style, condition, mel = found
    return Voice(speaker, style, mel[0], condition[0])
