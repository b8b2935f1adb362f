"""`antiphon doctor`: what of a model fits on a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from antiphon.catalog.models import MODELS
from antiphon.cli import doctor
from antiphon.worker.gpus import Gpu

GIB = 2**30
INDEXTTS = MODELS["indextts-2.5"]


def card(total: float, used: float = 0.3, capability: tuple[int, int] | None = (8, 6)) -> Gpu:
    return Gpu(0, "GPU-0", "RTX", int(total * GIB), int(used * GIB), None, capability)


@pytest.mark.parametrize(
    ("here", "says"),
    [
        (card(24), ("RTX, 23.7 of 24.0 GiB free", "bfloat16, 32 sentences", "full weights", "CUDA graphs")),
        (card(8), ("bfloat16", "full weights")),
        (card(8, used=1.5), ("bfloat16", "sentences in the same steps", "no CUDA graphs")),
        (card(8, capability=(7, 5)), ("float32", "int8", "no CUDA graphs")),
        (card(6, used=0.2), ("bfloat16", "int8")),
        (card(6, capability=(7, 5)), ("too little is free", "CPU")),
        (card(24, used=20), ("too little is free", "CPU")),
    ],
)
def test_it_says_what_fits_on_the_card(here: Gpu, says: tuple[str, ...]) -> None:
    (line,) = doctor.fits(INDEXTTS, [here])
    for part in says:
        assert part in line


def test_each_card_has_a_line_and_none_has_one_too() -> None:
    assert len(doctor.fits(INDEXTTS, [card(8), card(24)])) == 2
    assert doctor.fits(INDEXTTS, []) == ["no GPU is seen here; docs/indextts2.md says what fits on which"]


def test_models_that_cannot_say_it_say_nothing() -> None:
    assert doctor.fits(MODELS["espeak"], [card(24)]) == []
    assert doctor.fits(replace(INDEXTTS, engine="not installed"), [card(24)]) == []


def test_every_listed_function_is_there_and_answers() -> None:
    named = [spec for spec in MODELS.values() if spec.fit]
    assert {spec.name for spec in named} == {"indextts-2.5", "indextts-2"}
    for spec in named:
        assert all("GiB free: " in line for line in doctor.fits(spec, [card(80)]))
