"""Units: what the runtime is asked for, what it tells, and what it needs of a model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from antiphon.engines.indextts.batch.codes import Prompt
from antiphon.engines.indextts.batch.flow import STEPS, FlowRow
from antiphon.engines.indextts.batch.policy import Stage, Unit
from antiphon.engines.indextts.batch.sampling import Sampling
from antiphon.engines.indextts.batch.vocoder import Sound
from antiphon.engines.indextts.interrupt import SHARES
from antiphon.engines.indextts.pieces import Utterance


@dataclass(frozen=True, slots=True)
class Voice:
    """What the model heard in a recording, with the emotion of one request."""

    #: [n, width]: what a prompt begins with.
    speaker: Any
    #: [1, 192]
    style: Any
    #: [mels, frames]
    mel: Any
    #: [frames, channels]
    condition: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """How a unit is to be said; `Utterance` knows the text."""

    utterance: Utterance
    #: Which recording, and with which emotion; the listener's own word for it.
    voice: Hashable
    #: How its text is to be read; the model's own word for it.
    manner: Hashable = None
    #: Done when its text has been read; the unit waits for it.
    reading: Future[Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    steps: int = STEPS
    #: Times the usual length.
    duration: float = 1.0


class Model(Protocol):
    """What differs between the versions of IndexTTS, and what is not computed in batches."""

    def heard(self, voice: Hashable) -> Voice | None:
        """The voice, if it was listened to before. Costs nothing."""

    def listen(self, voice: Hashable) -> Voice:
        """Computes the voice and remembers it. May raise an error for the units that asked for it."""

    def prompts(self, voice: Voice, text: str, manner: Hashable) -> Sequence[Any]:
        """[positions, width] for each part of a text: one, unless it is too long for the model; none, if there is
        nothing to say."""

    def max_codes(self, text: str, manner: Hashable) -> int:
        """Codes after which a text is not going to end."""

    def usual_codes(self, text: str, manner: Hashable) -> float:
        """Codes that a text takes, about."""

    def conditions(self, rows: Sequence[Row]) -> Sequence[Any]:
        """[frames, channels] for the codes of each row."""

    def vocode(self, mels: Any) -> Any:
        """[rows, mels, frames] → [rows, 1, samples]"""


class Row:
    """A part of an attempt at a piece, on its way through the stages."""

    def __init__(self, unit: Unit, ask: Ask) -> None:
        self.unit, self.ask = unit, ask
        #: Of the device, so far.
        self.seconds = 0.0
        self.voice: Voice | None = None
        #: Prompts of the attempt's other parts, the next one first, and the sound of those before.
        self.parts: list[Any] = []
        self.said: list[Any] = []
        #: Whether each part of the attempt came to an end by itself.
        self.whole = True
        self.prompt: Prompt | None = None
        self.slot: int | None = None
        #: [n] long
        self.codes: Any = None
        self.flow: FlowRow | None = None
        self.sound: Sound | None = None
        #: What progress goes by: the part of the text that the attempt is, codes that each of its parts takes, about,
        #: and what was told last.
        self.span, self.usual, self.told = (0.0, 1.0), 1.0, 0.0

    def fraction(self, drawn: int) -> float:
        """How far the unit is, 0 to 1; `drawn` codes of this part are there."""
        codes, flow, _ = SHARES
        match self.unit.stage:
            case Stage.CODES:
                done = codes * min(1.0, drawn / self.usual)
            case Stage.FLOW if self.flow is not None:
                done = codes + flow * self.flow.done / self.flow.steps
            case Stage.CONDITIONS:
                done = codes
            case Stage.VOCODE:
                done = codes + flow
            case _:
                done = 0.0
        start, end = self.span
        return start + (end - start) * (len(self.said) + done) / (len(self.said) + 1 + len(self.parts))
