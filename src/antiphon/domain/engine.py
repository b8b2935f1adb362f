"""Engine: the contract of plug-ins, which hold a model inside a worker process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol

from antiphon.domain.job import Kind
from antiphon.domain.unit import Wish


@dataclass(frozen=True, slots=True)
class Voice:
    """A sound that a user can pick."""

    id: str
    name: str
    #: BCP-47 tags that it speaks well.
    languages: tuple[str, ...]
    gender: str | None = None
    description: str | None = None
    #: Version of its own files, where they differ from the model's: part of the recipes that use it.
    revision: str = ""
    #: Names of its speakers, of which a request picks one as `id#speaker`; empty: it is one speaker.
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """How to cut a text for this engine; lengths in characters, of which a CJK character counts as `cjk_weight`."""

    #: Most characters of a segment.
    max_chars: int = 300
    #: Length up to which sentences are joined.
    target_chars: int = 160
    #: Most characters of the first segment of a stream, if a clause or a sentence ends there.
    first_chars: int = 60
    cjk_weight: float = 2.5


@dataclass(frozen=True, slots=True)
class Canvas:
    """Sizes of images that an engine can draw; sides in pixels."""

    #: (width, height) for a request that names no size.
    size: tuple[int, int] = (512, 512)
    #: The shortest and the longest side.
    least: int = 64
    most: int = 1024
    #: Both sides are multiples of this.
    multiple: int = 8
    #: Denoising steps for a request that names no number.
    steps: int = 20


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. The worker sends it when it is ready, and the server asks for nothing else."""

    kind: Kind
    #: Hz; 0 for kinds without audio.
    sample_rate: int
    #: Version of weights and code; part of every recipe.
    revision: str
    #: BCP-47 primary tags of languages that it supports. Empty means any.
    languages: tuple[str, ...] = ()
    voices: tuple[Voice, ...] = ()
    default_voice: str = ""
    #: Voice by language, for requests that name no voice.
    voice_by_language: Mapping[str, str] = field(default_factory=dict)
    #: Whether it tries languages beyond `languages`, as well as it can; else a request for one is refused.
    tries_any_language: bool = True
    #: Languages that it would speak with something more installed, each with what an operator does: part of the error.
    installable: Mapping[str, str] = field(default_factory=dict)
    #: Whether each voice reads its own languages only: a text whose language nobody named is then read in the voice's,
    #: and a voice for another language is refused.
    voice_sets_language: bool = False
    #: Letters and digits of which it makes no sound in any language. A text without any other is refused before it is
    #: queued, and a segment without any other is left out with a warning. What is not listed here and cannot be said
    #: either is told by `NothingToSay` when it is due.
    silent: str = ""
    #: By language, further ones of which it makes no sound in that language, though it does in another.
    silent_by_language: Mapping[str, str] = field(default_factory=dict)
    #: Primary tags of the languages whose numbers, signs and abbreviations it reads by itself, `*` for all: it gets
    #: them as they are written.
    normalises: tuple[str, ...] = ()
    #: Names of emotions that change the sound, `neutral` among them if it differs from asking for none. Empty: it has
    #: none.
    emotions: tuple[str, ...] = ()
    speed_min: float = 1.0
    speed_max: float = 1.0
    #: Whether it speaks with the voice of an uploaded reference.
    cloning: bool = False
    #: Names of `SpeechParams.options` that it understands; the server drops all others.
    options: tuple[str, ...] = ()
    #: Whether it takes mixes of voices such as "a(2)+b".
    mixing: bool = False
    #: Whether the same recipe always gives the same samples.
    deterministic: bool = False
    #: Units that a worker computes at the same time.
    slots: int = 1
    #: Whether each slot computes on its own, or all of them in the same steps, as those of a `BatchEngine` do.
    sharing: Literal["own", "one"] = "own"
    #: Seconds that a step of a batching engine may take before it is taken for hung; 0: the server's own limit.
    step_seconds: float = 0.0
    #: Whether it gives the beginning of a unit before the rest is computed if `SpeechParams.early` asks for it. Such a
    #: unit may have other samples than the same one without `early`, but always the same ones.
    early: bool = False
    #: Whether it has `phonemes` (see `Spelling`).
    spells: bool = False
    #: How it computes on this machine, for the operator: shown by /health.
    computation: str = ""
    cut: Cut = field(default_factory=Cut)
    #: Of an engine for images, which lists in `options` those of `steps`, `guidance`, `negative_prompt` that it knows.
    canvas: Canvas | None = None
    #: Bytes of memory that one worker needs, about.
    footprint: int = 0
    licence: str = ""
    attribution: str = ""

    @property
    def parallel(self) -> int:
        """Seconds of units' prices that one worker works off in a second: one for each slot, or one where its slots
        share a device."""
        return self.slots if self.sharing == "own" else 1


