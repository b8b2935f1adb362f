"""Runtime: units in, sound out, one step at a time. One thread drives it, and it has no locks.

    admit(unit, ask, wish)   computes nothing
    cancel(unit)             between two steps; no event follows
    step()                   one batch of one stage, and what came of it
    suspects()               units that took part in a step that raised

A unit is an utterance: its pieces are said one after the other, each as a row that goes through all stages, and the
guard decides whether it is said again. What a unit costs is its share of the seconds of the steps that it took part in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

import torch

from antiphon.domain import errors
from antiphon.domain.engine import Chunk, Emitted, Ended, Progressed
from antiphon.domain.unit import Wish
from antiphon.engines.indextts.batch import draws, vocoder
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt
from antiphon.engines.indextts.batch.flow import Flow, FlowBatch
from antiphon.engines.indextts.batch.policy import Policy, Stage, Step, Unit
from antiphon.engines.indextts.batch.units import Ask, Model, Row
from antiphon.engines.indextts.pieces import Attempt

#: Samples of silence between the parts of a piece that is too long for the model, as the packages leave it.
PAUSE = 4410
#: Seconds that a step waits at most while nothing but the reading of texts is to be done.
READING = 0.01

Event = Emitted | Progressed | Ended


class Runtime:
    def __init__(
        self,
        model: Model,
        slots: CodeSlots,
        flow: Flow,
        policy: Policy,
        width: int = 256,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`width`: frames of a vocoder's window. `clock`: seconds, read when the device has done all that was asked."""
        self._model, self._slots, self._flow, self._policy = model, slots, flow, policy
        self._width, self._clock = width, clock
        self._rows: dict[int, Row] = {}
        self._arrivals = 0
        #: Seconds of the device, by stage; for measurements.
        self.spent = dict.fromkeys(Stage, 0.0)
        #: Rows of the flow that stepped together last; kept while the same ones go on.
        self._batch: FlowBatch | None = None
        self._suspects: frozenset[int] = frozenset()
        #: Rows whose sound is whole, and those with which something is wrong, in this step.
        self._said: list[tuple[Row, Any]] = []
        self._failed: list[tuple[Row, Exception]] = []

    @property
    def idle(self) -> bool:
        return not self._rows

    def admit(self, unit: int, ask: Ask, wish: Wish) -> None:
        """Raises for this unit only."""
        if unit in self._rows:
            raise ValueError(f"unit {unit} is here already")
        self._arrivals += 1
        self._rows[unit] = Row(Unit(unit, self._arrivals, Stage.LISTEN, wish.live, wish.alone), ask)

    def cancel(self, unit: int) -> None:
        row = self._rows.pop(unit, None)
        if row is not None:
            self._release(row)

    def suspects(self) -> frozenset[int]:
        return self._suspects

    def step(self) -> list[Event]:
        """Raises what the device raises; the process is then not to be trusted."""
        with torch.inference_mode():
            unread = [row.ask.reading for row in self._rows.values() if not _is_read(row) and row.ask.reading]
            for row in [row for row in self._rows.values() if row.unit.stage is Stage.LISTEN and _is_read(row)]:
                row.voice = row.voice or self._model.heard(row.ask.voice)
                if row.voice is not None:
                    self._try(row)
            ready = [row.unit for row in self._rows.values() if _is_read(row) and not self._is_failed(row)]
            step = self._policy.choose(ready)
            if step is not None:
                self._compute(step)
            elif unread:
                wait(unread, READING, FIRST_COMPLETED)
            return self._events(step.units if step is not None else ())

    def _compute(self, step: Step) -> None:
        rows = [self._rows[unit.number] for unit in step.units]
        self._suspects = frozenset(row.unit.number for row in rows)
        before = self._clock()
        shares = self._stages[step.stage](self, rows, step.work)
        seconds = self._clock() - before
        self._suspects = frozenset()
        self._policy.paces.learn(step, seconds)
        self.spent[step.stage] += seconds
        whole = sum(share for _, share in shares)
        for row, share in shares:
            row.seconds += seconds * share / whole

    # Attempts

    def _try(self, row: Row) -> None:
        """Prepares the next attempt of a unit. What is wrong with its text fails this unit only."""
        attempt = _attempt(row)
        assert row.voice is not None
        try:
            prompts = self._model.prompts(row.voice, attempt.text, row.ask.manner)
            if not prompts:
                raise errors.NothingToSay("The model reads nothing in this text")
            first, *row.parts = prompts
            row.said, row.whole, row.span = [], True, row.ask.utterance.part
            row.usual = self._model.usual_codes(attempt.text, row.ask.manner) / len(prompts)
            self._queue(row, first)
        except Exception as e:
            self._failed.append((row, e))

    def _queue(self, row: Row, embedding: Any) -> None:
        """Has a part of an attempt wait for a slot. Raises `UnitFailed` if it does not fit into one."""
        attempt = _attempt(row)
        room = self._slots.positions - int(embedding.shape[0])
        limit = min(self._model.max_codes(attempt.text, row.ask.manner), self._slots.max_codes, room)
        row.prompt = Prompt(embedding, draws.uniforms(_seed(row), limit), limit, row.ask.sampling)
        problem = self._slots.problem(row.prompt)
        if problem is not None:
            raise errors.UnitFailed(f"The model cannot say {attempt.text[:40]!r}: {problem}")
        row.unit.positions, row.unit.stage = int(embedding.shape[0]), Stage.JOIN

    # Stages: each returns who took part, with the weight of their share

    def _listen(self, rows: list[Row], work: int) -> list[tuple[Row, float]]:
        (row,) = rows
        try:
            row.voice = self._model.listen(row.ask.voice)
        except errors.AntiphonError as e:
            self._failed.append((row, e))
        else:
            self._try(row)
        return [(row, 1.0)]

    def _join(self, rows: list[Row], work: int) -> list[tuple[Row, float]]:
        prompts = [row.prompt for row in rows if row.prompt is not None]
        for row, slot in zip(rows, self._slots.join(prompts), strict=True):
            row.slot, row.unit.stage = slot, Stage.CODES
        return [(row, row.unit.positions) for row in rows]

    def _codes(self, rows: list[Row], steps: int) -> list[tuple[Row, float]]:
        done = self._slots.advance(steps)
        for row in rows:
            if row.slot is None or row.slot not in done:
                continue
            count = done[row.slot]
            row.codes = self._slots.codes(row.slot, count)
            row.whole = row.whole and row.prompt is not None and count < row.prompt.limit
            self._slots.leave(row.slot)
            row.slot, row.unit.stage, row.unit.positions = None, Stage.CONDITIONS, count
            if not count:
                self._said.append((row, torch.zeros(0)))
        return [(row, 1.0) for row in rows]

    def _conditions(self, rows: list[Row], work: int) -> list[tuple[Row, float]]:
        for row, condition in zip(rows, self._model.conditions(rows), strict=True):
            voice = row.voice
            assert voice is not None
            whole = torch.cat([voice.condition, condition])
            noise = draws.noise(_seed(row), int(voice.mel.shape[0]), int(whole.shape[0]))
            row.flow = self._flow.row(noise, voice.mel, whole, voice.style, row.ask.steps)
            row.unit.stage, row.unit.frames = Stage.FLOW, row.flow.frames
        return [(row, row.unit.positions) for row in rows]

    def _euler(self, rows: list[Row], work: int) -> list[tuple[Row, float]]:
        flows = tuple(row.flow for row in rows if row.flow is not None)
        if self._batch is None or self._batch.rows != flows:
            self._disband()
            self._batch = self._flow.batch(flows)
        self._flow.step(self._batch)
        if any(flow.done == flow.steps for flow in flows):
            self._disband()
        for row in rows:
            if row.flow is not None and row.flow.done == row.flow.steps:
                row.sound = vocoder.Sound(row.flow.mel, self._width)
                row.flow, row.unit.stage, row.unit.windows = None, Stage.VOCODE, len(row.sound.pending)
        return [(row, row.unit.frames) for row in rows]

    def _vocode(self, rows: list[Row], windows: int) -> list[tuple[Row, float]]:
        batch = vocoder.take([row.sound for row in rows if row.sound is not None], windows)
        vocoder.vocode(self._model.vocode, batch)
        shares = []
        for row in rows:
            count = sum(sound is row.sound for sound, _ in batch)
            if count and row.sound is not None:
                shares.append((row, float(count)))
                row.unit.windows = len(row.sound.pending)
                if row.sound.done:
                    self._said.append((row, row.sound.samples))
                    row.sound = None
        return shares

    _stages = {
        Stage.LISTEN: _listen,
        Stage.JOIN: _join,
        Stage.CODES: _codes,
        Stage.CONDITIONS: _conditions,
        Stage.FLOW: _euler,
        Stage.VOCODE: _vocode,
    }

    # After a step

    def _events(self, stepped: Sequence[Unit]) -> list[Event]:
        said, self._said = self._said, []
        events: list[Event] = [event for row, samples in said for event in self._heard(row, samples)]
        failed, self._failed = self._failed, []
        for row, error in failed:
            del self._rows[row.unit.number]
            self._release(row)
            events.append(Ended(row.unit.number, row.seconds, error))
        return events + self._progress([self._rows[unit.number] for unit in stepped if unit.number in self._rows])

    def _progress(self, rows: Sequence[Row]) -> list[Event]:
        """An attempt that is said again tells nothing until it is further than the one before."""
        events: list[Event] = []
        for row in rows:
            fraction = row.fraction(0 if row.slot is None else self._slots.drawn(row.slot))
            if fraction > row.told:
                row.told = fraction
                events.append(Progressed(row.unit.number, fraction))
        return events

    def _heard(self, row: Row, samples: Any) -> list[Event]:
        """What follows from a part's sound: the next part, or the guard's word on the attempt."""
        row.said.append(_int16(samples))
        try:
            if row.parts:
                self._queue(row, row.parts.pop(0))
                return []
            accepted = row.ask.utterance.report(_joined(row.said).numpy(), row.whole)
        except errors.UnitFailed as e:
            self._failed.append((row, e))
            return []
        events: list[Event] = [] if accepted is None else [Emitted(row.unit.number, Chunk(accepted.tobytes()))]
        if row.ask.utterance.attempt is not None:
            self._try(row)
            return events
        del self._rows[row.unit.number]
        return [*events, Ended(row.unit.number, row.seconds)]

    def _is_failed(self, row: Row) -> bool:
        return any(row is failed for failed, _ in self._failed)

    def _release(self, row: Row) -> None:
        """Takes a row out of what it shares with others."""
        if row.slot is not None:
            self._slots.leave(row.slot)
            row.slot = None
        if self._batch is not None and row.flow in self._batch.rows:
            self._disband()

    def _disband(self) -> None:
        if self._batch is not None:
            self._batch.write_back()
            self._batch = None


def _is_read(row: Row) -> bool:
    return row.ask.reading is None or row.ask.reading.done()


def _attempt(row: Row) -> Attempt:
    attempt = row.ask.utterance.attempt
    assert attempt is not None, "the unit has something to say until it ends"
    return attempt


def _seed(row: Row) -> int:
    """Of an attempt; each of its parts has its own."""
    return _attempt(row).seed + (len(row.said) << 64)


def _int16(samples: Any) -> Any:
    """[samples] int16 on the CPU; what is no number is silence, which the guard refuses."""
    return (samples * 32767).nan_to_num(0.0).clamp(-32767, 32767).to(torch.int16).cpu()


def _joined(parts: list[Any]) -> Any:
    pause = torch.zeros(PAUSE, dtype=torch.int16)
    return torch.cat([each for part in parts for each in (pause, part)][1:])
