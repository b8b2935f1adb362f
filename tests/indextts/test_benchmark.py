"""The benchmark of the batched runtime runs, and prints what it promises; the whole way takes too long here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(*arguments: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.indextts", "--size", "tiny", "--rounds", "1", "--json", *arguments]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def test_codes_are_compared_with_the_package() -> None:
    found = run("--stage", "codes")
    codes, operations = found["codes_per_second"], found["operations"]
    assert min(codes["package_3_beams"], codes["package_1_beam"]) > 0
    assert codes["slots"]["16"] > codes["slots"]["1"] > 0
    assert 0 < operations["code_8_slots"] < operations["code_package_3_beams"]
    assert 0 < operations["euler_row_8"] < operations["euler_row_package"]


def test_the_vocoder_is_compared_with_the_package() -> None:
    found = run("--stage", "vocoder")["vocoder_seconds_a_frame"]
    assert found["package"] > 0
    assert found["mels"].keys() == {"1", "8", "16"}
