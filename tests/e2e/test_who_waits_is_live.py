"""A request whose caller waits is live for the engine, however its answer is sent; a durable job is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import plugins
from tests.conftest import Server, launch
from tests.plugins.wishing_engines import RATE, sound

WISHING = Path(plugins.__file__).parent / "wishing_engines.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = plugins.installed(tmp_path_factory.mktemp("site"), WISHING, {"wishing": "Wishing"})
    server = launch(tmp_path_factory.mktemp("wishing"), "--model", "wishing", "--workers", "1", env=env)
    server.wait_whole()
    yield server
    server.stop()


def test_a_short_answer_that_comes_whole(server: Server) -> None:
    body = {"input": "One sentence.", "response_format": "pcm", "sample_rate": RATE}
    assert server.client.post("/v1/audio/speech", json=body).content == sound(live=True)


def test_the_article(server: Server) -> None:
    told = server.client.post("/tts", json={"text": "Another sentence."})
    assert told.status_code == 200, told.text
    assert server.client.get(told.json()["audio_path"]).content.endswith(sound(live=True)[-1000:])


def test_a_durable_job_waits_for_those_who_wait(server: Server) -> None:
    body = {"input": "A third sentence.", "response_format": "pcm", "sample_rate": RATE}
    job = server.client.post("/v1/jobs", json=body).json()
    server.wait_job(job["id"])
    assert server.client.get(f"/v1/jobs/{job['id']}/result").content == sound(live=False)
