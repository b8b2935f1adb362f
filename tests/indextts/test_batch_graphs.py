"""Recorded steps of the batched runtime: as eager ones, whatever the batch; on a CPU, with a recorder that acts as CUDA."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import torch

from antiphon.engines.indextts.batch import codes as batch_codes
from antiphon.engines.indextts.batch import flow, flow_parts, graphs, parts, vocoder
from antiphon.engines.indextts.batch.codes import CodeSlots
from antiphon.engines.indextts.batch.flow import Flow, FlowRow
from antiphon.engines.indextts.batch.graphs import Graphs, Places, RecordedVocoder
from antiphon.engines.indextts.batch.sampling import Sampling
from tests.indextts.batch_models import Modules, error
from tests.indextts.tape import NotRecorded, Tape
from tests.indextts.test_batch_codes import prompt, serve
from tests.indextts.test_batch_sound import flow_inputs, flow_of_package

CODES = 64


pytestmark = pytest.mark.usefixtures("inference")


# The recorder itself: what it would miss, these tests would miss


def test_the_tape_repeats_operations_and_not_decisions() -> None:
    x, y, host = torch.ones(3), torch.zeros(3), {"factor": 2.0}
    repeat = Tape().record(lambda: y.add_((x * host["factor"]).cumsum(0)))
    assert y.tolist() == [0, 0, 0]
    host["factor"] = 100.0
    x.fill_(3)
    repeat()
    repeat()
    assert y.tolist() == [12, 24, 36]


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(), lambda x: x.tolist(), lambda x: bool((x > 0).all()), lambda x: x[x > 0],
        lambda x: x.nonzero(), lambda x: x.add_(torch.tensor([1.0, 2.0])), lambda x: x.cpu(), lambda x: int(x[0]),
    ],
)  # fmt: skip
def test_the_tape_refuses_what_a_graph_cannot_have(work: Any) -> None:
    with pytest.raises(NotRecorded):
        Tape().record(partial(work, torch.ones(2)))


# Bookkeeping


def counter(places: Places, key: int) -> Any:
    return lambda: places("count", 1).add_(key)


def test_what_is_met_again_is_repeated_and_the_least_recently_used_is_dropped() -> None:
    tape, places = Tape(), Places("cpu")
    places.reserve("count", 1)
    made = Graphs(tape, most=2)
    for key in (1, 1, 2, 1, 3, 1, 2):
        made.run(key, counter(places, key))
    assert places("count", 1).item() == 11
    # 2 was dropped for 3, and is recorded again.
    assert (tape.recorded, tape.repeated, made.count) == (4, 3, 2)


def test_after_one_recording_that_fails_all_steps_are_launched(caplog: pytest.LogCaptureFixture) -> None:
    tape, places = Tape(fail_at=1), Places("cpu")
    places.reserve("count", 1)
    made = Graphs(tape)
    with caplog.at_level(logging.WARNING, "antiphon"):
        for key in (1, 2, 1, 2, 3):
            made.run(key, counter(places, key))
    assert places("count", 1).item() == 9
    assert (made.on, made.count, tape.recorded, tape.repeated) == (False, 0, 1, 0)
    (line,) = [each.getMessage() for each in caplog.records]
    assert "out of memory" in line
    assert "\n" not in line


def test_an_error_of_the_step_itself_is_not_the_recordings() -> None:
    made = Graphs(Tape())

    def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        made.run("broken", broken)
    assert made.on


def test_no_cpu_has_graphs() -> None:
    assert not graphs.on_device("cpu").on
    assert not graphs.on_device("mps").on


# Codes


def recorded_slots(modules: Modules, count: int, made: Graphs) -> CodeSlots:
    return CodeSlots(parts.code_model(modules.gpt), count, 320, CODES, made)


@pytest.mark.parametrize("count", [1, 3])
def test_recorded_codes_are_the_eager_ones(tiny: Modules, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # So narrow that every text goes through several of them.
    monkeypatch.setattr(batch_codes, "POSITIONS", tuple(range(16, 321, 16)))
    for how in (Sampling(), Sampling(temperature=0.0)):
        tape = Tape()
        want = serve(recorded_slots(tiny, count, Graphs()), tiny, range(5), how)
        assert serve(recorded_slots(tiny, count, Graphs(tape)), tiny, range(5), how) == want
        assert tape.recorded >= 4
        assert tape.repeated > 4 * tape.recorded


def test_slots_that_join_and_leave_are_seen_by_a_recording(tiny: Modules) -> None:
    """What is known of a row when its step is recorded is nothing that holds for the next row."""
    tape = Tape()
    slots, eager = recorded_slots(tiny, 3, Graphs(tape)), recorded_slots(tiny, 3, Graphs())
    for each in (slots, eager):
        first = each.join([prompt(tiny, 0, Sampling(temperature=1.5, top_k=5), limit=30)])
        each.advance(6)
        each.join([prompt(tiny, n, Sampling(top_p=0.3, repetition_penalty=2.0), limit=9) for n in (1, 2)])
        each.advance(6)
        each.leave(first[0])
        each.join([prompt(tiny, 3, Sampling(temperature=0.0))])
        each.advance(4)
    assert tape.repeated
    for name in ("_codes", "_count", "_live", "_said", "_length", "_last"):
        assert torch.equal(getattr(slots, name), getattr(eager, name)), name
    assert torch.equal(slots._kv, eager._kv)


# Flow


def test_recorded_steps_are_those_of_the_same_batch_eager(tiny: Modules) -> None:
    tape = Tape()
    recorded, eager = (Flow(flow_parts.flow_model(tiny.cfm), graphs=made) for made in (Graphs(tape), Graphs()))
    inputs = flow_inputs(tiny)
    for chosen in ([0, 1, 2], [5, 3, 4], [2, 7, 0]):
        rows, plain = ([each.row(*inputs[n], steps=6) for n in chosen] for each in (recorded, eager))
        batch = recorded.batch(rows)
        same = flow.FlowBatch(plain, eager._model.reach, int(batch.x.shape[2]))
        for _ in range(6):
            recorded.step(batch)
            eager.step(same)
        batch.write_back()
        same.write_back()
        for one, two in zip(rows, plain, strict=True):
            assert (one.done, two.done) == (6, 6)
            assert torch.equal(one.x, two.x)
    # Three batches of three rows, in one or two lengths.
    assert 1 <= tape.recorded <= 2
    assert tape.repeated == 18 - tape.recorded


def test_padding_to_a_shape_is_not_heard(tiny: Modules) -> None:
    """Rows come and go in many shapes, at their own steps, and with their own number of them."""
    tape = Tape()
    made, inputs = Flow(flow_parts.flow_model(tiny.cfm), graphs=Graphs(tape)), flow_inputs(tiny)
    steps = [25, 25, 10, 25, 31, 4, 25, 50]
    rows = [made.row(*each, steps=count) for each, count in zip(inputs[:4], steps, strict=False)]
    for tick in range(7 * len(steps) + 50):
        if tick == 20:
            # Their numbers of steps are new, and change the tables that the recordings before read.
            rows += [made.row(*each, steps=count) for each, count in zip(inputs[4:], steps[4:], strict=True)]
        on = [row for n, row in enumerate(rows) if 7 * n <= tick and row.done < row.steps]
        if on:
            batch = made.batch(on)
            assert batch.x.shape[2] % flow.MULTIPLE == 0
            made.step(batch)
            batch.write_back()
    assert tape.repeated > tape.recorded
    for row, each, count in zip(rows, inputs, steps, strict=True):
        assert error(row.mel, flow_of_package(tiny, *each, steps=count)) <= 2e-6


def test_a_row_that_fills_its_shape_is_recorded_for_shorter_ones(
    tiny: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape()
    made, inputs = Flow(flow_parts.flow_model(tiny.cfm), graphs=Graphs(tape)), flow_inputs(tiny)
    full, shorter = sorted(inputs[:2], key=lambda each: -int(each[0].shape[1]))
    assert full[0].shape[1] > shorter[0].shape[1]
    monkeypatch.setattr(flow, "MULTIPLE", int(full[0].shape[1]))
    for each in (full, shorter):
        row = made.row(*each, steps=4)
        batch = made.batch([row])
        for _ in range(4):
            made.step(batch)
        batch.write_back()
        assert error(row.mel, flow_of_package(tiny, *each, steps=4)) <= 2e-6
    # The second one is repeated from the first one's.
    assert tape.recorded == 1


def test_what_a_broken_row_left_behind_is_not_heard_by_the_next(tiny: Modules) -> None:
    made, inputs = Flow(flow_parts.flow_model(tiny.cfm), graphs=Graphs(Tape())), flow_inputs(tiny)
    broken = [torch.full_like(each, float("nan")) for each in inputs[7]]
    batch = made.batch([made.row(*broken, steps=4), made.row(*inputs[6], steps=4)])
    for _ in range(4):
        made.step(batch)
    batch.write_back()
    rows = [made.row(*inputs[n], steps=4) for n in (0, 1)]
    batch = made.batch(rows)
    for _ in range(4):
        made.step(batch)
    batch.write_back()
    for row, each in zip(rows, inputs, strict=False):
        assert error(row.mel, flow_of_package(tiny, *each, steps=4)) <= 2e-6


def test_batches_that_are_too_large_are_not_recorded(tiny: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape()
    made, inputs = Flow(flow_parts.flow_model(tiny.cfm), graphs=Graphs(tape)), flow_inputs(tiny)

    def step(rows: list[FlowRow]) -> None:
        batch = made.batch(rows)
        made.step(batch)
        batch.write_back()

    monkeypatch.setattr(flow, "RECORDED_ROWS", 2)
    monkeypatch.setattr(flow, "RECORDED_FRAMES", 128)
    step([made.row(*each, steps=4) for each in inputs[:3]])
    step([made.row(*inputs[7], steps=4)])
    assert inputs[7][0].shape[1] > 128
    assert tape.recorded == 0
    step([made.row(*inputs[0], steps=4)])
    assert tape.recorded == 1


# Vocoder


def test_recorded_windows_are_the_eager_ones(bigvgan: Any) -> None:
    tape = Tape()
    recorded = RecordedVocoder(bigvgan, Graphs(tape), (80, 100), 4, vocoder.HOP)
    mels = [torch.randn(80, n, generator=torch.Generator().manual_seed(n)) for n in (60, 130, 250, 340, 170, 101)]

    def speak(model: Any) -> list[Any]:
        sounds = [vocoder.Sound(mel, 100) for mel in mels]
        while waiting := [sound for sound in sounds if not sound.done]:
            vocoder.vocode(model, vocoder.take(waiting, 4))
        return [sound.samples for sound in sounds]

    want = speak(bigvgan)
    for got, samples in zip(speak(recorded), want, strict=True):
        assert torch.equal(got, samples)
    assert tape.recorded
    assert tape.repeated
    shapes = tape.recorded
    assert torch.equal(recorded(mels[0][None]), bigvgan(mels[0][None]))
    assert torch.equal(recorded(torch.zeros(5, 80, 100)), bigvgan(torch.zeros(5, 80, 100)))
    assert tape.recorded == shapes
