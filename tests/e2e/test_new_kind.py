"""A new kind of jobs needs its own folder and one line: a toy kind goes through the whole server, and its restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import antiphon.plugins
from antiphon.api.app import create_app
from antiphon.app.antiphon import Antiphon
from antiphon.app.kinds import KINDS
from tests import plugins
from tests.conftest import PATIENCE
from tests.plugins import reversing_engine, reversing_kind

#: The one line.
REGISTRY = {**KINDS, reversing_kind.TRAITS: reversing_kind.kind}

Start = Callable[[], contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file without which the word `wait` is never done."""
    return tmp_path / "gate"


@pytest.fixture
def start(tmp_path: Path, gate: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts the application over the same folder of data each time."""
    site = tmp_path / "site"
    env = plugins.installed(site, Path(reversing_engine.__file__), {"reverser": "Reverser"})
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", env["PYTHONPATH"])
    monkeypatch.setenv("REVERSING_GATE", str(gate))
    # The names of the installed engines are read once in a process.
    antiphon.plugins.engines.cache_clear()

    @contextlib.asynccontextmanager
    async def started() -> AsyncIterator[httpx.AsyncClient]:
        options: dict[str, Any] = {"model": ("reverser",), "data_dir": tmp_path / "data", "workers": 1}
        async with Antiphon(kinds=REGISTRY, **options) as service:
            transport = httpx.ASGITransport(app=create_app(service))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client

    return started


@pytest.fixture(autouse=True)
def forget_engines() -> Any:
    yield
    antiphon.plugins.engines.cache_clear()


async def until(condition: Callable[[dict[str, Any]], bool], look: Callable[[], Awaitable[httpx.Response]]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not condition(found := (await look()).json()):
            await asyncio.sleep(0.01)
    return found


async def test_a_job_of_a_new_kind_goes_through_the_server(start: Start) -> None:
    async with start() as client:
        answer = await client.post("/v1/jobs", json={"type": "reversal", "text": "live drawer", "priority": "bulk"})
        assert answer.status_code == 202, answer.text
        job = await until(lambda each: each["status"] == "succeeded", lambda: client.get(answer.headers["location"]))
        assert (job["type"], job["units"]["total"]) == ("reversal", 2)
        path = f"/v1/jobs/{job['id']}"
        for file in (await client.get(f"{path}/result"), await client.get(job["result"]["path"])):
            assert (file.text, file.headers["content-type"]) == ("evil reward", "text/plain; charset=utf-8")
        assert (await client.get(f"{path}/subtitles.srt")).status_code == 409
        assert (await client.post(f"{path}/units/1/retry")).status_code == 202
        await until(lambda each: each["status"] == "succeeded", lambda: client.get(path))
        document = (await client.get("/openapi.json")).json()
        assert "reversal" in document["components"]["schemas"]["JobView"]["properties"]["type"]["enum"]


async def test_it_survives_a_restart(start: Start, gate: Path) -> None:
    async with start() as client:
        answer = await client.post("/v1/jobs", json={"type": "reversal", "text": "stressed wait"})
        path = answer.headers["location"]
        await until(lambda job: job["units"]["done"] == 1, lambda: client.get(path))
    gate.touch()
    async with start() as client:
        await until(lambda job: job["status"] == "succeeded", lambda: client.get(path))
        assert (await client.get(f"{path}/result")).text == "desserts tiaw"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "reversal"}, "The field 'text' is missing"),
        ({"type": "reversal", "text": " "}, "text must have words"),
        ({"type": "reversal", "text": 5}, "not a job of kind reversal"),
        ({"type": "reversal", "text": "a", "colour": "red"}, "not a job of kind reversal"),
        ({"type": "reversal", "text": "a", "webhook": 5}, "webhook"),
        ({"type": "nothing", "text": "a"}, "speech, transcription, image, reversal"),
        ({"type": ["reversal"], "text": "a"}, "type"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(start: Start, body: dict[str, Any], message: str) -> None:
    async with start() as client:
        answer = await client.post("/v1/jobs", json=body)
        assert 400 <= answer.status_code < 500
        assert message in answer.json()["error"]["message"]
