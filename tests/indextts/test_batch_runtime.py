"""The batched runtime as a whole, driven by a loop: units in, sound out, whoever shares the steps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from antiphon.domain import errors
from antiphon.domain.engine import Emitted, Ended, Progressed
from antiphon.domain.unit import Wish
from antiphon.engines.indextts.batch import conditions, flow_parts, parts, prompts
from antiphon.engines.indextts.batch.codes import CodeSlots
from antiphon.engines.indextts.batch.flow import Flow
from antiphon.engines.indextts.batch.policy import Policy
from antiphon.engines.indextts.batch.runtime import Runtime
from antiphon.engines.indextts.batch.units import Ask, Row, Voice
from antiphon.engines.indextts.guard import Guard
from antiphon.engines.indextts.pieces import Utterance
from antiphon.worker.memory import rss
from tests.indextts import batch_models, checkpoint
from tests.indextts.batch_models import Modules
from tests.indextts.conftest import MODEL

RATE, STEPS = 22050, 4
#: A random model speaks at no pace; only an endless text, or none at all, is wrong.
GUARD = Guard(fastest=0.0, slowest=9.0)
TEXTS = [f"unit {n} says {'a few words ' * (1 + n % 3)}" for n in range(6)]


class TinyModel:
    """IndexTTS-2.5 on random weights; a voice is a number, and `nan` one that is broken."""

    def __init__(self, modules: Modules, vocoder: Any) -> None:
        self.modules, self.vocode = modules, vocoder
        self.known: dict[Hashable, Voice] = {}
        self.listened: list[Hashable] = []
        self._prompt = prompts.prompt_model(modules.gpt)
        self._codec, self._regulator = parts.codec(modules.codec), parts.regulator(modules.regulator)

    def heard(self, voice: Hashable) -> Voice | None:
        return self.known.get(voice)

    def listen(self, voice: Hashable) -> Voice:
        self.listened.append(voice)
        if voice == "gone":
            raise errors.UnknownVoice("The voice's recording is no longer here")
        made = batch_models.voice(self.modules, 0 if voice == "nan" else int(str(voice)), 30)
        speaker = self.modules.gpt.spk_emb_proj(made.style) + made.emotion
        if voice == "nan":
            speaker = speaker * float("nan")
        self.known[voice] = Voice(speaker, made.style, made.mel, made.condition)
        return self.known[voice]

    def prompts(self, voice: Voice, text: str, manner: Hashable) -> Sequence[Any]:
        return [self._prompt(voice.speaker, list(part.encode())) for part in text.split("|")]

    def max_codes(self, text: str, manner: Hashable) -> int:
        return 60

    def usual_codes(self, text: str, manner: Hashable) -> float:
        return 20.0

    def conditions(self, rows: Sequence[Row]) -> Sequence[Any]:
        lengths = torch.tensor([len(row.codes) for row in rows])
        frames = torch.tensor([conditions.frames25(len(row.codes), row.ask.duration) for row in rows])
        features = conditions.decode(self._codec, pad_sequence([row.codes for row in rows], True), lengths)
        made = conditions.regulate(self._regulator, features, 2 * lengths, frames)
        return [made[n, : int(frames[n])] for n in range(len(rows))]


@pytest.fixture(scope="module")
def modules(models: Path) -> Modules:
    return batch_models.modules25(models / MODEL)


class Clock:
    """A second between any two looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def make(modules: Modules, vocoder: Any, slots: int = 4) -> Runtime:
    return Runtime(
        TinyModel(modules, vocoder),
        CodeSlots(parts.code_model(modules.gpt), slots, 200, 60),
        Flow(flow_parts.flow_model(modules.cfm)),
        Policy(slots=slots, codes=4),
        width=100,
        clock=Clock(),
    )


def ask(number: int, text: str = "", voice: Hashable = None, guard: Guard = GUARD, *, duration: float = 1.0) -> Ask:
    spoken = Utterance(text or TEXTS[number], 7 + number, guard, RATE, duration)
    return Ask(spoken, number % 2 if voice is None else voice, steps=STEPS, duration=duration)


