"""Policy: what the device computes next. Pure, so that the runtime and a simulation obey the same rule.

A unit goes through the stages in their order. In short: let rows join, live ones first; then the stage of the live unit
that is furthest, filled up with others of that stage; else the vocoder if its batch is full, the flow if a group is
ready, and codes. Codes and flow take turns, so that neither starves the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Stage(IntEnum):
    """Where a unit is; the work of each stage is counted in its own measure."""

    #: Its recording is to be heard, which no other unit has done: a step by itself.
    LISTEN = 0
    #: It waits for a slot; positions of its prompt.
    JOIN = 1
    #: It has a slot; all slots step together, so the work is steps.
    CODES = 2
    #: Its codes are to become conditions; codes.
    CONDITIONS = 3
    #: Euler steps; twice the frames of the longest, for each row.
    FLOW = 4
    #: Windows of its mel.
    VOCODE = 5


@dataclass(slots=True)
class Unit:
    number: int
    #: Order of arrival.
    arrived: int
    stage: Stage
    #: Whether a listener waits for it.
    live: bool = False
    #: Whether it was there when a process died: it is computed by itself.
    alone: bool = False
    #: Of its prompt.
    positions: int = 0
    #: Of its reference and its target.
    frames: int = 0
    #: That are still to be computed.
    windows: int = 0

    @property
    def urgency(self) -> tuple[bool, int]:
        return not self.live, self.arrived


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of one stage."""

    stage: Stage
    units: tuple[Unit, ...]
    #: Of the stage's measure.
    work: int


@dataclass(slots=True)
class Paces:
    """Seconds that a stage takes for one of its measure, learned from the steps that were taken."""

    #: A guess for a fast GPU; wrong by ten times, it is right after a few steps.
    seconds: dict[Stage, float] = field(
        default_factory=lambda: {
            Stage.LISTEN: 0.1,
            Stage.JOIN: 2e-5,
            Stage.CODES: 4e-3,
            Stage.CONDITIONS: 1e-5,
            Stage.FLOW: 1e-6,
            Stage.VOCODE: 2e-3,
        }
    )
    #: How much a new step counts.
    weight: float = 0.2

    def learn(self, step: Step, seconds: float) -> None:
        fresh = seconds / max(1, step.work)
        # One step that was disturbed must not make the next ones tiny.
        fresh = min(fresh, 4 * self.seconds[step.stage])
        self.seconds[step.stage] += self.weight * (fresh - self.seconds[step.stage])

    def most(self, stage: Stage, seconds: float) -> int:
        """Work that takes at most that long; at least 1."""
        return max(1, int(seconds / self.seconds[stage]))


