"""What an engine is: the plug-in that holds a model inside a worker process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from antiphon.domain.job import Kind


@dataclass(frozen=True, slots=True)
class Voice:
    """A sound that a user can pick."""

    id: str
    name: str
    #: BCP-47 tags it speaks well.
    languages: tuple[str, ...]
    gender: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """How a text is best cut for this engine; lengths in characters (a CJK character counts as `cjk_weight`)."""

    #: No segment is longer.
    max_chars: int = 300
    #: Sentences are joined up to about this length.
    target_chars: int = 160
    #: The first segment of a streamed answer is cut at its first clause if that leaves at most this much.
    first_chars: int = 60
    cjk_weight: float = 2.5


@dataclass(frozen=True, slots=True)
class Canvas:
    """Images that an engine can draw; sides in pixels."""

    #: (width, height) of those that ask for none.
    size: tuple[int, int] = (512, 512)
    #: The shortest and the longest side.
    least: int = 64
    most: int = 1024
    #: What both sides are multiples of.
    multiple: int = 8
    #: Steps of denoising of those that ask for none.
    steps: int = 20


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, told by the child in its ready frame. What is not here, it cannot do."""

    kind: Kind
    #: Hz; 0 for kinds of work without audio.
    sample_rate: int
    #: Version of weights and code; part of every recipe.
    revision: str
    #: BCP-47 primary tags it speaks well enough to advertise. Empty: any.
    languages: tuple[str, ...] = ()
    voices: tuple[Voice, ...] = ()
    default_voice: str = ""
    #: Voice by language, for requests that name none.
    voice_by_language: Mapping[str, str] = field(default_factory=dict)
    #: Names of emotions that change the sound. Empty: it has one mood.
    emotions: tuple[str, ...] = ()
    speed_min: float = 1.0
    speed_max: float = 1.0
    #: Speaks with an uploaded reference's voice.
    cloning: bool = False
    #: Names of `SpeechParams.options` that it understands; others never reach it.
    options: tuple[str, ...] = ()
    #: Takes voice mixes such as "a(2)+b".
    mixing: bool = False
    #: The same recipe gives the same samples.
    deterministic: bool = False
    #: Units that one worker computes at the same time.
    slots: int = 1
    cut: Cut = field(default_factory=Cut)
    #: For images; those engines name in `options` what they know of `steps`, `guidance` and `negative_prompt`.
    canvas: Canvas | None = None
    #: Bytes of memory one worker needs, about.
    footprint: int = 0
    licence: str = ""
    attribution: str = ""


def has_voice(capabilities: Capabilities, asked: str) -> bool:
    """Whether the model itself has that voice, or all voices of that mix."""
    known = {voice.id for voice in capabilities.voices}
    return asked in known or all(part.partition("(")[0] in known for part in asked.split("+"))


#: Hz, slots: beyond these it is a mistake, or would take the machine.
RATES, SLOTS = (4000, 384_000), 256
SPEEDS = (0.01, 100.0)


def problems(can: object) -> list[str]:
    """What is wrong with what an engine says it can do; the server relies on all of it."""
    if not isinstance(can, Capabilities):
        return [f"capabilities() must return Capabilities, not {type(can).__name__}"]
    ids = [voice.id for voice in can.voices]
    cut = can.cut
    kept = {
        "kind must be a word such as speech": can.kind.isidentifier(),
        f"sample_rate must be {RATES[0]} to {RATES[1]} Hz, or 0 without audio": can.sample_rate == 0
        or RATES[0] <= can.sample_rate <= RATES[1],
        "revision is empty: two versions of the weights would share their cache": bool(can.revision),
        "two voices have one id": len(ids) == len(set(ids)),
        f"default_voice {can.default_voice!r} is none of the voices": can.default_voice in (ids or ("",)),
        "voice_by_language names a voice that there is not": {*can.voice_by_language.values()} <= {*ids},
        "speed_min and speed_max must enclose 1": SPEEDS[0] <= can.speed_min <= 1 <= can.speed_max <= SPEEDS[1],
        f"slots must be 1 to {SLOTS}": 1 <= can.slots <= SLOTS,
        "cut must have 0 < first_chars <= target_chars <= max_chars": 0
        < cut.first_chars
        <= cut.target_chars
        <= cut.max_chars,
        "cut.cjk_weight must be at least 1": cut.cjk_weight >= 1,
        "canvas must allow its own size, and have at least one step": fits(can.canvas),
    }
    return [problem for problem, fine in kept.items() if not fine]


def fits(canvas: Canvas | None) -> bool:
    """Whether a canvas allows its own size."""
    return canvas is None or (
        min(canvas.least, canvas.multiple, canvas.steps) > 0
        and all(canvas.least <= side <= canvas.most and side % canvas.multiple == 0 for side in canvas.size)
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a unit's result on its way: for speech mono signed 16-bit little-endian PCM."""

    payload: bytes
    meta: Mapping[str, Any] = field(default_factory=dict)


class Context(Protocol):
    """What an engine can ask while it runs a unit."""

    def cancelled(self) -> bool:
        """Whether nobody wants the result any more; the engine then returns at its next convenience."""
        ...

    def progress(self, fraction: float) -> None:
        """Tells how far the unit is (0 to 1), for units that take many seconds."""
        ...


class Phase(Protocol):
    def __call__(self, name: str, fraction: float | None = None) -> None:
        """Tells what loading is at, in a few words (`reading weights`), for /health."""
        ...


class Engine(Protocol):
    """Lives in a worker process and is synchronous. Built with `options` (JSON values), then load, warm, run…

    An exception out of `run` fails that unit and nothing else. An exception whose attribute `fatal` is true, or
    any end of the process, takes the worker with it; the unit is then tried elsewhere.
    """

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def load(self, phase: Phase) -> None:
        """Reads files and builds the model. Raises with a message for the operator if something is missing."""
        ...

    def warm(self) -> None:
        """Makes the first unit as quick as the others."""
        ...

    def capabilities(self) -> Capabilities:
        """Asked once, after `warm`."""
        ...

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """Computes one unit. Asks `context.cancelled()` between chunks and stops early when it is true."""
        ...

    def close(self) -> None:
        """Gives back what the process would not give back by ending."""
        ...
