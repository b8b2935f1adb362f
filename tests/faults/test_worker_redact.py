"""A worker that prints the text it is given, and dies over it: the text is in neither the log nor the errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.domain import errors
from antiphon.worker import frames
from antiphon.worker.process import WorkerProcess
from tests.faults.test_worker import unit

SECRET = "bad news: the launch code is seven-four-tango"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return []


async def test_what_a_worker_prints_of_its_text_is_left_out(lines: list[str]) -> None:
    worker = WorkerProcess("loud", frames.Load("tests.faults.engines.loud:Loud", {}), on_line=lines.append)
    await worker.start()
    with pytest.raises(errors.WorkerDied) as died:
        await worker.run(unit(SECRET))
    await worker.wait()
    told = "\n".join([*lines, worker.reason, str(died.value.message)])
    for word in ("launch", "seven", "tango"):
        assert word not in told.lower(), told
    assert "words count mismatch in […]" in told
    assert "Traceback" in told


async def test_what_it_prints_before_is_told(lines: list[str]) -> None:
    worker = WorkerProcess("loud", frames.Load("tests.faults.engines.loud:Loud", {}), on_line=lines.append)
    await worker.start()
    await worker.stop(1.0)
    assert "loaded 54 voices" in lines
