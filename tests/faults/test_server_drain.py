"""P13: a drain refuses at once, lets running work end, and gives the rest back to the queue."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import httpx
import pytest

from tests.conftest import Server, Start, wait_until

LONG = "\n\n".join(f"Paragraph number {n} of a text that takes a while to be spoken to its end." for n in range(40))


def ended(server: Server, patience: float) -> int:
    wait_until(lambda: server.process.poll() is not None, "the server ends", patience)
    return server.process.returncode


def test_running_work_ends_and_queued_work_waits_for_the_next_life(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", "--drain-seconds", "30", env={"ANTIPHON_TONE_DELAY": "3"})
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(server.client.post("/tts", json={"text": "Let me finish."}))
    )
    asking.start()
    wait_until(lambda: server.health()["concurrent"] == 1, "the request runs")
    queued = server.client.post("/v1/jobs", json={"input": "I can wait."}).json()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.client.get("/readyz").status_code == 503, "readiness says so")
    assert not answers, "it said so while work was still running"
    late = server.client.post("/tts", json={"text": "Too late."})
    assert late.status_code == 503
    assert late.headers["retry-after"]
    asking.join()
    assert answers[0].status_code == 200
    assert ended(server, 20) == 0
    again = serve("--model", "tone", data=server.data)
    job = again.wait_job(queued["id"])
    assert job["status"] == "succeeded"
    assert job["attempts"] == 1


def test_what_does_not_end_in_time_goes_back_without_spending_an_attempt(serve: Start) -> None:
    env = {"ANTIPHON_TONE_DELAY": "0.3"}
    server = serve("--model", "tone", "--workers", "1", "--drain-seconds", "1", env=env)
    book = server.client.post("/v1/jobs", json={"input": LONG}).json()
    wait_until(lambda: server.job(book["id"])["units"]["done"] >= 2, "the book has begun")
    done = server.job(book["id"])["units"]["done"]
    pids = [worker["pid"] for worker in server.workers()]
    server.process.send_signal(signal.SIGTERM)
    assert ended(server, 20) == 0
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    again = serve("--model", "tone", "--workers", "2", data=server.data)
    job = again.wait_job(book["id"])
    assert job["status"] == "succeeded"
    assert job["attempts"] == 1
    # What was finished before is not made again.
    assert job["units"]["cached"] >= done


def test_a_second_signal_ends_at_once(serve: Start) -> None:
    patient = ("--drain-seconds", "60")
    server = serve("--model", "tone", "--workers", "1", *patient, env={"ANTIPHON_TONE_DELAY": "60"})
    asking = threading.Thread(target=lambda: _ignore(server, "/tts", {"text": "This takes for ever."}))
    asking.start()
    wait_until(lambda: server.health()["concurrent"] == 1, "the request runs")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.client.get("/readyz").status_code == 503, "the drain has begun")
    server.process.send_signal(signal.SIGTERM)
    ended(server, 20)
    asking.join()


def _ignore(server: Server, path: str, body: dict[str, Any]) -> None:
    try:
        server.client.post(path, json=body)
    except httpx.HTTPError:
        return


@pytest.mark.parametrize("streams", [50])
def test_open_event_streams_do_not_hold_it(serve: Start, streams: int) -> None:
    server = serve("--model", "tone")
    opened = threading.Barrier(streams + 1, timeout=60)

    def listen() -> None:
        with httpx.Client(base_url=server.base, timeout=30, trust_env=False) as client:
            try:
                with client.stream("GET", "/v1/events") as answer:
                    lines = answer.iter_lines()
                    next(lines)
                    opened.wait()
                    for _ in lines:
                        pass
                told.append(True)
            except httpx.HTTPError:
                told.append(False)

    told: list[bool] = []
    threads = [threading.Thread(target=listen) for _ in range(streams)]
    for thread in threads:
        thread.start()
    opened.wait()
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert ended(server, 20) == 0
    assert time.monotonic() - began < 10
    for thread in threads:
        thread.join()
    assert told == [True] * streams, "streams were broken off, not ended"
