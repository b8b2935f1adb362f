"""The whole server with IndexTTS: voices, emotions, streams, cancels, kills, replicas, and nobody's sound mixed."""

from __future__ import annotations

import concurrent.futures
import os
import signal
from pathlib import Path

import httpx
import pytest

from antiphon.audio import codec, pcm
from tests.conftest import Server, Start, wait_until
from tests.indextts.conftest import MODEL, PLAIN
from tests.unit.test_audio_pcm import tone

CONSENT = "I agree that my voice is imitated. A. Speaker"
SPEECH = "/v1/audio/speech"


@pytest.fixture(scope="module")
def anna(server: Server) -> str:
    audio = codec.encode(pcm.silence(1, 24000) + tone(4, 24000, 180.0) + pcm.silence(1, 24000), 24000, "mp3")
    form = {"name": "Anna", "consent": CONSENT}
    answer = server.client.post("/v1/audio/voices", data=form, files={"audio_sample": ("anna.mp3", audio)})
    assert answer.status_code == 200, answer.text
    return "Anna"


def say(server: Server, text: str, **more: object) -> httpx.Response:
    body = {"model": MODEL, "input": text, "response_format": "wav", **more}
    return server.client.post(SPEECH, json=body, timeout=240)


def test_it_is_the_model_that_is_served(server: Server) -> None:
    assert server.health()["model"] == MODEL
    model = next(m for m in server.client.get("/v1/models").json()["data"] if m["id"] == MODEL)
    assert (model["cloning"], model["licence"]) == (True, "bilibili Model Use License")


def test_an_uploaded_voice_speaks(server: Server, anna: str) -> None:
    mine = say(server, "This is my own voice.", voice=anna)
    assert mine.status_code == 200, mine.text
    theirs = say(server, "This is my own voice.")
    assert mine.content != theirs.content
    again = say(server, "This is my own voice.", voice=anna)
    assert (again.content, again.headers["x-cache"]) == (mine.content, "hit")


def test_four_emotions_through_the_article(server: Server, anna: str) -> None:
    sounds = {}
    for emotion in ("neutral", "happy", "sad", "angry"):
        body = {"text": "How are you today, my friend?", "emotion": emotion, "voice": anna}
        told = server.client.post("/tts", json=body, timeout=240)
        assert told.status_code == 200, told.text
        sounds[emotion] = server.client.get(told.json()["audio_path"]).content
    assert len(set(sounds.values())) == 4


def test_it_streams_by_segment(server: Server) -> None:
    text = " ".join(f"Sentence number {n} is a little longer than the others were." for n in range(12))
    body = {"model": MODEL, "input": text, "response_format": "pcm"}
    with server.client.stream("POST", SPEECH, json=body, timeout=240) as answer:
        assert answer.status_code == 200
        job = answer.headers["x-job-id"]
        first = next(answer.iter_raw())
        assert first
        # The rest is still being made.
        units = server.job(job)["units"]
        assert 0 < units["done"] < units["total"]


def test_a_cancelled_job_frees_its_worker_at_once(server: Server) -> None:
    text = " ".join(f"This is sentence {n} of a book that nobody will read to its end." for n in range(60))
    job = server.client.post("/v1/jobs", json={"model": MODEL, "input": text}).json()
    wait_until(lambda: server.job(job["id"])["units"]["done"] >= 1, "it is spoken")
    assert server.client.delete(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    wait_until(lambda: server.health()["concurrent"] == 0, "nobody works on it", 10)
    # The model stopped itself between two of its steps: no worker had to be killed.
    assert {w["restarts"] for w in workers(server)} == {0}


def workers(server: Server) -> list[dict]:  # type: ignore[type-arg]
    return [w for w in server.client.get("/v1/workers").json()["data"] if w["model"] == MODEL]


def test_three_clients_at_once_get_their_own_sound(server: Server) -> None:
    texts = [f"Client number {n} asked for these words." for n in range(3)]
    fresh = {"Cache-Control": "no-store, no-cache"}

    def ask(text: str) -> bytes:
        body = {"model": MODEL, "input": text, "response_format": "pcm"}
        answer = server.client.post(SPEECH, json=body, headers=fresh, timeout=240)
        assert answer.status_code == 200, answer.text
        return answer.content

    alone = [ask(text) for text in texts]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            assert list(pool.map(ask, texts)) == alone
    # Two replicas took part.
    assert min(w["units"] for w in workers(server)) >= 1


def test_a_killed_worker_is_replaced_and_the_job_ends(server: Server) -> None:
    text = " ".join(f"Sentence {n} is said even though its worker dies on the way." for n in range(4))
    job = server.client.post("/v1/jobs", json={"model": MODEL, "input": text, "seed": 5}).json()
    busy = wait_until(lambda: [w for w in workers(server) if w["busy"]], "somebody works")
    os.kill(busy[0]["pid"], signal.SIGKILL)
    done = server.wait_job(job["id"], patience=240)
    assert done["status"] == "succeeded"
    wait_until(lambda: len([w for w in workers(server) if w["state"] == "ready"]) == 2, "two again", 240)


def test_a_worker_is_replaced_between_units_and_sounds_the_same(models: Path, serve: Start) -> None:
    args = (*PLAIN, "--models-dir", str(models), "--workers", "1", "--recycle-units", "2")
    server = serve(*args, ready=False)
    phases = set()

    def ready() -> bool:
        health = server.health()
        phases.update(model["phase"] for model in health["models"])
        return bool(health["model_loaded"])

    wait_until(ready, "it is ready", 240)
    # What loading is at is told while it loads.
    assert {"reading weights", "warming"} <= phases
    first = say(server, "The first words of its life.").content
    for n in range(2):
        assert say(server, f"Some other words, {n}.").status_code == 200
    wait_until(lambda: sum(w["restarts"] + w.get("recycled", 0) for w in workers(server)) >= 1, "it was replaced", 240)
    body = {"model": MODEL, "input": "The first words of its life.", "response_format": "wav"}
    again = server.client.post(SPEECH, json=body, headers={"Cache-Control": "no-cache"}, timeout=240)
    assert again.content == first


def test_bad_requests_are_told(server: Server) -> None:
    assert say(server, "Hello.", voice="nobody-at-all", extra_params={"num_beams": 99}).status_code in (200, 400)
    refused = say(server, "Hello there.", extra_params={"num_beams": 99})
    assert refused.status_code >= 400
    assert "num_beams" in refused.text
