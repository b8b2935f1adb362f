"""One's own line: a client's durable work holds up, and refuses, none of its short requests, nor they its durable work."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests import ear
from tests.conftest import Server, Start, wait_until

SENTENCE = "Sentence number {} of {} is long enough to be a segment of its own, since it fills the line well and more."


def book(name: str, segments: int) -> str:
    return "\n\n".join(SENTENCE.format(n, name) for n in range(segments))


def submit(server: Server, text: str, **more: Any) -> httpx.Response:
    return server.client.post("/v1/jobs", json={"input": text, **more})


def pause(server: Server) -> None:
    assert server.client.post("/v1/queue/pause", json={}).status_code == 200


def position(server: Server, job: str) -> int | None:
    place: int | None = server.job(job)["position"]
    return place


@pytest.mark.alone
def test_twelve_short_requests_in_a_row_are_each_heard_next_behind_a_book_and_fifty_jobs(serve: Start) -> None:
    """On a fresh server, where all prices are guesses, and by whatever route the caller waits. With this ageing the
    jobs in line have long been older than any difference in length makes up for."""
    delay = {"ANTIPHON_TONE_DELAY": "0.2"}
    server = serve("--model", "tone", "--workers", "2", "--ageing", "0.05", env=delay)
    assert submit(server, book("the book", 300)).json()["units"]["total"] == 300
    for n in range(50):
        assert submit(server, book(f"job {n}", 2)).status_code == 202
    wait_until(lambda: server.health()["concurrent"] == 2, "both workers are busy")
    waits = []
    for n in range(12):
        text, began = f"Short and quick, {n}.", time.monotonic()
        if n % 3 == 0:
            answer = server.client.post("/tts", json={"text": text})
        elif n % 3 == 1:
            answer = server.client.post("/v1/audio/speech", json={"input": text})
        else:
            answer = server.client.post("/tts", json={"text": text}, headers={"Idempotency-Key": f"key {n}"})
        waits.append(time.monotonic() - began)
        assert answer.status_code == 200
    # Two segment times; the rest is for a machine that does other things too.
    assert max(waits) < 1.0, waits


def test_neither_a_book_nor_a_burst_of_requests_refuses_the_other_kind_of_work(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", "--max-client-seconds", "0.5", "--max-queue-seconds", "1")
    pause(server)
    first = submit(server, book("a book", 300))
    assert first.status_code == 202, "longer than a client may have waiting, and taken all the same"
    assert submit(server, book("a note", 1)).status_code == 202, "there is room besides"
    second = submit(server, book("a second book", 300))
    assert (second.status_code, second.json()["error"]["code"]) == (429, "over_share")
    assert int(second.headers["retry-after"]) > 5
    assert "fits in" in second.json()["error"]["message"]
    # A burst of requests that somebody waits for: as many as fit, and the rest is refused.
    with ThreadPoolExecutor(24) as pool:
        burst = [
            pool.submit(server.client.post, "/tts", json={"text": SENTENCE.format(n, "the burst")}) for n in range(24)
        ]
        wait_until(lambda: sum(each.done() for each in burst) >= 4, "some of the burst are refused")
        refused = [each.result() for each in burst if each.done()]
        assert {answer.status_code for answer in refused} == {429}
        assert all(int(answer.headers["retry-after"]) for answer in refused)
        assert submit(server, book("another note", 1)).status_code == 202, "the burst is counted apart"
        server.client.delete(f"/v1/jobs/{first.json()['id']}")
        server.client.post("/v1/queue/resume", json={})
        assert {each.result().status_code for each in burst} == {200, 429}


def test_a_durable_job_has_its_callers_place_until_the_last_of_them_has_gone(serve: Start) -> None:
    """With an Idempotency-Key a request is a durable job; who hangs up leaves it behind as one."""
    server = serve("--model", "tone", "--workers", "1")
    pause(server)
    note = submit(server, book("a note", 1)).json()["id"]

    def ask(gone: threading.Event) -> None:
        with httpx.Client(base_url=server.base, trust_env=False, timeout=60) as client:
            body = {"input": book("what is waited for", 9)}
            request = client.build_request(
                "POST", "/v1/audio/speech", json=body, headers={"Idempotency-Key": "one"}, timeout=0.2
            )
            while not gone.is_set():
                # The connection ends with the time-out, and the same key comes again.
                try:
                    client.send(request)
                except httpx.ReadTimeout:
                    continue

    gone = threading.Event()
    caller = threading.Thread(target=ask, args=(gone,))
    caller.start()
    try:
        wait_until(lambda: position(server, note) == 2, "the request goes before the shorter job")
    finally:
        gone.set()
        caller.join()
    wait_until(lambda: position(server, note) == 1, "nobody waits for it any more, and the shorter job goes first")
    server.client.post("/v1/queue/resume", json={})
    for job in server.client.get("/v1/jobs").json()["data"]:
        assert server.wait_job(job["id"])["status"] == "succeeded"


@pytest.mark.models
@pytest.mark.timeout(300)
def test_after_a_book_on_kokoro_a_short_request_of_the_same_client_is_heard_next(serve: Start) -> None:
    """As of 900,000 characters against an hour: a book of many times what a client may have waiting."""
    folder = str(ear.model("kokoro").parent)
    server = serve(
        "--model", "kokoro", "--workers", "1", "--models-dir", folder, "--max-client-seconds", "60", ready=False
    )
    server.wait_ready("kokoro", 200)
    pause(server)
    novel = "\n\n".join(f"This is line {n} of the novel." for n in range(600))
    accepted = submit(server, novel, model="kokoro")
    assert accepted.status_code == 202
    with ThreadPoolExecutor(1) as pool:
        body = {"text": "Heard in between.", "model": "kokoro"}
        short = pool.submit(lambda: server.client.post("/tts", json=body, timeout=200))
        wait_until(lambda: len(server.client.get("/v1/queue").json()["data"]) == 2, "the request is in line")
        server.client.post("/v1/queue/resume", json={})
        assert short.result().status_code == 200
    # Of the book there is no more than what other workers did meanwhile, and what was begun since.
    assert server.job(accepted.json()["id"])["units"]["done"] <= 3 * len(server.workers())
