"""Placement: how many workers a machine can run, computed on GPUs that a fake driver reports."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.catalog.models import MODELS, ModelSpec
from antiphon.engines.indextts import fit
from antiphon.models.placement import SPARE, Placement, placements, too_small
from antiphon.worker.gpus import Gpu, gpus

GIB = 2**30
FAKE = Path(__file__).parents[1] / "nvml" / "pynvml.py"


def card(index: int = 0, total: float = 24, used: float = 0) -> Gpu:
    return Gpu(index, f"GPU-{index}", "a card", int(total * GIB), int(used * GIB))


def model(gib: float) -> ModelSpec:
    return replace(MODELS["espeak"], name="heavy", gpu_footprint=int(gib * GIB))


def devices(found: list[Placement]) -> list[int | None]:
    return [placement.gpu.index if placement.gpu else None for placement in found]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs the faked driver; call it with the cards."""
    spec = importlib.util.spec_from_file_location("pynvml", FAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    file = tmp_path / "gpus.json"
    monkeypatch.setenv("ANTIPHON_TEST_GPUS", str(file))
    return lambda cards: file.write_text(json.dumps(cards))


def test_the_driver_is_read(driver: Any) -> None:
    driver([{"id": "GPU-aa", "name": "RTX", "total": 4 * GIB, "used": GIB, "load": 25, "capability": [8, 6]},
            {"id": "GPU-ab", "name": "RTX", "total": 8 * GIB, "used": 0}])  # fmt: skip
    first, second = gpus()
    assert (first.id, first.total, first.free, first.load) == ("GPU-aa", 4 * GIB, 3 * GIB, 0.25)
    assert second.load is None
    assert (first.bf16, second.bf16) == (True, False)
    assert [gpu.index for gpu in gpus("1,0")] == [1, 0]
    assert [gpu.index for gpu in gpus("GPU-ab")] == [1]
    # CUDA takes what stands before the first entry that names no card, or more than one.
    assert [gpu.index for gpu in gpus("1,7,0")] == [1]
    assert gpus("GPU-a") == gpus("") == gpus("-1") == ()


def test_a_driver_that_fails_is_no_gpu(driver: Any) -> None:
    driver("broken")
    assert gpus() == ()


def test_four_gigabytes_hold_two_and_three_in_half_precision() -> None:
    small = [card(total=4)]
    assert devices(placements(model(1.8), "auto", small)) == [0, 0]
    assert devices(placements(model(1.2), "auto", small)) == [0, 0, 0]


def test_each_gpu_is_filled_beside_what_it_holds() -> None:
    cards = [card(0, 24, used=12), card(1, 24), card(2, 4)]
    found = placements(model(5), "auto", cards)
    assert Counter(devices(found)) == {0: 2, 1: 4}
    assert {placement.environment["CUDA_VISIBLE_DEVICES"] for placement in found} == {"GPU-0", "GPU-1"}
    # A second model gets what the first leaves, although its workers have not taken their memory yet.
    assert Counter(devices(placements(model(2), "auto", cards, found))) == {1: 1, 2: 1}


def test_an_engine_that_batches_has_one_worker_on_each_gpu() -> None:
    spec = replace(model(6), workers_per_gpu=1)
    assert devices(placements(spec, "auto", [card(0, 140), card(1, 24), card(2, 4)])) == [0, 1]
    # A number is the operator's own affair.
    assert devices(placements(spec, 3, [card(0, 140)])) == [0, 0, 0]


def test_a_number_is_kept_to_and_spread() -> None:
    cards = [card(0), card(1)]
    assert Counter(devices(placements(model(10), 4, cards))) == {0: 2, 1: 2}
    many = placements(model(10), 6, cards)
    assert len(many) == 6
    assert "6 workers of 10.0 GiB each are more than" in str(too_small(model(10), many, cards))
    assert too_small(model(10), placements(model(10), 4, cards), cards) is None


def test_without_room_it_is_the_cpu_and_the_operator_is_told() -> None:
    for cards in ([], [card(total=4)]):
        for asked in ("auto", 2):
            found = placements(model(5), asked, cards)
            assert set(devices(found)) == {None}
            # The process must not find a card that has no room for it.
            assert found[0].environment == {"CUDA_VISIBLE_DEVICES": ""}
            assert "on the CPU" in str(too_small(model(5), found, cards))
    light = placements(MODELS["espeak"], 2, [card()])
    assert [placement.environment for placement in light] == [{}, {}]
    assert too_small(MODELS["espeak"], light, [card()]) is None


@given(
    footprints=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    cards=st.lists(st.tuples(st.integers(1, 80), st.floats(0, 1)), max_size=4),
)
def test_auto_never_takes_more_than_fits(footprints: list[int], cards: list[tuple[int, float]]) -> None:
    here = [card(n, total, total * share) for n, (total, share) in enumerate(cards)]
    taken: list[Placement] = []
    for need in footprints:
        found = placements(model(need), "auto", here, taken)
        assert found
        taken += found
    for gpu in here:
        assert sum(placement.bytes for placement in taken if placement.gpu == gpu) <= max(
            0, gpu.free - int(gpu.total * SPARE)
        )
        left = gpu.free - int(gpu.total * SPARE) - sum(placement.bytes for placement in taken if placement.gpu == gpu)
        assert left < footprints[-1] * GIB, "one more would have fitted"


def test_a_card_that_computes_in_bfloat16_needs_less_memory_where_the_model_says_so() -> None:
    spec = replace(model(6), gpu_footprint_bf16=5 * GIB, workers_per_gpu=1)
    older, newer = replace(card(0, total=6), capability=(7, 5)), replace(card(1, total=6), capability=(8, 6))
    assert devices(placements(spec, "auto", [older, newer])) == [1]
    assert placements(spec, "auto", [newer])[0].bytes == 5 * GIB
    assert devices(placements(spec, 1, [older])) == [None]
    assert devices(placements(spec, 1, [older, newer])) == [1]
    # A driver that does not tell is one of an older card.
    assert devices(placements(spec, "auto", [card(total=6)])) == [None]
    assert "5.0 GiB" in str(too_small(spec, placements(spec, "auto", []), [replace(newer, used=GIB)]))


@pytest.mark.parametrize("name", ["indextts-2.5", "indextts-2"])
@given(total=st.integers(4, 80), used=st.floats(0, 1), bf16=st.booleans())
def test_where_a_worker_of_indextts_is_placed_it_fits(name: str, total: int, used: float, bf16: bool) -> None:
    here = replace(card(total=total, used=used * total), capability=(8, 0) if bf16 else (7, 5))
    if placements(MODELS[name], "auto", [here])[0].gpu is not None:
        assert fit.fit(name, here.free, bf16) is not None


def test_the_smallest_card_that_has_a_row_in_the_documents_gets_a_worker() -> None:
    here = replace(card(total=6, used=0.2), capability=(8, 6))
    assert devices(placements(MODELS["indextts-2.5"], "auto", [here])) == [0]
