"""P15: many duplicates at once, with a kill in the middle, are exactly one job."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import Server, Start

BODY = {"input": "Said exactly once, however often it is asked for."}
KEY = {"Idempotency-Key": "the-one"}


def ask(server: Server) -> str | None:
    try:
        answer = server.client.post("/v1/jobs", json=BODY, headers=KEY)
    except httpx.HTTPError:
        return None
    return str(answer.json()["id"]) if answer.status_code == 202 else None


def test_duplicates_with_a_kill_in_the_middle_are_one_job(serve: Start) -> None:
    seed = 7
    print("seed", seed)
    server = serve("--model", "tone")
    data = server.data
    killer = threading.Timer(random.Random(seed).uniform(0.05, 0.3), server.process.kill)
    with ThreadPoolExecutor(50) as pool:
        killer.start()
        first = list(pool.map(ask, [server] * 300))
    server.kill()
    server = serve("--model", "tone", data=data)
    with ThreadPoolExecutor(50) as pool:
        second = list(pool.map(ask, [server] * 300))
    assert None not in second
    ids = {job_id for job_id in (*first, *second) if job_id is not None}
    assert len(ids) == 1
    assert server.wait_job(ids.pop())["status"] == "succeeded"
    assert len(server.client.get("/v1/jobs").json()["data"]) == 1


@pytest.mark.parametrize("path", ["/tts", "/v1/audio/speech", "/v1/jobs"])
def test_every_route_keeps_its_keys(tone: Server, path: str) -> None:
    headers = {"Idempotency-Key": f"key of {path}"}
    field = "text" if path == "/tts" else "input"
    first = tone.client.post(path, json={field: "The first."}, headers=headers)
    again = tone.client.post(path, json={field: "The first."}, headers=headers)
    other = tone.client.post(path, json={field: "Another."}, headers=headers)
    assert first.status_code == again.status_code
    assert first.status_code < 300
    assert first.content == again.content or path == "/v1/jobs"
    assert other.status_code == 422
    if path == "/v1/jobs":
        assert first.json()["id"] == again.json()["id"]
    else:
        assert first.headers["x-job-id"] == again.headers["x-job-id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(tone: Server, key: str) -> None:
    assert tone.client.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": key}).status_code == 400


def test_a_repetition_is_answered_however_full_the_share_is(serve: Start) -> None:
    server = serve("--model", "tone", "--max-client-seconds", "1", env={"ANTIPHON_TONE_DELAY": "0.05"})
    text = " ".join(f"Sentence number {n} of a book that fills the share of its owner alone." for n in range(300))
    first = server.client.post("/v1/jobs", json={"input": text}, headers=KEY)
    assert first.status_code == 202
    assert server.client.post("/v1/jobs", json={"input": f"More. {text}"}).status_code == 429
    again = server.client.post("/v1/jobs", json={"input": text}, headers=KEY)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    other = server.client.post("/v1/jobs", json={"input": f"Another. {text}"}, headers=KEY)
    assert other.status_code == 422
