"""Two servers over one PostgreSQL: what one accepts the other shows, cancels, goes on with; bounds hold on both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg

from tests.cluster.conftest import Pair
from tests.cluster.postgres import Postgres
from tests.conftest import Server, Start, wait_until

WORDS = "Sentence number {} of {} is long enough to be a segment of its own, since it fills the line well and more."
FINAL = ("succeeded", "failed", "cancelled")


def text(name: str, segments: int) -> str:
    return "\n\n".join(WORDS.format(n, name) for n in range(segments))


def submit(server: Server, input: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = server.client.post("/v1/jobs", json={"input": input, "response_format": "wav"}, headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_job_of_one_is_watched_and_cancelled_through_the_other(pair: Pair) -> None:
    one, two = pair(delay=0.3)
    first, second = submit(one, text("first", 20)), submit(one, text("second", 4))
    seen: list[dict[str, Any]] = []

    def watch() -> None:
        with two.client.stream("GET", f"/v1/jobs/{first['id']}/events", timeout=60) as stream:
            # One by one, so that the test sees them as they come.
            seen.extend(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    watching = threading.Thread(target=watch)
    watching.start()
    # The second server knows the place in the first one's line.
    told = two.client.get(f"/v1/jobs/{second['id']}").json()
    assert told["status"] == "queued"
    assert told["position"] == 1
    assert told["eta"] > 0
    wait_until(lambda: sum(e["type"] == "unit.done" for e in seen) >= 2, "units are heard on the other server")
    wait_until(lambda: any(e["type"] == "job.progress" for e in seen), "progress is heard on the other server")
    assert two.client.delete(f"/v1/jobs/{first['id']}").json()["status"] == "cancelled"
    watching.join(20)
    assert seen[-1]["type"] == "job.cancelled"
    kept = [event["id"] for event in seen if event["type"] != "job.progress"]
    assert kept == sorted(set(kept))
    wait_until(lambda: one.job(second["id"])["status"] in FINAL, "the place is free for the next")
    assert one.job(first["id"])["status"] == "cancelled"
    # Told as the first server's own listeners hear it.
    replay = two.client.get(f"/v1/jobs/{second['id']}/events").text
    assert replay.count("event: unit.done") == 4
    assert "event: job.succeeded" in replay


def test_a_dead_servers_jobs_are_gone_on_with(pair: Pair) -> None:
    one, two = pair(delay=0.1)
    jobs = [submit(one, text(f"job {n}", 3)) for n in range(10)]
    hooked = [job["id"] for job in jobs]
    wait_until(lambda: one.job(jobs[0]["id"])["units"]["done"] >= 1, "it works")
    one.kill()
    for job in hooked:
        assert two.wait_job(job)["status"] == "succeeded"
    assert {path.name for path in (two.data / "output").iterdir()} >= {f"speech_{hooked[-1]}.wav"}


def test_a_server_that_goes_hands_over_at_once(serve: Start, database: str) -> None:
    common = ("--model", "tone", "--workers", "1", "--store", database, "--lease", "60", "--drain-seconds", "0")
    env = {"ANTIPHON_TONE_DELAY": "0.1"}
    one, two = (serve(*common, "--server-name", name, env=env) for name in ("one", "two"))
    jobs = [submit(one, text(f"job {n}", 3)) for n in range(5)]
    one.process.send_signal(signal.SIGTERM)
    for job in jobs:
        # Long before the lease would have ended.
        assert two.wait_job(job["id"], patience=20)["status"] == "succeeded"


def test_a_server_that_sleeps_too_long_finishes_nothing_that_was_taken(pair: Pair, database: str) -> None:
    one, two = pair(delay=0.3)
    jobs = [submit(one, text(f"job {n}", 4)) for n in range(3)]
    wait_until(lambda: one.job(jobs[0]["id"])["units"]["done"] >= 1, "it works")
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        for job in jobs:
            assert two.wait_job(job["id"])["status"] == "succeeded"
    finally:
        os.kill(one.process.pid, signal.SIGCONT)
    wait_until(lambda: one.health()["concurrent"] + one.health()["queued"] == 0, "it lets go of what is not its own")
    with psycopg.connect(database) as db:
        rows = db.execute("SELECT state, server FROM jobs").fetchall()
        assert rows == [("succeeded", "two")] * 3
        told = "SELECT count(*), count(DISTINCT job) FROM events WHERE type = 'job.succeeded'"
        wait_until(lambda: db.execute(told).fetchone() == (3, 3), "each end is told once")


def test_one_idempotency_key_is_one_job_on_both(pair: Pair) -> None:
    one, two = pair()
    headers = {"Idempotency-Key": "the same"}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: submit((one, two)[n % 2], "Only once.", headers)["id"], range(16)))
    assert len(set(made)) == 1
    other = two.client.post("/v1/jobs", json={"input": "Another text."}, headers=headers)
    assert other.status_code == 422


def test_a_rate_holds_on_both(pair: Pair) -> None:
    one, two = pair("--rate-limit", "20")
    codes = [(one, two)[n % 2].client.get("/v1/jobs").status_code for n in range(45)]
    assert 15 <= codes.count(200) <= 40  # Two minutes, if it turns in between.
    assert codes[-1] == 429


def test_keys_and_quotas_hold_on_both(pair: Pair, database: str) -> None:
    one, two = pair()
    made = subprocess.run(
        [sys.executable, "-m", "antiphon.cli.main", "keys", "create", "--name", "k", "--quota-seconds", "3"],
        env=os.environ | {"ANTIPHON_STORE": database},
        capture_output=True,
        text=True,
        check=True,
    )
    key = {"Authorization": f"Bearer {made.stdout.split()[-1]}"}
    wait_until(lambda: two.client.get("/v1/jobs").status_code == 401, "the key is known to both")
    wait_until(lambda: one.client.get("/v1/jobs", headers=key).status_code == 200, "the key opens")
    long = {"text": text("quota", 1)}
    assert one.client.post("/tts", json=long, headers=key).status_code == 200

    def refused() -> bool:
        # What was made before is not refused.
        body = {"model": "tone", "input": f"More, {time.monotonic()}.", "voice": "alloy"}
        answer: httpx.Response = two.client.post("/v1/audio/speech", json=body, headers=key)
        return answer.status_code == 429 and answer.json()["error"]["code"] == "over_quota"

    wait_until(refused, "what was had on one counts on the other")


def test_connections_that_are_cut_lose_and_double_nothing(pair: Pair, database_server: Postgres, database: str) -> None:
    one, two = pair(delay=0.02)
    accepted: list[str] = []
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.15):
            database_server.cut(database)

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            texts = [text(f"job {n}", 2) for n in range(60)]
            accepted = [job["id"] for job in pool.map(lambda n: submit((one, two)[n % 2], texts[n]), range(60))]
    finally:
        done.set()
        cutting.join()
    for job in accepted:
        assert two.wait_job(job)["status"] == "succeeded"
    with psycopg.connect(database) as db:
        assert db.execute("SELECT count(*), count(DISTINCT id) FROM jobs").fetchone() == (60, 60)
        told = "SELECT count(*), count(DISTINCT job) FROM events WHERE type = 'job.succeeded'"
        wait_until(lambda: db.execute(told).fetchone() == (60, 60), "each end is told once")


def test_a_database_that_restarts_is_waited_for(pair: Pair, database_server: Postgres) -> None:
    one, _ = pair(delay=0.1)
    job = submit(one, text("the job", 10))
    wait_until(lambda: one.job(job["id"])["units"]["done"] >= 1, "it works")
    database_server.stop(signal.SIGQUIT)
    began = time.monotonic()
    assert one.client.get("/health", timeout=5).status_code == 200
    assert time.monotonic() - began < 5
    database_server.start()
    assert one.wait_job(job["id"])["status"] == "succeeded"


def test_two_of_one_name_do_not_work_together(serve: Start, database: str) -> None:
    common = ("--model", "tone", "--store", database, "--lease", "1", "--server-name", "same")
    one = serve(*common)
    serve(*common)
    wait_until(lambda: one.process.poll() is not None, "the older one ends")
    assert one.process.returncode == 1
    assert "took the name" in one.log.read_text()


def test_without_the_extra_it_says_what_to_install(tmp_path: Any) -> None:
    hidden = "import sys; sys.modules['psycopg'] = None; from antiphon.cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", hidden, "serve", "--data-dir", str(tmp_path), "--store", "postgresql://x/y"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "antiphon[postgres]" in ran.stderr