def drive(runtime: Runtime, most: int = 3000) -> Iterator[list[Emitted | Progressed | Ended]]:
    """The events of each step, until nothing is left."""
    for _ in range(most):
        if runtime.idle:
            return
        yield runtime.step()
    raise AssertionError("the runtime did not come to an end")


def speak(runtime: Runtime) -> tuple[dict[int, list[Any]], dict[int, Ended]]:
    """Sound and end of every unit."""
    sound: dict[int, list[Any]] = {}
    ends: dict[int, Ended] = {}
    for events in drive(runtime):
        for event in events:
            if isinstance(event, Ended):
                assert event.unit not in ends
                ends[event.unit] = event
            elif isinstance(event, Emitted):
                assert event.unit not in ends
                sound.setdefault(event.unit, []).append(np.frombuffer(event.chunk.payload, np.int16))
    return sound, ends


@pytest.fixture(scope="module")
def alone(modules: Modules, bigvgan: Any) -> dict[int, Any]:
    """The samples of every unit that has the runtime to itself."""
    found = {}
    for n in range(len(TEXTS)):
        runtime = make(modules, bigvgan)
        runtime.admit(n, ask(n), Wish())
        sound, ends = speak(runtime)
        assert ends[n].error is None
        found[n] = np.concatenate(sound[n])
    return found


def same(got: list[Any], want: Any) -> bool:
    whole = np.concatenate(got)
    return len(whole) == len(want) and bool(np.abs(whole.astype(int) - want.astype(int)).max() <= 1)


@pytest.mark.parametrize("slots", [2, 6])
def test_a_unit_sounds_the_same_in_any_company(
    modules: Modules, bigvgan: Any, alone: dict[int, Any], slots: int
) -> None:
    assert len({len(samples) for samples in alone.values()}) > 1
    runtime = make(modules, bigvgan, slots)
    for n in reversed(range(len(TEXTS))):
        runtime.admit(n, ask(n), Wish(live=n == 2))
    sound, ends = speak(runtime)
    assert all(same(sound[n], alone[n]) for n in range(len(TEXTS)))
    assert all(end.error is None for end in ends.values())


def test_the_seconds_of_all_units_are_those_of_all_steps(modules: Modules, bigvgan: Any) -> None:
    runtime = make(modules, bigvgan)
    for n in range(4):
        runtime.admit(n, ask(n), Wish())
    steps = 0
    seconds = 0.0
    for events in drive(runtime):
        steps += 1
        seconds += sum(event.seconds for event in events if isinstance(event, Ended))
    # The clock says that each step took a second.
    assert seconds == pytest.approx(steps)


def test_progress_goes_through_pieces_and_parts_and_never_back(modules: Modules, bigvgan: Any) -> None:
    runtime = make(modules, bigvgan)
    # Too short for this guard: it is said three times, and then in halves.
    runtime.admit(1, ask(0, "some words|and others, which are longer"), Wish())
    runtime.admit(2, ask(1, "the words of the second unit, of which it has many", guard=Guard(0.06, 9.0)), Wish())
    told: dict[int, list[float]] = {1: [], 2: []}
    for events in drive(runtime):
        for event in events:
            if isinstance(event, Progressed):
                told[event.unit].append(event.fraction)
    for fractions in told.values():
        assert fractions == sorted(set(fractions))
        assert 0 < fractions[0] < 0.3
        assert 0.85 < fractions[-1] < 1


@pytest.mark.parametrize("after", [0, 3, 12, 22, 27, 32])
def test_a_cancelled_unit_leaves_no_trace(modules: Modules, bigvgan: Any, alone: dict[int, Any], after: int) -> None:
    runtime = make(modules, bigvgan)
    for n in range(3):
        runtime.admit(n, ask(n), Wish())
    sound: dict[int, list[Any]] = {}
    for step, events in enumerate(drive(runtime)):
        if step == after:
            runtime.cancel(1)
            runtime.cancel(99)
        for event in events:
            assert event.unit != 1 or step <= after
            if isinstance(event, Emitted):
                sound.setdefault(event.unit, []).append(np.frombuffer(event.chunk.payload, np.int16))
    assert same(sound[0], alone[0])
    assert same(sound[2], alone[2])
    assert runtime._slots.free == runtime._slots.slots
    assert runtime._batch is None