@dataclass(slots=True)
class Policy:
    slots: int
    #: Seconds that a step aims at: whoever comes next waits for it.
    target: float = 0.025
    #: The same while a listener waits for a unit, which pays for all that share its steps.
    live_target: float = 0.01
    #: Slots that only live units take.
    reserve: int = 0
    #: Rows that make a group of the flow, and windows that make a full batch of the vocoder.
    group: int = 8
    batch: int = 16
    #: Most codes between two looks at the device.
    codes: int = 8
    #: Steps that a recording waits at most while a listener waits for units in later stages.
    patience: int = 16
    paces: Paces = field(default_factory=Paces)
    _aim: float = 0.025
    _flow_turn: bool = False
    _since_listening: int = 0

    def choose(self, units: Sequence[Unit]) -> Step | None:
        """The next step; None if there is nothing to do."""
        sharing = _sharing(units)
        self._aim = self.live_target if any(unit.live for unit in sharing) else self.target
        by_stage = _by_stage(sharing)
        step = self._choose(by_stage)
        if step is not None:
            self._since_listening = 0 if step.stage is Stage.LISTEN else self._since_listening + 1
            if step.stage in (Stage.CODES, Stage.FLOW):
                self._flow_turn = step.stage is Stage.CODES
        return step

    def _choose(self, by_stage: dict[Stage, list[Unit]]) -> Step | None:
        free = self.slots - len(by_stage[Stage.CODES])
        joining = [
            unit
            for n, unit in enumerate(by_stage[Stage.JOIN][:free])
            if unit.live or unit.alone or n < free - self.reserve
        ]
        live = {stage: bool(units) and units[0].live for stage, units in by_stage.items()}
        if joining:
            return self._fit(Stage.JOIN, joining)
        if by_stage[Stage.CONDITIONS]:
            return self._fit(Stage.CONDITIONS, by_stage[Stage.CONDITIONS])
        heard = live[Stage.LISTEN] or not any(live.values()) or self._since_listening >= self.patience
        if by_stage[Stage.LISTEN] and heard:
            return Step(Stage.LISTEN, (by_stage[Stage.LISTEN][0],), 1)
        full = sum(unit.windows for unit in by_stage[Stage.VOCODE]) >= self._windows()
        if by_stage[Stage.VOCODE] and (live[Stage.VOCODE] or full):
            return self._vocode(by_stage[Stage.VOCODE])
        flow, codes = by_stage[Stage.FLOW], by_stage[Stage.CODES]
        ready = bool(flow) and (live[Stage.FLOW] or len(flow) >= self.group)
        only_flow = live[Stage.FLOW] and not live[Stage.CODES]
        if ready and (not codes or only_flow or self._flow_turn):
            return self._flow(flow)
        if codes:
            return self._codes(codes)
        if flow:
            return self._flow(flow)
        return self._vocode(by_stage[Stage.VOCODE]) if by_stage[Stage.VOCODE] else self._listen(by_stage)

    def _listen(self, by_stage: dict[Stage, list[Unit]]) -> Step | None:
        waiting = by_stage[Stage.LISTEN]
        return Step(Stage.LISTEN, (waiting[0],), 1) if waiting else None

    # How much of a stage fits into a step

    def _fit(self, stage: Stage, units: list[Unit]) -> Step:
        """As many units, in their order, as their positions or codes allow."""
        most, taken, work = self.paces.most(stage, self._aim), units[:1], units[0].positions
        for unit in units[1:]:
            if work + unit.positions > most:
                break
            taken.append(unit)
            work += unit.positions
        return Step(stage, tuple(taken), work)

    def _codes(self, units: list[Unit]) -> Step:
        steps = min(self.codes, self.paces.most(Stage.CODES, self._aim))
        return Step(Stage.CODES, tuple(units), steps)

    def _flow(self, units: list[Unit]) -> Step:
        """The most urgent one, and those of nearly its length: all are padded to the longest."""
        head, most = units[0], self.paces.most(Stage.FLOW, self._aim)
        taken, shortest, longest = [head], head.frames, head.frames
        for unit in sorted(units[1:], key=lambda unit: (not unit.live, abs(unit.frames - head.frames), unit.arrived)):
            low, high = min(shortest, unit.frames), max(longest, unit.frames)
            if len(taken) >= self.group or 2 * high * (len(taken) + 1) > most:
                break
            if high <= 1.25 * low:
                taken.append(unit)
                shortest, longest = low, high
        return Step(Stage.FLOW, tuple(taken), 2 * longest * len(taken))

    def _windows(self) -> int:
        return min(self.batch, self.paces.most(Stage.VOCODE, self._aim))

    def _vocode(self, units: list[Unit]) -> Step:
        most, taken, work = self._windows(), [], 0
        for unit in units:
            if work >= most:
                break
            taken.append(unit)
            work += min(unit.windows, most - work)
        return Step(Stage.VOCODE, tuple(taken), work)


def _sharing(units: Sequence[Unit]) -> Sequence[Unit]:
    """Units that may take the next step. A suspect shares none: those at work are finished, then it runs by itself."""
    suspect = min((unit for unit in units if unit.alone), key=lambda unit: unit.arrived, default=None)
    if suspect is None:
        return units
    at_work = [unit for unit in units if unit is not suspect and unit.stage > Stage.JOIN and not unit.alone]
    return at_work or [suspect]


def _by_stage(units: Sequence[Unit]) -> dict[Stage, list[Unit]]:
    """The most urgent first."""
    found: dict[Stage, list[Unit]] = {stage: [] for stage in Stage}
    for unit in sorted(units, key=lambda unit: unit.urgency):
        found[unit.stage].append(unit)
    return found
