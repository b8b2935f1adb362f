"""The batched runtime's policy, simulated: live units come first, steps stay short, and everything ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engines.indextts.batch.policy import Paces, Policy, Stage, Step, Unit

#: Seconds of each stage's measure on the simulated device.
COSTS = {
    Stage.LISTEN: 0.05,
    Stage.JOIN: 2e-5,
    Stage.CODES: 3e-3,
    Stage.CONDITIONS: 1e-5,
    Stage.FLOW: 1e-6,
    Stage.VOCODE: 1.5e-3,
}
STEPS, PROMPT = 25, 500


@dataclass
class Made:
    """What the device still has to do for a unit, and when its sound was whole."""

    unit: Unit
    codes: int
    arrived: float
    steps: int = STEPS
    ended: float = 0.0


@dataclass
class Device:
    policy: Policy = field(default_factory=lambda: Policy(slots=32, reserve=4))
    units: dict[int, Made] = field(default_factory=dict)
    now: float = 0.0
    taken: list[tuple[Step, float]] = field(default_factory=list)
    count: int = 0

    def add(self, codes: int, live: bool = False, alone: bool = False, known: bool = True) -> Made:
        self.count += 1
        stage = Stage.JOIN if known else Stage.LISTEN
        made = Made(Unit(self.count, self.count, stage, live, alone, positions=120), codes, self.now)
        self.units[self.count] = made
        return made

    def step(self) -> bool:
        step = self.policy.choose([made.unit for made in self.units.values()])
        if step is None:
            return False
        seconds = COSTS[step.stage] * step.work
        self.now += seconds
        self.taken.append((step, seconds))
        self.policy.paces.learn(step, seconds)
        work = step.work
        for unit in step.units:
            work = self._advance(self.units[unit.number], step, work)
        return True

    def _advance(self, made: Made, step: Step, work: int) -> int:
        unit = made.unit
        if step.stage is Stage.CODES:
            made.codes -= step.work
            unit.frames = PROMPT + 3 * 100
            unit.stage = Stage.CONDITIONS if made.codes <= 0 else Stage.CODES
        elif step.stage is Stage.FLOW:
            made.steps -= 1
            unit.windows = 3
            unit.stage = Stage.VOCODE if made.steps <= 0 else Stage.FLOW
        elif step.stage is Stage.VOCODE:
            done = min(work, unit.windows)
            unit.windows -= done
            if not unit.windows:
                made.ended = self.now
                del self.units[unit.number]
            return work - done
        else:
            unit.stage = {Stage.LISTEN: Stage.JOIN, Stage.JOIN: Stage.CODES, Stage.CONDITIONS: Stage.FLOW}[step.stage]
        return work


def crowd(marked: bool, seconds: float = 12.0) -> tuple[Device, list[float]]:
    """48 bulk units at any time, and a short one every 0.3 s, which is live if `marked`: how long those take."""
    device, drawn = Device(), random.Random(1)
    short: list[Made] = []
    bulk: list[Made] = []
    while device.now < seconds:
        while sum(made.unit.number in device.units for made in bulk) < 48:
            bulk.append(device.add(drawn.randint(80, 200)))
            bulk = [made for made in bulk if made.unit.number in device.units]
        if len(short) <= device.now / 0.3:
            short.append(device.add(drawn.randint(20, 40), live=marked))
        device.step()
    return device, sorted(made.ended - made.arrived for made in short if made.ended)


def test_a_live_unit_does_not_wait_for_the_crowd() -> None:
    alone = Device()
    made = alone.add(40, live=True)
    while alone.step():
        pass
    unmarked = crowd(marked=False)[1]
    device, waits = crowd(marked=True)
    assert len(waits) >= 15
    assert waits[len(waits) // 2] <= 4.5 * made.ended
    # None of them, so the 99th in a hundred too.
    assert waits[-1] <= 6 * made.ended
    # Without the mark hardly one comes to an end in that time.
    assert len(unmarked) < len(waits) / 2
    # The crowd goes on meanwhile.
    assert device.count > 48 + len(waits)


def chosen(units: list[Unit], slots: int = 8) -> Step:
    step = Policy(slots=slots).choose(units)
    assert step is not None
    return step


def test_a_live_unit_takes_the_last_slot_before_those_that_came_first() -> None:
    waiting = [Unit(n, n, Stage.JOIN, positions=10) for n in range(3)] + [Unit(9, 9, Stage.JOIN, True, positions=10)]
    busy = [Unit(20 + n, 20 + n, Stage.CODES) for n in range(3)]
    step = chosen([*waiting, *busy], slots=4)
    assert [unit.number for unit in step.units] == [9]


def test_steps_are_shorter_while_somebody_listens() -> None:
    rows = [Unit(n, n, Stage.CODES) for n in range(4)]
    usual, quick = chosen(rows), chosen([*rows, Unit(9, 9, Stage.CODES, True)])
    assert usual.work > quick.work >= 1


def test_the_stage_of_the_live_unit_is_next() -> None:
    crowd = [Unit(n, n, Stage.CODES) for n in range(4)] + [
        Unit(10 + n, 10 + n, Stage.FLOW, frames=500) for n in range(2)
    ]
    # A window that is whole would fill no batch, and a row of the flow no group.
    assert chosen([*crowd, Unit(8, 8, Stage.VOCODE, True, windows=1)]).stage is Stage.VOCODE
    assert chosen([*crowd, Unit(8, 8, Stage.VOCODE, windows=1)]).stage is Stage.CODES
    policy, live = Policy(slots=8), Unit(8, 8, Stage.FLOW, True, frames=500)
    for _ in range(3):
        step = policy.choose([*crowd, live])
        assert step is not None
        assert (step.stage, step.units[0]) == (Stage.FLOW, live)


def test_steps_are_bounded_in_time() -> None:
    device, _ = crowd(marked=True)
    # Until the paces are learned a guess decides.
    for step, seconds in device.taken[100:]:
        assert seconds <= 1.3 * device.policy.target or len(step.units) == 1 or step.stage is Stage.LISTEN


def test_a_slow_device_takes_smaller_steps() -> None:
    """Sixteen windows in one call would take a third of a second there."""
    fast, slow = Policy(slots=8), Policy(slots=8, paces=Paces())
    units = [Unit(n, n, Stage.VOCODE, windows=4) for n in range(8)]
    for _ in range(30):
        step = slow.choose(units)
        assert step is not None
        slow.paces.learn(step, 0.02 * step.work)
    few, many = slow.choose(units), fast.choose(units)
    assert few is not None
    assert many is not None
    assert (few.work, many.work) == (1, 12)


def test_codes_and_the_flow_take_turns() -> None:
    policy = Policy(slots=8)
    units = [Unit(n, n, Stage.FLOW, frames=500) for n in range(8)] + [Unit(9, 9, Stage.CODES)]
    steps = [policy.choose(units) for _ in range(4)]
    assert [step.stage for step in steps if step] == [Stage.CODES, Stage.FLOW, Stage.CODES, Stage.FLOW]


def test_rows_of_a_step_of_the_flow_are_of_nearly_one_length() -> None:
    units = [Unit(n, n, Stage.FLOW, frames=frames) for n, frames in enumerate((500, 2000, 520, 610, 640))]
    step = Policy(slots=8).choose(units)
    assert step is not None
    assert [unit.frames for unit in step.units] == [500, 520, 610]


def test_a_new_recording_is_a_step_by_itself() -> None:
    device = Device()
    for _ in range(3):
        device.add(30, known=False)
    device.add(30, live=True)
    while device.step():
        pass
    listened = [step for step, _ in device.taken if step.stage is Stage.LISTEN]
    assert [len(step.units) for step in listened] == [1, 1, 1]
    assert device.taken[0][0].stage is Stage.JOIN


def test_a_suspect_shares_no_step() -> None:
    device = Device()
    for n in range(6):
        device.add(40 + n)
    for _ in range(5):
        device.step()
    suspects = [device.add(30, alone=True), device.add(30, alone=True, live=True)]
    for n in range(3):
        device.add(20 + n, live=True)
    while device.step():
        pass
    for made in suspects:
        took_part = [step for step, _ in device.taken if made.unit in step.units]
        assert took_part
        assert all(step.units == (made.unit,) for step in took_part)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans(), st.booleans()), max_size=12), st.integers(1, 8)
)
def test_everything_ends_and_no_more_rows_join_than_there_are_slots(
    asked: list[tuple[int, bool, bool, bool]], slots: int
) -> None:
    device = Device(Policy(slots=slots))
    made = [device.add(codes, live, alone, known) for codes, live, alone, known in asked]
    for _ in range(20_000):
        assert sum(each.unit.stage is Stage.CODES for each in device.units.values()) <= slots
        if not device.step():
            break
    assert not device.units
    assert all(each.ended for each in made)


@pytest.mark.parametrize("stage", list(Stage))
def test_one_disturbed_step_does_not_make_the_next_ones_tiny(stage: Stage) -> None:
    paces = Paces()
    before = paces.seconds[stage]
    paces.learn(Step(stage, (), 10), 60.0)
    assert paces.seconds[stage] <= 2 * before