def voice_of(capabilities: Capabilities, asked: str) -> Voice | None:
    """The model's voice of that id, or of that id with one of its speakers; None if it has none."""
    id, _, speaker = asked.partition("#")
    for voice in capabilities.voices:
        if voice.id == id and (asked == id or speaker in voice.speakers):
            return voice
    return None


def has_voice(capabilities: Capabilities, asked: str) -> bool:
    """Whether the model itself has the voice, or all voices of the mix."""
    known = {voice.id for voice in capabilities.voices}
    return voice_of(capabilities, asked) is not None or all(
        part.partition("(")[0] in known for part in asked.split("+")
    )


def revision_of(capabilities: Capabilities, voice: str) -> str:
    """The version of all that decides how a voice of the model sounds."""
    found = voice_of(capabilities, voice)
    return (
        f"{capabilities.revision}+{found.revision}" if found is not None and found.revision else capabilities.revision
    )


@lru_cache(maxsize=64)
def _audible(silent: str) -> re.Pattern[str]:
    return re.compile(f"[^\\W_{re.escape(silent)}]")


def silent_signs(capabilities: Capabilities, text: str, language: str) -> list[str]:
    """The letters and digits of a text in a language of which the model makes no sound, each once, in order."""
    if text.isascii() or not (silent := frozenset(_silent(capabilities, language))):
        return []
    return [sign for sign in dict.fromkeys(text) if sign in silent]


def makes_a_sound(capabilities: Capabilities, text: str, language: str) -> bool:
    """Whether a text in a language has a letter or a digit that is not among the silent ones."""
    silent = _silent(capabilities, language)
    return not silent or _audible(silent).search(text) is not None


def _silent(capabilities: Capabilities, language: str) -> str:
    return capabilities.silent + capabilities.silent_by_language.get(language, "")


#: Lowest and highest rate (Hz), and most slots: others are a mistake, or too much for a machine.
RATES, SLOTS = (4000, 384_000), 256
#: Seconds that an engine may ask for a step at most: until then one that hangs is not noticed.
MAX_STEP = 3600.0
SPEEDS = (0.01, 100.0)


def problems(capabilities: object) -> list[str]:
    """What is wrong with an engine's capabilities, on all of which the server relies."""
    if not isinstance(capabilities, Capabilities):
        return [f"capabilities() must return Capabilities, not {type(capabilities).__name__}"]
    rate, default = capabilities.sample_rate, capabilities.default_voice
    ids = [voice.id for voice in capabilities.voices]
    cut, slowest, fastest = capabilities.cut, capabilities.speed_min, capabilities.speed_max
    first, target, most = cut.first_chars, cut.target_chars, cut.max_chars
    kept = {
        "kind must be a word such as speech": capabilities.kind.isidentifier(),
        f"sample_rate must be {RATES[0]} to {RATES[1]} Hz, or 0 without audio": rate == 0
        or RATES[0] <= rate <= RATES[1],
        "revision is empty: two versions of the weights would share their cache": bool(capabilities.revision),
        "two voices have one id": len(ids) == len(set(ids)),
        f"default_voice {default!r} is none of the voices": default in (ids or ("",)),
        "voice_by_language names a voice that there is not": {*capabilities.voice_by_language.values()} <= {*ids},
        "speed_min and speed_max must enclose 1": SPEEDS[0] <= slowest <= 1 <= fastest <= SPEEDS[1],
        f"slots must be 1 to {SLOTS}": 1 <= capabilities.slots <= SLOTS,
        'sharing must be "own" or "one"': capabilities.sharing in ("own", "one"),
        f"step_seconds must be 0 to {MAX_STEP:g}": 0 <= capabilities.step_seconds <= MAX_STEP,
        "cut must have 0 < first_chars <= target_chars <= max_chars": 0 < first <= target <= most,
        "cut.cjk_weight must be at least 1": cut.cjk_weight >= 1,
        "canvas must allow its own size, and have at least one step": fits(capabilities.canvas),
    }
    return [problem for problem, fine in kept.items() if not fine]


