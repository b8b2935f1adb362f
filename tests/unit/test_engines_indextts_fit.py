"""What of IndexTTS a card has the memory for, what its stages compute in, and that the cache knows of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.engines.indextts import fit, precision
from antiphon.engines.indextts.indextts25 import IndexTTS25
from antiphon.engines.indextts.options import Options, SoundPrecision


@pytest.mark.parametrize(
    ("free", "rows"), [(None, 32), (80_000_000_000, 32), (5_000_000_000, 19), (2_500_000_000, 7), (100_000_000, 1)]
)
def test_as_many_rows_as_there_is_memory_for(free: int | None, rows: int) -> None:
    assert fit.plan(free, 126_000_000, 0).rows == rows


@pytest.mark.parametrize(
    ("size", "bf16", "precision", "plan"),
    [
        (6, True, "bfloat16", fit.Plan(3, int8=True, graphs=False)),
        (8, True, "bfloat16", fit.Plan(8, int8=False, graphs=True)),
        (12, True, "bfloat16", fit.Plan(32, int8=False, graphs=True)),
        (24, True, "bfloat16", fit.Plan(32, int8=False, graphs=True)),
        (80, True, "bfloat16", fit.Plan(32, int8=False, graphs=True)),
        (8, False, "float32", fit.Plan(9, int8=True, graphs=False)),
        (12, False, "float32", fit.Plan(17, int8=False, graphs=True)),
    ],
)
def test_what_fits_on_a_card(size: int, bf16: bool, precision: str, plan: fit.Plan) -> None:
    assert fit.fit("indextts-2.5", size * fit.GIB, bf16) == fit.Fit(precision, plan)


def test_a_card_that_is_too_small_is_told_of() -> None:
    assert fit.fit("indextts-2.5", 4 * fit.GIB, True) is None
    # It would compute in float32, whose weights take all of it while they are read.
    assert fit.fit("indextts-2.5", 6 * fit.GIB, False) is None
    assert fit.fit("indextts-2", 6 * fit.GIB, True) is None
    assert "CPU" in fit.describe("indextts-2.5", 4 * fit.GIB, True)
    assert fit.describe("indextts-2.5", 24 * fit.GIB, True).startswith("bfloat16, 32 sentences")
    assert "int8" in fit.describe("indextts-2.5", 6 * fit.GIB, True)


ROW, SAVED = 126_000_000, 472_000_000


def room(rows: float) -> int:
    """Free bytes in which so many rows fit beside the other stages."""
    return fit.WORKSPACE + int(rows * ROW)


def test_of_little_memory_graphs_go_first_and_full_weights_next() -> None:
    graphs = fit.GRAPHS / ROW
    assert fit.plan(room(4 + graphs), ROW, SAVED) == fit.Plan(4, False, True)
    assert fit.plan(room(3.9 + graphs), ROW, SAVED) == fit.Plan(11, False, False)
    assert fit.plan(room(4), ROW, SAVED) == fit.Plan(4, False, False)
    assert fit.plan(room(3.9), ROW, SAVED) == fit.Plan(7, True, False)
    # More memory never has fewer rows, but where graphs come or int8 goes: then still a handful.
    assert all(fit.plan(room(n / 4), ROW, SAVED).rows >= fit.HANDFUL for n in range(2, 400))


def test_what_the_operator_asks_for_is_done() -> None:
    assert fit.plan(room(2), ROW, SAVED, weights="full") == fit.Plan(2, False, False)
    assert fit.plan(room(90), ROW, SAVED, weights="int8") == fit.Plan(32, True, True)
    assert fit.plan(None, ROW, SAVED, weights="int8").int8
    assert not fit.plan(None, ROW, SAVED, graphs=False).graphs
    assert fit.plan(room(40), ROW, SAVED, graphs=False) == fit.Plan(32, False, False)
    # One row is asked for, and one fits.
    assert fit.plan(room(1), ROW, SAVED, rows=1) == fit.Plan(1, False, False)
    assert fit.plan(room(1), ROW, SAVED, rows=8) == fit.Plan(8, True, False)


def test_the_documents_tell_what_fits() -> None:
    assert fit.table() in (Path(__file__).parents[2] / "docs" / "indextts2.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "value"), [("sound_precision", "float16"), ("weights", "int4"), ("graphs", "maybe"), ("precision", "half")]
)
def test_an_unknown_choice_is_refused_with_those_that_there_are(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be one of (auto, |true, )"):
        Options.of({"dir": "/nowhere", name: value})


@pytest.mark.parametrize(
    ("asked", "codes", "device", "found"),
    [
        ("auto", "float32", "cpu", ("float32", "float32")),
        ("auto", "float32", "cuda:0", ("float32", "float32")),
        ("auto", "bfloat16", "cuda:0", ("bfloat16", "float32")),
        ("float32", "bfloat16", "cuda:0", ("float32", "float32")),
        ("bfloat16", "bfloat16", "cuda:0", ("bfloat16", "bfloat16")),
        ("bfloat16", "float32", "cpu", ("bfloat16", "bfloat16")),
    ],
)
def test_what_the_stages_behind_the_codes_compute_in(
    asked: SoundPrecision, codes: str, device: str, found: tuple[str, str]
) -> None:
    assert precision.sound(asked, codes, device) == found


def test_the_cache_forgets_what_was_said_with_other_weights() -> None:
    made = IndexTTS25({"dir": "/nowhere", "precision": "bfloat16"})
    full = made._deciding("cuda:0")
    made._int8 = True
    assert made._deciding("cuda:0") != full
    # The package itself computes what is said serially: in float32, with full weights.
    serial = [
        IndexTTS25({"dir": "/nowhere", "runtime": "serial", **more}) for more in ({}, {"sound_precision": "bfloat16"})
    ]
    assert serial[0]._deciding("cpu") == serial[1]._deciding("cpu")


def test_what_int8_frees_is_room_for_rows_where_the_operator_asks_for_it() -> None:
    row = 100_000_000
    free = fit.WORKSPACE + fit.GRAPHS + 10 * row
    assert fit.plan(free, row, 5 * row) == fit.Plan(10, False, True)
    assert fit.plan(free, row, 5 * row, weights="int8") == fit.Plan(15, True, True)
