"""What Antiphon exists for: a short request under load, kills without loss, health while everything is busy."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import statistics
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from antiphon.engines.tone import frequency_of
from antiphon.reading.reader import read
from tests.conftest import Server, Start, wait_until

SENTENCE = "Sentence number {} of {} is long enough to be a segment of its own, since it fills the line well and more."


def book(name: str, segments: int) -> str:
    return "\n\n".join(SENTENCE.format(n, name) for n in range(segments))


def submit(server: Server, text: str, **more: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/jobs", json={"input": text, **more})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


@pytest.mark.alone
def test_a_short_request_cuts_in_behind_a_book_and_fifty_jobs(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.2"})
    job = submit(server, book("the book", 300))
    assert job["units"]["total"] == 300
    for n in range(50):
        submit(server, book(f"job {n}", 2))
    wait_until(lambda: server.health()["concurrent"] == 2, "both workers are busy")
    waits = []
    for n in range(5):
        began = time.monotonic()
        answer = server.client.post("/tts", json={"text": f"Short and quick, {n}."})
        waits.append(time.monotonic() - began)
        assert answer.status_code == 200
    assert statistics.median(waits) < 0.8, waits


def test_kill_9_at_ten_random_points_loses_and_doubles_nothing(serve: Start) -> None:
    seed = 20260
    print("seed", seed)
    rnd = random.Random(seed)
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.01"})
    data, accepted = server.data, []
    for life in range(10):
        with ThreadPoolExecutor(4) as pool:
            texts = [f"Life {life}, job {n}, said once. And a second sentence." for n in range(20)]
            accepted += [job["id"] for job in pool.map(submit, [server] * 20, texts)]
        time.sleep(rnd.uniform(0.0, 0.3))
        server.kill()
        server.client.close()
        server = serve("--model", "tone", "--workers", "2", data=data, env={"ANTIPHON_TONE_DELAY": "0.01"})
    assert len(set(accepted)) == 200
    for job_id in accepted:
        assert server.wait_job(job_id)["status"] == "succeeded"
    files = [path.name for path in (data / "output").iterdir()]
    assert sorted(files) == sorted(f"speech_{job_id}.wav" for job_id in accepted)
    first = server.job(accepted[0])
    assert first["finished_at"] >= first["started_at"]


def test_kill_9_of_the_worker_only_delays_its_client(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "1.0"})
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(server.client.post("/tts", json={"text": "Do not give up on me."}))
    )
    asking.start()
    wait_until(lambda: server.health()["concurrent"] == 1, "the unit runs")
    os.kill(server.workers()[0]["pid"], signal.SIGKILL)
    asking.join()
    assert answers[0].status_code == 200
    assert heard(server, answers[0].json()["audio_path"]) == "Do not give up on me."
    assert sum(worker["restarts"] for worker in server.workers()) == 1


@pytest.mark.alone
def test_health_answers_at_once_while_all_are_busy_and_a_model_loads(serve: Start) -> None:
    server = serve("--model", "tone", "--model", "espeak", env={"ANTIPHON_TONE_DELAY": "0.05"})
    stop = threading.Event()
    texts = iter(range(10_000))
    lock = threading.Lock()

    def load() -> None:
        with httpx.Client(base_url=server.base, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                with lock:
                    n = next(texts)
                client.post("/tts", json={"text": f"Busy, busy, number {n}.", "model": "tone"})

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    took = []
    for n in range(200):
        if n % 50 == 0:
            victims = [w["pid"] for w in server.workers() if w["model"] == "espeak" and w["state"] == "ready"]
            for pid in victims[:1]:
                # On a node it may be gone a moment before the server hears of it.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        began = time.perf_counter()
        assert server.client.get("/health").status_code == 200
        took.append(time.perf_counter() - began)
    stop.set()
    for thread in threads:
        thread.join()
    took.sort()
    print(f"/health p50 {took[100] * 1000:.1f} ms, p99 {took[197] * 1000:.1f} ms")
    # The goal is 20 ms; the test's own client shares the two cores, so the bound only catches a blocked loop.
    assert took[197] < 0.1


def test_200_at_once_all_succeed(espeak: Server) -> None:
    texts = [f"Number {n}, please." for n in range(200)]
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda text: espeak.client.post("/tts", json={"text": text}), texts))
    assert [a.status_code for a in answers] == [200] * 200
    assert len({a.json()["id"] for a in answers}) == 200


def test_200_at_once_are_not_mixed_up(tone: Server) -> None:
    texts = [f"Words that belong to nobody but number {n}." for n in range(200)]
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda text: tone.client.post("/tts", json={"text": text}), texts))
    for text, answer in zip(texts, answers, strict=True):
        assert answer.status_code == 200
        assert frequency(tone, answer.json()["audio_path"]) == pytest.approx(
            frequency_of(read(text, "en").text), rel=0.01
        )


def frequency(server: Server, path: str) -> float:
    """Of a pure tone, from its rising zero crossings."""
    import numpy as np

    with wave.open(io.BytesIO(server.client.get(path).content)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        rate = file.getframerate()
    rising = np.nonzero((samples[:-1] < 0) & (samples[1:] >= 0))[0]
    middle = rising[len(rising) // 4 : -len(rising) // 4]
    return float(rate * (len(middle) - 1) / (middle[-1] - middle[0]))


def heard(server: Server, path: str) -> str | None:
    """Which of the texts that this file speaks of a tone belongs to."""
    tone = frequency(server, path)
    text = "Do not give up on me."
    return text if abs(tone - frequency_of(text)) < 0.01 * tone else None


def test_poison_fails_its_job_and_nobody_elses(serve: Start) -> None:
    """Three workers are killed under one unit; its job ends with `poison`, the next one speaks."""
    # So long that each is killed before it is done, also on a busy machine.
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "3"})
    victim = submit(server, "I bring everybody down.")
    killed: set[int] = set()
    while len(killed) < 3:

        def busy() -> int | None:
            found = [w for w in server.workers() if w["busy"] and w["pid"] not in killed]
            return found[0]["pid"] if found else None

        pid = wait_until(busy, f"a worker takes the unit again, after {killed}")
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    job = server.wait_job(victim["id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == "poison"
    assert "3 times" in job["error"]["message"]
    assert server.client.post("/tts", json={"text": "But I am well."}).status_code == 200


def test_poison_of_one_job_is_tried_anew_by_another_that_wants_the_same(serve: Start) -> None:
    """Two jobs share one unit; it takes three workers down for the first. The second is not failed by that, nor hung."""
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "3"})
    first = submit(server, "We are the same words.")
    wait_until(lambda: server.job(first["id"])["status"] == "running", "the first runs")
    second = submit(server, "We are the same words.")
    killed: set[int] = set()

    def struck() -> bool:
        for worker in server.workers():
            if worker["busy"] and worker["pid"] not in killed and len(killed) < 3:
                os.kill(worker["pid"], signal.SIGKILL)
                killed.add(worker["pid"])
        return bool(server.job(first["id"])["status"] == "failed")

    wait_until(struck, "the first is given up")
    assert server.job(first["id"])["error"]["code"] == "poison"
    assert server.wait_job(second["id"])["status"] == "succeeded"


def test_a_client_that_goes_away_frees_its_place(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "30"})
    with pytest.raises(httpx.ReadTimeout):
        server.client.post("/tts", json={"text": "I am impatient."}, timeout=0.3)
    wait_until(lambda: server.health()["concurrent"] == 0, "the unit is dropped, long before it would be done", 15)


def test_sigterm_ends_with_0_and_leaves_nothing_behind(serve: Start) -> None:
    server = serve("--model", "tone", "--model", "espeak", "--workers", "2")
    pids = [worker["pid"] for worker in server.workers()]
    assert len(pids) == 4
    assert server.stop() == 0
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}") or "antiphon" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_workers_end_with_a_killed_server(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "2")
    pids = [worker["pid"] for worker in server.workers()]
    server.kill()

    def gone() -> bool:
        return not any(os.path.exists(f"/proc/{pid}") for pid in pids)

    wait_until(gone, "the workers are gone")


def test_one_data_directory_one_server(serve: Start) -> None:
    server = serve("--model", "tone")
    with pytest.raises(BaseException, match="already uses"):
        serve("--model", "tone", data=server.data)
