"""The piece that is scheduled: a unit, its recipe (what is asked for), and its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.domain.job import Kind

#: Raised when what a recipe means changes, so that audio made by older rules is never taken for newer.
RECIPE_FORMAT = 2
_UNSET = object()
#: Made once: `json.dumps` makes a new one for every call that asks for anything but its defaults.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what a unit's result is, and nothing else: two equal recipes are one piece of work."""

    kind: Kind
    model: str
    #: Version of the weights and of the engine's code; another revision sounds different.
    revision: str
    #: What the engine is given, JSON values only; for speech the fields of `SpeechParams`.
    params: Mapping[str, Any]
    #: The values of parameters that nothing was asked for.
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def key(self) -> str:
        """SHA-256 over the canonical form, 64 hexadecimal digits: the recipe's name in the cache.

        Only parameters that differ from their defaults are written, so that a new parameter leaves the names of all
        recipes that do not use it.
        """
        written = {name: value for name, value in self.params.items() if self.defaults.get(name, _UNSET) != value}
        form = [RECIPE_FORMAT, self.kind, self.model, self.revision, written]
        return hashlib.sha256(_CANONICAL.encode(form).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class SpeechParams:
    """What a speech engine is asked to say, and how. Every value is already valid for that engine."""

    text: str
    #: The engine's own voice name, or `ref:<digest>` for an uploaded reference.
    voice: str
    #: BCP-47 primary tag (`en`, `zh`, `ja`, `es` …).
    language: str
    #: Weights by emotion name; empty means neutral.
    emotion: Mapping[str, float] = field(default_factory=dict)
    speed: float = 1.0
    seed: int = 0
    #: Engine-specific extras, JSON values.
    options: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self, model: str, revision: str) -> Recipe:
        return Recipe("speech", model, revision, self.as_params(), _SPEECH_DEFAULTS)

    def as_params(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "voice": self.voice,
            "language": self.language,
            "emotion": dict(self.emotion),
            "speed": self.speed,
            "seed": self.seed,
            "options": dict(self.options),
        }

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> SpeechParams:
        """The inverse of `as_params`; unknown names are a TypeError, so a newer parent is noticed."""
        return cls(**params)


_SPEECH_DEFAULTS = {name: value for name, value in SpeechParams("", "", "").as_params().items() if name != "text"}


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of one job. `index` counts from 0 in the order of the text."""

    job: str
    index: int
    recipe: Recipe
    #: What the cost model measures work by: characters for speech, seconds for transcription, steps for
    #: images (of 512×512 pixels; larger ones count for more).
    length: float

    @property
    def id(self) -> str:
        return f"{self.job}:{self.index}"


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What a worker made of a unit."""

    #: For speech: mono signed 16-bit little-endian PCM.
    payload: bytes
    #: For speech at least `sample_rate` (Hz).
    meta: Mapping[str, Any]
    #: Seconds of computing in the worker.
    seconds: float
    #: Name of the worker that made it.
    worker: str
