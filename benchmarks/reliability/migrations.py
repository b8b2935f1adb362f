"""P14: 50 kills at seeded points inside the migrations, from the oldest schema to the newest."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from tests.faults.test_store_migration import database_of, opened, run_killed

from benchmarks.reliability.server import Row


def migrations(seed: int, scale: float) -> list[Row]:
    kills = max(1, round(50 * scale))
    rnd = random.Random(seed)
    changed = missed = 0
    with tempfile.TemporaryDirectory() as folder:
        original, whole = Path(folder) / "one.db", Path(folder) / "whole.db"
        jobs = database_of(1, original)
        shutil.copy(original, whole)
        steps = int(run_killed(whole, -1).stdout)
        for n in range(kills):
            path = Path(folder) / f"{n}.db"
            shutil.copy(original, path)
            missed += run_killed(path, rnd.randint(1, steps)).returncode != -9
            changed += opened(path) != jobs
    return [
        Row(
            "P14",
            f"{kills} kills at seeded points of the {steps} instructions of the migrations",
            f"{changed} databases with a changed job, {missed} kills that came too late",
            changed == 0 and missed == 0,
        )
    ]
