"""A pulling process is killed at seeded points: never a wrong file under its final name, and the next pull ends it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from antiphon.catalog.download import Downloader
from antiphon.catalog.models import ModelSpec, is_present
from tests import hub as hubs
from tests.hub import Fault

SEED = 20
SIZE = 2_500_000
CONTENTS = {name: random.Random(name).randbytes(SIZE) for name in ("one.bin", "two.bin")}

PULLER = """
import asyncio, sys
from pathlib import Path
from antiphon.catalog.download import Downloader
from tests import hub as hubs
from tests.faults.test_catalog_download_kill import CONTENTS

downloader = Downloader(Path(sys.argv[1]), endpoint=sys.argv[2], mirrors=(), modelscope=sys.argv[2])
asyncio.run(downloader.pull(hubs.spec(CONTENTS)))
"""


def points() -> list[tuple[str, int, float]]:
    """Which file stalls where, and how many seconds later the kill comes; past the end nothing stalls."""
    chance = random.Random(SEED)
    inside = [(name, chance.randrange(0, SIZE), 0.0) for name in CONTENTS for _ in range(3)]
    return [*inside, *(("two.bin", SIZE, chance.uniform(0.0, 0.02)) for _ in range(2))]


@pytest.mark.parametrize(("name", "offset", "delay"), points())
def test_a_killed_pull_leaves_nothing_wrong_and_is_finished_by_the_next(
    tmp_path: Path, name: str, offset: int, delay: float
) -> None:
    model = hubs.spec(CONTENTS)
    with hubs.serving() as hub:
        paths = {n: hub.put(n, data) for n, data in CONTENTS.items()}
        hub.faults[paths[name]] = Fault(stall_at=offset)
        child = start(tmp_path, hub)
        wait_for_kill(hub, paths[name], offset, delay, child)
        child.send_signal(signal.SIGKILL)
        child.wait()
        nothing_wrong(tmp_path, model)
        hub.faults.clear()
        hub.release.set()
        asyncio.run(Downloader(tmp_path, endpoint=hub.url, mirrors=(), modelscope=hub.url).pull(model))
        assert is_present(model, tmp_path)
        nothing_wrong(tmp_path, model)
        if name == "two.bin":
            assert len(hub.asked(paths["one.bin"])) == 1, "what was whole before the kill is not fetched again"


def start(tmp_path: Path, hub: hubs.Server) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    surroundings = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    return subprocess.Popen([sys.executable, "-c", PULLER, str(tmp_path), hub.url], env=surroundings)


def wait_for_kill(hub: hubs.Server, path: str, offset: int, delay: float, child: subprocess.Popen[bytes]) -> None:
    """Until the file has stalled, or, past its end, until it was asked for and `delay` more."""
    if offset < SIZE:
        assert hub.stalled.wait(20)
        return
    deadline = time.monotonic() + 20
    while not hub.asked(path) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)


def nothing_wrong(tmp_path: Path, model: ModelSpec) -> None:
    """Whatever has a final name is whole and right."""
    for file in model.files:
        path = tmp_path / model.name / file.name
        if path.exists():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def test_two_processes_pull_one_model_between_them(tmp_path: Path) -> None:
    model = hubs.spec(CONTENTS)
    with hubs.serving() as hub:
        for name, data in CONTENTS.items():
            hub.put(name, data)
        children = [start(tmp_path, hub) for _ in range(2)]
        assert [child.wait(30) for child in children] == [0, 0]
        assert len(hub.requests) == len(CONTENTS)
    assert is_present(model, tmp_path)
    nothing_wrong(tmp_path, model)
