"""The whole server with Pocket TTS: an uploaded voice, a stream, the cache, a cancel, and the contract of engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from antiphon.audio import codec, pcm
from antiphon.testing import engine as contract
from tests.conftest import Server, launch, wait_until
from tests.pocket.conftest import MODEL, RATE, buzz

CONSENT = "I agree that my voice is imitated. A. Speaker"
SPEECH = "/v1/audio/speech"
LONG = " ".join(f"This is sentence number {n} of a text that is told while it is made." for n in range(8))


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("pocket")
    made = launch(data, "--model", MODEL, "--models-dir", str(models), "--workers", "1", ready=False)
    try:
        made.wait_ready(MODEL, patience=240)
        yield made
    finally:
        made.stop()


def upload(server: Server, name: str, pitch: float) -> str:
    audio = codec.encode(pcm.silence(1, RATE) + buzz(pitch, 4.0) + pcm.silence(1, RATE), RATE, "mp3")
    form = {"name": name, "consent": CONSENT}
    answer = server.client.post("/v1/audio/voices", data=form, files={"audio_sample": ("it.mp3", audio)})
    assert answer.status_code == 200, answer.text
    return name


def say(server: Server, text: str, **more: object) -> httpx.Response:
    body = {"model": MODEL, "input": text, "response_format": "pcm", **more}
    answer = server.client.post(SPEECH, json=body, timeout=240)
    assert answer.status_code == 200, answer.text
    return answer


def test_uploaded_voices_speak_each_in_its_own_way(server: Server) -> None:
    told = next(m for m in server.client.get("/v1/models").json()["data"] if m["id"] == MODEL)
    assert (told["cloning"], told["licence"]) == (True, "CC-BY-4.0")
    anna, ben = upload(server, "Anna", 210.0), upload(server, "Ben", 100.0)
    by_name = {name: say(server, "Hello, this is my own voice.", voice=name).content for name in (anna, ben)}
    assert by_name[anna] != by_name[ben]
    again = say(server, "Hello, this is my own voice.", voice=anna)
    assert (again.content, again.headers["x-cache"]) == (by_name[anna], "hit")
    # It has one speed itself; the server stretches what it said.
    fast = say(server, "Hello, this is my own voice.", voice=anna, speed=2.0)
    assert len(by_name[anna]) / len(fast.content) == pytest.approx(2, rel=0.1)


def test_a_stream_in_parts_is_what_is_cached_as_a_whole(server: Server) -> None:
    with server.client.stream("POST", SPEECH, json={"model": MODEL, "input": LONG, "response_format": "pcm"}) as answer:
        assert answer.status_code == 200
        job = answer.headers["x-job-id"]
        pieces = list(answer.iter_raw())
    units = server.job(job)["units"]["total"]
    assert len(pieces) > units > 1
    assert say(server, LONG).content == b"".join(pieces)


def test_a_cancelled_job_frees_its_worker_without_a_kill(server: Server) -> None:
    text = " ".join(f"Sentence {n} of a book that nobody will read to its end." for n in range(80))
    job = server.client.post("/v1/jobs", json={"model": MODEL, "input": text}).json()
    wait_until(lambda: server.job(job["id"])["units"]["done"] >= 1, "it is spoken")
    assert server.client.delete(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    wait_until(lambda: server.health()["concurrent"] == 0, "nobody works on it", 20)
    assert {w["restarts"] for w in server.client.get("/v1/workers").json()["data"] if w["model"] == MODEL} == {0}


def test_it_keeps_the_contract_of_engines(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = asyncio.run(contract.check(MODEL, {"dir": str(models / MODEL)}))
    assert failed == 0, capsys.readouterr().out
