"""The batched engine as it is on a GPU: with recorded steps, and with fewer bits where the operator or the memory asks
for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from antiphon.engines.indextts import batched, fit
from antiphon.engines.indextts.batch import int8
from antiphon.engines.indextts.batch.graphs import Graphs
from antiphon.engines.indextts.batched import BatchedIndexTTS
from tests.indextts.tape import Tape
from tests.indextts.test_batched import Speaker, make
from tests.indextts.test_indextts25 import OTHER, VOICE, voices

__all__ = ["voices"]

WISHES: list[dict[str, Any]] = [
    {"text": f"Number {n} says {'some words ' * n}to you.", "voice": (VOICE, OTHER)[n % 2], "seed": n} for n in range(3)
]


def samples(sound: bytes) -> list[int]:
    return memoryview(sound).cast("h").tolist()


@pytest.fixture(scope="module")
def engine(models: Path, voices: Path) -> Iterator[BatchedIndexTTS]:
    """The last test changes it."""
    made = make(models, voices)
    yield made
    made.close()


def test_recorded_steps_sound_as_launched_ones_do(engine: BatchedIndexTTS) -> None:
    speaker = Speaker(engine)
    # With another number of steps than usual, a request has tables of times of its own.
    wishes = [*WISHES, {**WISHES[0], "seed": 9, "options": {"diffusion_steps": 7}}]
    alone = [speaker.say(**wish) for wish in wishes]
    tape = Tape()
    engine.prepare_runtime(Graphs(tape))
    units = [speaker.begin(**wish) for wish in wishes]
    sound, wrong = speaker.finish(units)
    assert not wrong
    for unit, each in zip(units, alone, strict=True):
        assert len(sound[unit]) == len(each)
        assert max(abs(a - b) for a, b in zip(samples(sound[unit]), samples(each), strict=True)) <= 1
    assert engine._runtime._slots._graphs.on
    assert tape.repeated > 2 * tape.recorded


def test_fewer_bits_have_another_sound_and_another_revision(
    engine: BatchedIndexTTS, models: Path, voices: Path
) -> None:
    plain = Speaker(engine).say(**WISHES[1])
    narrow = make(models, voices, sound_precision="bfloat16", weights="int8")
    speaker = Speaker(narrow)
    units = [speaker.begin(**wish) for wish in WISHES]
    sound, wrong = speaker.finish(units)
    assert not wrong
    assert sound[units[1]] != plain
    assert narrow.capabilities().revision != engine.capabilities().revision
    assert narrow._runtime._flow._dtype is torch.bfloat16
    # The package's own search goes on beside it.
    assert len(speaker.say(options={"num_beams": 2})) > 22050
    narrow.close()


def test_int8_is_taken_where_memory_asks_for_it(engine: BatchedIndexTTS, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; the weights are quantised before the rows are laid out."""
    before = engine.capabilities().revision
    # Rows of the tiny model are small: as many as fit would take the memory of this machine.
    monkeypatch.setattr(fit, "ROWS", 6)
    with monkeypatch.context() as gpu:
        gpu.setattr(engine._engine, "device", "gpu")
        gpu.setattr(batched, "free_memory", lambda device: 3 * fit.GIB)
        assert engine._plan() == fit.Plan(6, int8=False, graphs=True)
        gpu.setattr(batched, "free_memory", lambda device: fit.WORKSPACE)
        short = engine._plan()
        assert (short.int8, short.graphs) == (True, False)
    monkeypatch.setattr(engine, "_plan", lambda: short)
    engine.prepare_runtime()
    assert engine.capabilities().revision != before
    assert isinstance(engine._engine.model.gpt.gpt.h[0].mlp.c_fc, int8.Int8Layer)
    assert engine._runtime._slots.slots == short.rows
    assert Speaker(engine).say(seed=3)
