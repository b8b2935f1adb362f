"""The contract of every engine: the checks that `python -m antiphon.testing.engine` runs, on each that can run here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.catalog.models import MODELS
from antiphon.testing.bench import Broken, Skip, bench
from antiphon.testing.engine import CHECKS, check
from tests import ear

ENGINES = {
    "tone": "tone", "espeak": "espeak", "kokoro": "kokoro", "piper": "piper:en_US-joe-medium",
    "whisper": "whisper-base",
}  # fmt: skip


@contextlib.asynccontextmanager
async def options(engine: str) -> AsyncIterator[dict[str, str]]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    model = ENGINES[engine]
    yield {"dir": str(ear.model(model))} if model not in MODELS or MODELS[model].files else {}


@pytest.mark.parametrize(
    "engine",
    ["tone", "espeak", *(pytest.param(name, marks=pytest.mark.models) for name in ("kokoro", "piper")), "whisper"],
)
async def test_engines_keep_the_contract(engine: str) -> None:
    async with options(engine) as given, bench(engine, given) as made:
        broken = {}
        for each in CHECKS[made.capabilities.kind]:
            try:
                await each(made)
            except Skip:
                pass
            except Broken as e:
                broken[each.__name__] = str(e)
        assert not broken


async def test_a_batching_engine_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert await check("tests.contract.batching:BatchingTone", {}) == 0


@pytest.mark.parametrize(
    ("engine", "complaint"),
    [
        ("Silent", "it speaks: BROKEN: the audio is silent"),
        ("Odd", "an odd number"),
        ("Anybody", "voice 'nobody' was taken"),
        ("Mixed", "results were mixed up"),
        ("Flat", "sounds like no emotion"),
        ("Random", "gave other samples"),
        ("Deaf", "was not dropped in time"),
        ("Mortal", "the worker died"),
        ("Absent", "does not start: FileNotFoundError: weights are missing"),
        ("Careless", "default_voice 'x' is none of the voices"),
    ],
)
async def test_what_an_engine_does_wrong_is_told(
    engine: str, complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert await check(f"tests.contract.wrong:{engine}", {}, cancel_grace=1.0) > 0
    assert complaint in capsys.readouterr().out
