"""The diffusion engine on a real pipeline with random weights: by itself, and through the whole server."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from antiphon.domain import errors
from antiphon.imaging import image_codec
from antiphon.testing.bench import Bench, Broken, Skip, bench
from antiphon.testing.engine import CHECKS
from antiphon.testing.image import params
from tests.conftest import Server, launch, wait_until
from tests.models import tiny_diffusion

for module in ("torch", "diffusers", "transformers", "accelerate"):
    pytest.importorskip(module)
pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(300),
    # The libraries that build the pipeline tell each other what will change; the server's workers do not use those.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_diffusion.build(folder / "sd-tiny")
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 5_000_000
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(models: Path) -> AsyncIterator[Bench]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    async with bench("diffusion", {"dir": str(models / "sd-tiny"), "threads": 1}) as made:
        yield made


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    args = ("--model", "sd-tiny", "--models-dir", str(models), "--workers", "1")
    made = launch(tmp_path_factory.mktemp("server"), *args, ready=False)
    try:
        wait_until(lambda: made.health()["models"][0]["state"] in ("ready", "unavailable"), "it is loaded", 120)
        yield made
    finally:
        made.stop()


@pytest.mark.asyncio(loop_scope="module")
async def test_it_keeps_the_contract(engine: Bench) -> None:
    for check in CHECKS["image"]:
        try:
            await check(engine)
        except Skip as e:
            pytest.fail(f"{check.__name__}: {e}")


@pytest.mark.asyncio(loop_scope="module")
async def test_it_says_what_it_can(engine: Bench) -> None:
    can = engine.capabilities
    assert can.canvas is not None
    assert (can.canvas.size, can.canvas.most, can.canvas.multiple, can.canvas.steps) == ((64, 64), 128, 8, 50)
    assert set(can.options) == {"steps", "guidance", "negative_prompt"}
    assert can.deterministic


@pytest.mark.asyncio(loop_scope="module")
async def test_everything_that_is_asked_changes_the_image(engine: Bench) -> None:
    async def draw(**more: Any) -> bytes:
        return (await engine.run(params(**{"guidance": 5.0, **more}))).payload

    plain = await draw()
    for more in ({"negative_prompt": "fog"}, {"guidance": 2.0}, {"steps": 3}, {"prompt": "a dog"}, {"seed": 2}):
        assert await draw(**more) != plain, more
    assert image_codec.size(await draw(width=128, height=72)) == (128, 72)
    with pytest.raises(errors.UnitFailed, match="cannot draw 256x64"):
        await draw(width=256)


def test_through_the_server(server: Server) -> None:
    body = {"prompt": "A lighthouse at dusk", "n": 2, "seed": 4, "steps": 3, "size": "64x72"}
    answer = server.client.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    first, second = (base64.b64decode(each["b64_json"]) for each in answer.json()["data"])
    assert image_codec.size(first) == image_codec.size(second) == (64, 72)
    assert first != second
    again = server.client.post("/v1/images/generations", json=body | {"n": 1, "seed": 5}).json()
    assert base64.b64decode(again["data"][0]["b64_json"]) == second
    job = server.client.post("/v1/jobs", json={"type": "image", "prompt": "x", "steps": 150, "size": "128x128"}).json()
    told = []
    with server.client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
        for line in events.iter_lines():
            if line.startswith("data: ") and "unit" in (event := json.loads(line[6:])):
                told.append(event["unit"]["progress"])
                break
    # It stops between two steps, long before the last.
    assert told[0] < 1
    began = server.health()["models"][0]
    assert server.client.delete(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    wait_until(lambda: server.health()["concurrent"] == 0, "the slot is free", 5)
    assert began["state"] == server.health()["models"][0]["state"] == "ready"
    assert [worker["restarts"] for worker in server.workers()] == [0]


async def test_pickled_weights_are_not_loaded(models: Path, tmp_path: Path) -> None:
    """A pickle can run any code when it is read."""
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(models / "sd-tiny", tmp_path / "pickled")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(Broken, match="safetensors"):
        async with bench("diffusion", {"dir": str(folder)}):
            pass


async def test_a_repository_that_is_not_here_is_told_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Broken, match="hf download somebody/sd-none"):
        async with bench("diffusion", {"repo": "somebody/sd-none"}):
            pass
