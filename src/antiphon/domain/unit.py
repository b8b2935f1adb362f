"""Units: the pieces of work that are scheduled, each with its recipe (what is asked for) and its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from antiphon.domain.job import Kind

#: To be raised when the meaning of recipes changes, so that cached results of older rules are not used.
RECIPE_FORMAT = 2
_UNSET = object()
#: Shared, since `json.dumps` creates an encoder for every call with options.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that determines a unit's result, and nothing else: units with equal recipes are computed once."""

    kind: Kind
    model: str
    #: Version of the weights and of the engine's code; another revision may give another result.
    revision: str
    #: The engine's parameters, JSON values only; for speech the fields of `SpeechParams`.
    params: Mapping[str, Any]
    #: Default values of parameters.
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def key(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits: the recipe's key in the cache.

        Only parameters that differ from their defaults are written, so that a new parameter does not change the keys of
        recipes that do not use it.
        """
        written = {name: value for name, value in self.params.items() if self.defaults.get(name, _UNSET) != value}
        form = [RECIPE_FORMAT, self.kind, self.model, self.revision, written]
        return hashlib.sha256(_CANONICAL.encode(form).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class SpeechParams:
    """The text that a speech engine speaks, and how. Every value is valid for that engine."""

    text: str
    #: The engine's own voice name, or `ref:<digest>` for an uploaded reference.
    voice: str
    #: BCP-47 primary tag (`en`, `zh`, `ja`, `es` …).
    language: str
    #: Weights by emotion name. Empty: nothing was asked, so a model that can takes the mood of its reference.
    #: `{"neutral": 1.0}` goes only to models that list it, for which it is another mood than that.
    emotion: Mapping[str, float] = field(default_factory=dict)
    speed: float = 1.0
    seed: int = 0
    #: Engine-specific options, JSON values.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the first second is to be there before the rest; only for engines with `Capabilities.early`.
    early: bool = False

    def recipe(self, model: str, revision: str) -> Recipe:
        return Recipe("speech", model, revision, self.as_params(), _SPEECH_DEFAULTS)

    def as_params(self) -> dict[str, Any]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {"emotion": dict(self.emotion), "options": dict(self.options)}

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> SpeechParams:
        """The inverse of `as_params`. Raises `TypeError` for unknown names, such as those of a newer server."""
        return cls(**params)


_SPEECH_DEFAULTS = {name: value for name, value in SpeechParams("", "", "").as_params().items() if name != "text"}


@dataclass(frozen=True, slots=True)
class Wish:
    """How a unit is to be computed; no part of its recipe, since its result is the same."""

    #: A listener has heard all that comes before it: it goes before others, and its parts are told as they come.
    live: bool = False
    #: It is suspected to end its worker, and has the worker to itself.
    alone: bool = False
    #: Its phonemes are asked for, as text in UTF-8, in place of its result.
    spelled: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of one job. `index` counts from 0 in the order of the text."""

    job: str
    index: int
    recipe: Recipe
    #: Length by which the cost model predicts: characters for speech, seconds for transcription, denoising steps at
    #: 512×512 pixels for images.
    length: float
    wish: Wish = Wish()

    @property
    def id(self) -> str:
        return f"{self.job}:{self.index}"


#: Takes the next part of a unit's result.
OnChunk = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What a worker computed for a unit."""

    #: For speech: mono signed 16-bit little-endian PCM.
    payload: bytes
    #: For speech with `sample_rate` (Hz).
    meta: Mapping[str, Any]
    #: Seconds that the worker computed.
    seconds: float
    #: Name of the worker.
    worker: str
    #: Whether others were computed in the same steps, of which `seconds` are its share.
    shared: bool = False