def test_what_is_wrong_with_one_unit_ends_that_one_only(modules: Modules, bigvgan: Any, alone: dict[int, Any]) -> None:
    runtime = make(modules, bigvgan, 6)
    runtime.admit(0, ask(0), Wish())
    runtime.admit(10, ask(1, voice="gone"), Wish())
    runtime.admit(11, ask(1, voice="nan"), Wish())
    runtime.admit(12, ask(1, text="far too long " * 15), Wish())
    runtime.admit(13, ask(1, guard=Guard(fastest=9.0)), Wish(live=True))
    with pytest.raises(ValueError, match="here already"):
        runtime.admit(0, ask(0), Wish())
    sound, ends = speak(runtime)
    assert same(sound[0], alone[0])
    assert ends[0].error is None
    assert isinstance(ends[10].error, errors.UnknownVoice)
    assert [type(ends[n].error) for n in (11, 12, 13)] == [errors.UnitFailed] * 3
    assert "no sound" in str(ends[11].error)
    assert "positions" in str(ends[12].error)
    assert set(sound) == {0}


def test_a_recording_is_heard_once(modules: Modules, bigvgan: Any) -> None:
    runtime = make(modules, bigvgan)
    for n in range(4):
        runtime.admit(n, ask(n, voice=1), Wish())
    speak(runtime)
    assert runtime._model.listened == [1]  # type: ignore[attr-defined]


def test_a_piece_of_several_parts_has_a_pause_between_them(modules: Modules, bigvgan: Any) -> None:
    runtime = make(modules, bigvgan)
    runtime.admit(1, ask(0, text="the first part|and the second one"), Wish())
    (samples,) = speak(runtime)[0][1]
    silent = np.flatnonzero(samples)
    assert int(np.diff(silent).max()) > 4400


def test_who_took_part_in_a_step_that_raised_is_told(modules: Modules, bigvgan: Any) -> None:
    def broken(mels: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    runtime = make(modules, broken)
    for n in range(3):
        runtime.admit(n, ask(n), Wish(alone=n == 1))
    with pytest.raises(RuntimeError, match="device-side"):
        speak(runtime)
    # A suspect of an earlier death is by itself.
    assert runtime.suspects() == {1}
    for n in (0, 2):
        runtime.admit(10 + n, ask(n), Wish())
    runtime.cancel(1)
    with pytest.raises(RuntimeError, match="device-side"):
        speak(runtime)
    assert runtime.suspects()
    assert 1 not in runtime.suspects()


def test_six_hundred_units_of_twelve_voices_leave_nothing(modules: Modules, bigvgan: Any) -> None:
    runtime = make(modules, bigvgan, slots=8)
    admitted = ended = dropped = 0
    memory: list[int] = []
    while ended < 600:
        while len(runtime._rows) < 12:
            runtime.admit(admitted, ask(admitted % 6, voice=admitted % 12, duration=0.4), Wish(live=admitted % 5 == 0))
            admitted += 1
            if admitted % 17 == 3:
                runtime.cancel(next(iter(runtime._rows)))
                dropped += 1
        ended += sum(isinstance(event, Ended) for event in runtime.step())
        if ended >= 300 * (len(memory) + 1):
            memory.append(rss())
    speak(runtime)
    assert dropped > 30
    assert memory[1] <= 1.01 * memory[0]
    slots = runtime._slots
    assert (slots.free, slots._used, slots._prompts, slots._order) == (8, {}, {}, [])
    assert (runtime._rows, runtime._batch, runtime._said, runtime._failed) == ({}, None, [], [])
    assert runtime.suspects() == frozenset()


def test_the_checkpoint_ends_by_itself(alone: dict[int, Any]) -> None:
    """Otherwise every text would have the most codes, and equal lengths would prove little."""
    most = 60 * 2 * 1.72 * 256
    assert min(len(samples) for samples in alone.values()) < most
    assert checkpoint.STOP_AT < 60
