"""examples/terrain: a real one-step diffusion model as an engine of another package."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import pytest

from antiphon.imaging import image_codec
from antiphon.testing.bench import bench
from antiphon.testing.engine import CHECKS
from tests import plugins
from tests.conftest import Start

pytest.importorskip("terrain_diffusion.generator")
pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]
MODULE = Path(__file__).parents[2] / "examples" / "terrain" / "antiphon_terrain.py"


async def test_it_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(MODULE.parent), *sys.path)))
    async with bench("antiphon_terrain:Terrain", {}) as made:
        for check in CHECKS["image"]:
            await check(made)


def test_it_draws_through_the_server(tmp_path: Path, serve: Start) -> None:
    env = plugins.installed(tmp_path / "site", MODULE, {"terrain": "Terrain"})
    env["PYTHONPATH"] = os.pathsep.join((env["PYTHONPATH"], *sys.path))
    server = serve("--model", "terrain", "--workers", "1", env=env, ready=False)
    server.wait_ready("terrain")
    sizes = {}
    for prompt in ("plains", "mountains"):
        body = {"prompt": prompt, "seed": 7}
        made = server.client.post("/v1/images/generations", json=body).json()["data"][0]["b64_json"]
        png = base64.b64decode(made)
        assert image_codec.size(png) == (256, 256)
        sizes[prompt] = len(png)
    # Rugged land has more to tell.
    assert sizes["mountains"] > sizes["plains"]
