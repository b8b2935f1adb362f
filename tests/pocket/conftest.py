"""A small random model and two recordings for the session."""

from __future__ import annotations

import math
import os
from array import array
from pathlib import Path

import pytest

from antiphon.audio import wav

os.environ.setdefault("OMP_NUM_THREADS", "1")
pytest.importorskip("pocket_tts", reason="needs the extra [pocket]; make test-indextts installs it")

MODEL = "pocket-tts"
LOW, HIGH = "ref:" + "a" * 64, "ref:" + "b" * 64
RATE = 24_000


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with the small model."""
    from tests.pocket import checkpoint

    folder = tmp_path_factory.mktemp("models")
    checkpoint.build(folder / MODEL)
    return folder


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of three seconds, as the library of references keeps them."""
    folder = tmp_path_factory.mktemp("voices")
    for name, pitch in ((LOW, 110.0), (HIGH, 230.0)):
        write(folder / f"{name.removeprefix('ref:')}.wav", buzz(pitch, 3.0))
    return folder


def buzz(pitch: float, seconds: float) -> bytes:
    """PCM with many harmonics."""
    count = int(seconds * RATE)
    wave = (sum(math.sin(2 * math.pi * pitch * k * n / RATE) / k for k in range(1, 8)) for n in range(count))
    return array("h", (int(4000 * w * (1 + math.sin(n / 3000))) for n, w in enumerate(wave))).tobytes()


def write(path: Path, audio: bytes) -> None:
    path.write_bytes(wav.header(RATE, len(audio)) + audio)