def fits(canvas: Canvas | None) -> bool:
    """Whether a canvas allows its own size; true without a canvas."""
    return canvas is None or (
        min(canvas.least, canvas.multiple, canvas.steps) > 0
        and all(canvas.least <= side <= canvas.most and side % canvas.multiple == 0 for side in canvas.size)
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a unit's result: for speech, mono signed 16-bit little-endian PCM."""

    payload: bytes
    meta: Mapping[str, Any] = field(default_factory=dict)


class Context(Protocol):
    """What an engine can call while it runs a unit."""

    def cancelled(self) -> bool:
        """Whether the unit was cancelled; the engine then returns as soon as it can."""

    def progress(self, fraction: float) -> None:
        """Reports how far the unit is (0 to 1), for units that take many seconds."""


class Phase(Protocol):
    def __call__(self, name: str, fraction: float | None = None) -> None:
        """Reports what loading does now, in a few words (`reading weights`), for /health."""


class Engine(Protocol):
    """Runs in a worker process, synchronously. Made with `options` (JSON values), then `load`, `warm`, and `run` often.

    An exception from `run` fails that unit, its job, and nothing else; with `NothingToSay` the job goes on without the
    unit. After an exception whose attribute `fatal` is true, or any end of the process, the server starts a new worker
    and tries the unit again.
    """

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def load(self, phase: Phase) -> None:
        """Reads files and builds the model. Raises with a message for the operator if something is missing."""

    def warm(self) -> None:
        """Makes the first unit as fast as later ones."""

    def capabilities(self) -> Capabilities:
        """What the engine can do. Called once, after `warm`."""

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """Computes one unit. Checks `context.cancelled()` between chunks, and stops early if it is true."""

    def close(self) -> None:
        """Releases what the end of the process would not release."""


class Spelling(Protocol):
    """An engine that can tell how it would pronounce a unit; its capabilities say `spells=True`."""

    def phonemes(self, params: Mapping[str, Any]) -> str:
        """The phonemes of a unit, in the form that users of the engine know. Takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """A part of a unit's result is there."""

    unit: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a unit is. May be told after every step: the worker passes on what is worth it."""

    unit: int
    #: 0 to 1.
    fraction: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A unit has its whole result, or has failed with `error`, which concerns no other unit."""

    unit: int
    #: Seconds of the device that it took: each step's are shared by the units in it.
    seconds: float
    error: Exception | None = None


class BatchEngine(Protocol):
    """Computes many units in the same steps. A worker takes an engine that has `step` for one of these.

    One thread makes all calls. The constructor, `load`, `warm`, `capabilities` and `close` are those of `Engine`; the
    capabilities say `sharing="one"`, and in `slots` how many units may be admitted at a time. A unit is named by a
    number of this worker, which is never used twice. An exception from `step` ends the process.
    """

    def __init__(self, options: Mapping[str, Any]) -> None: ...
    def load(self, phase: Phase) -> None: ...
    def warm(self) -> None: ...
    def capabilities(self) -> Capabilities: ...
    def close(self) -> None: ...

    def admit(self, unit: int, params: Mapping[str, Any], wish: Wish) -> None:
        """Takes a unit for the next steps. Computes nothing: a millisecond at most. An exception fails that unit."""

    def cancel(self, unit: int) -> None:
        """Forgets a unit; nothing more is told about it."""

    def step(self) -> Sequence[Emitted | Progressed | Ended]:
        """Computes one step, of some 25 ms, and tells what came of it. Called while units are admitted."""

    def suspects(self) -> frozenset[int]:
        """The units that took part in the step that raised."""
