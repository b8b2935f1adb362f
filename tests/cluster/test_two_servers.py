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
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests import plugins
from tests.cluster import postgres
from tests.cluster.conftest import Pair
from tests.cluster.postgres import Postgres
from tests.conftest import Server, Start, command, wait_until
from tests.faults.test_webhooks import Receiver, receiving
from tests.plugins.slow_engines import GATE

WORDS = "Sentence number {} of {} is long enough to be a segment of its own, since it fills the line well and more."
FINAL = ("succeeded", "failed", "cancelled")


def text(name: str, segments: int) -> str:
    return "\n\n".join(WORDS.format(n, name) for n in range(segments))


def submit(server: Server, input: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = server.client.post("/v1/jobs", json={"input": input, "response_format": "wav"}, headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_job_of_one_is_watched_and_cancelled_through_the_other(pair: Pair) -> None:
    # The first one's first unit must still run when the second server is asked for the second one's place.
    one, two = pair(delay=2.0)
    first, second = submit(one, text("first", 20)), submit(one, text("second", 2))
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
    assert replay.count("event: unit.done") == 2
    assert "event: job.succeeded" in replay


def test_the_cancelling_of_a_job_that_its_server_has_not_taken_up_again_is_told_once(
    serve: Start, tmp_path: Path, database: str
) -> None:
    """Its model still loads, and the cancelling comes by the other server."""
    gate, hooks = tmp_path / "gate", Receiver()
    module = Path(plugins.__file__).parent / "slow_engines.py"
    env = plugins.installed(tmp_path / "site", module, {"gated": "Gated"}) | {GATE: str(gate)}
    common = ("--model", "gated", "--store", database, "--lease", "60", "--webhook-private")
    gate.write_text("anna")
    one = serve(*common, "--server-name", "one", data=tmp_path / "one", env=env)
    one.client.post("/v1/queue/pause").raise_for_status()
    with receiving(hooks):
        body = {"input": "It waits for the next life.", "webhook": hooks.url}
        job = one.client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        one.kill()
        gate.unlink()
        # A third, which has nothing to do with it, must not tell of it.
        servers = [
            serve(*common, "--server-name", name, data=tmp_path / name, env=env, ready=False)
            for name in ("one", "two", "three")
        ]
        told: list[str] = []
        listening = [threading.Thread(target=_listen, args=(server, job, told), daemon=True) for server in servers]
        for thread in listening:
            thread.start()
        for server in servers:
            wait_until(lambda s=server: "antiphon_event_streams 1.0" in s.client.get("/metrics").text, "one listens")
        assert servers[1].client.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
        for thread in listening:
            thread.join(20)
        assert [text.count("event: job.cancelled") for text in told] == [1, 1, 1]
        wait_until(lambda: hooks.got, "its receiver is told")
    with psycopg.connect(database) as db:
        found = db.execute("SELECT count(*) FROM events WHERE type = 'job.cancelled' AND job = %s", (job,)).fetchone()
    assert found == (1,)


def test_a_model_that_does_not_start_keeps_no_other_servers_jobs_from_being_rescued(
    serve: Start, tmp_path: Path, database: str
) -> None:
    gate = tmp_path / "gate"
    module = Path(plugins.__file__).parent / "slow_engines.py"
    env = plugins.installed(tmp_path / "site", module, {"gated": "Gated"})
    common = ("--model", "tone", "--model", "gated", "--store", database, "--lease", "1")
    gate.write_text("anna")
    first = serve(*common, "--server-name", "first", env=env | {GATE: str(gate)})
    first.wait_ready("gated")
    closed = env | {GATE: str(tmp_path / "never")}
    rescuer = serve(*common, "--server-name", "rescuer", env=closed)

    def left_by(server: Server, model: str) -> str:
        server.client.post("/v1/queue/pause").raise_for_status()
        body = {"input": f"Of {model}.", "model": model}
        job = server.client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        server.kill()
        # A pause outlives its server, and counts for all of them.
        rescuer.client.post("/v1/queue/resume").raise_for_status()
        return str(job)

    waits = left_by(first, "gated")
    with psycopg.connect(database, autocommit=True) as db:
        query = "SELECT server FROM jobs WHERE id = %s"
        wait_until(lambda: db.execute(query, (waits,)).fetchone() == ("rescuer",), "it is the rescuer's")
    second = serve(*common, "--server-name", "second", env=closed)
    assert rescuer.wait_job(left_by(second, "tone"))["status"] == "succeeded"
    assert rescuer.job(waits)["status"] == "queued"


def _listen(server: Server, job: str, told: list[str]) -> None:
    told.append(server.client.get(f"/v1/jobs/{job}/events", timeout=30).text)


def test_a_dead_servers_jobs_are_gone_on_with(pair: Pair) -> None:
    one, two = pair(delay=0.1)
    jobs = [submit(one, text(f"job {n}", 3)) for n in range(10)]
    hooked = [job["id"] for job in jobs]
    wait_until(lambda: one.job(jobs[0]["id"])["units"]["done"] >= 1, "it works")
    one.kill()
    for job in hooked:
        assert two.wait_job(job)["status"] == "succeeded"
    assert {path.name for path in (two.data / "output").iterdir()} >= {f"speech_{hooked[-1]}.wav"}


def test_an_end_that_a_dead_server_could_not_tell_of_is_told_by_the_other(pair: Pair, database: str) -> None:
    one, two = pair()
    job = submit(one, text("the job", 2))
    one.wait_job(job["id"])
    wait_until(lambda: "job.succeeded" in two.client.get(f"/v1/jobs/{job['id']}/events").text, "both know")
    with psycopg.connect(database, autocommit=True) as db:
        one.kill()
        # As if it had been killed between the end of the job and the writing of its last events.
        assert db.execute("DELETE FROM events WHERE type = 'job.succeeded'").rowcount == 1
        # A listener on the other server, which keeps no past of jobs that are not its own, hears of the end.
        told = two.client.get(f"/v1/jobs/{job['id']}/events", timeout=30).text
        assert told.count("event: job.succeeded") == 1
        told_of = "SELECT count(*) FROM events WHERE type = 'job.succeeded'"
        wait_until(lambda: db.execute(told_of).fetchone() == (1,), "it is kept, once")
        three = two.client.get(f"/v1/jobs/{job['id']}/events", timeout=30).text
        assert three.count("event: job.succeeded") == 1


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
    jobs = [submit(one, text(f"job {n}", 4 if n else 12)) for n in range(3)]
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


def test_a_request_that_was_answered_is_known_to_all(pair: Pair, database: str) -> None:
    one, two = pair()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%insert%jobs%'"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as slow, psycopg.connect(database) as looking:
        looking.autocommit = True
        slow.execute("LOCK TABLE jobs IN SHARE MODE")
        answer = pool.submit(one.client.post, "/tts", json={"text": "Known to both."})
        wait_until(lambda: looking.execute(waiting).fetchone(), "it is being recorded")
        assert not answer.done()
        slow.rollback()
        told = answer.result(20).json()
    assert two.client.get(f"/status?id={told['id']}").json()["audio_path"] == told["audio_path"]


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
    made = command(
        "keys", "create", "--name", "k", "--quota-seconds", "3", env=os.environ | {"ANTIPHON_STORE": database}
    )
    token = made.stdout.split()[-1]
    key = {"Authorization": f"Bearer {token}"}
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
    dumped = subprocess.run([postgres.binaries() / "pg_dump", database], capture_output=True, check=True).stdout
    assert b"COPY public.keys" in dumped
    assert token[3:-1].encode() not in dumped, "a key lies in the database"


def test_who_asks_while_the_database_is_away_is_told_to_come_back(serve: Start, tmp_path: Path) -> None:
    with postgres.running(tmp_path / "own") as database:
        server = serve("--model", "tone", "--store", database.url("postgres"))
        database.stop()
        refused = server.client.post("/v1/jobs", json={"input": "Nobody writes it down."})
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "store_away"
        assert int(refused.headers["retry-after"]) > 0
        # What needs no place in the database is spoken all the same.
        spoken = server.client.post("/tts", json={"text": "I still speak."})
        assert spoken.status_code == 200
        wait_until(
            lambda: "an ended request waits for the store" in server.log.read_text(), "it cannot be written down"
        )
        database.start()
        with psycopg.connect(database.url("postgres")) as db:
            count = "SELECT count(*) FROM jobs WHERE state = 'succeeded'"
            wait_until(lambda: db.execute(count).fetchone() == (1,), "it is written down all the same")
        assert server.wait_job(submit(server, "It is back.")["id"])["status"] == "succeeded"
        assert "never retrieved" not in server.log.read_text()
        server.stop()


def test_the_database_goes_away_while_jobs_are_taken_up_and_none_is_left_behind(serve: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    module = Path(plugins.__file__).parent / "slow_engines.py"
    env = plugins.installed(tmp_path / "site", module, {"gated": "Gated"}) | {GATE: str(gate)}
    gate.write_text("anna")
    with postgres.running(tmp_path / "own") as database:
        common = ("--model", "gated", "--store", database.url("postgres"), "--server-name", "one")
        server = serve(*common, env=env)
        server.client.post("/v1/queue/pause").raise_for_status()
        jobs = [submit(server, f"Job {n}.")["id"] for n in range(3)]
        server.kill()
        gate.unlink()
        server = serve(*common, env=env, ready=False)
        server.client.post("/v1/queue/resume").raise_for_status()
        wait_until(lambda: "taking up jobs of a previous process" in server.log.read_text(), "they are waited for")
        database.stop()
        gate.write_text("anna")
        wait_until(lambda: "a job waits for the store" in server.log.read_text(), "one is looked for in vain")
        database.start()
        assert [server.wait_job(job)["status"] for job in jobs] == ["succeeded"] * 3
        server.stop()


def test_a_webhook_is_delivered_though_the_database_goes_away_between_two_tries(serve: Start, tmp_path: Path) -> None:
    hooks = Receiver(plan=[500, 204], hang=threading.Event())
    with postgres.running(tmp_path / "own") as database, receiving(hooks):
        server = serve("--model", "tone", "--store", database.url("postgres"), "--webhook-private")
        body = {"input": "Tell them.", "webhook": hooks.url}
        server.client.post("/v1/jobs", json=body).raise_for_status()
        wait_until(lambda: hooks.got, "the first try")
        database.stop()
        hooks.hang.set()
        wait_until(lambda: "a webhook waits for the store" in server.log.read_text(), "its failure cannot be written")
        database.start()
        wait_until(lambda: len(hooks.got) == 2, "the second try")
        database.stop()
        # A database that is away does not keep a server from ending in order.
        server.process.send_signal(signal.SIGTERM)
        # It tries for some seconds to store what it has learnt before it ends.
        assert server.process.wait(60) == 0


def test_connections_that_are_cut_lose_and_double_nothing(pair: Pair, database_server: Postgres, database: str) -> None:
    one, two = pair(delay=0.02)
    accepted: list[str] = []
    done = threading.Event()

    def take(n: int) -> None:
        accepted.append(submit((one, two)[n % 2], text(f"job {n}", 2))["id"])

    def cut() -> None:
        before = -1
        while not done.wait(0.05):
            # Once for each job that was taken: a busy machine must have the time to take one.
            if before < len(accepted):
                before = len(accepted)
                database_server.cut(database)

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(take, range(60)))
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


def test_a_pause_holds_on_all_servers_and_goes_over_with_the_job(pair: Pair) -> None:
    one, two = pair(delay=0.2)
    one.client.post("/v1/queue/pause", json={})
    wait_until(lambda: two.client.get("/v1/queue").json()["paused"], "the other server pauses")
    first, second = submit(one, text("first", 3)), submit(two, text("second", 3))
    # Through the server that does not work on it.
    assert two.client.post("/v1/queue/pause", json={"job": first["id"]}).status_code == 200
    wait_until(lambda: one.client.get("/v1/queue").json()["data"][0]["paused"], "the job is paused where it is")
    one.client.post(f"/v1/queue/{first['id']}/class", json={"priority": "vip"})
    assert two.client.post("/v1/queue/resume", json={}).json()["paused"] is False
    wait_until(lambda: not one.client.get("/v1/queue").json()["paused"], "the other server goes on")
    wait_until(lambda: two.job(second["id"])["status"] == "succeeded", "what is not paused is done")
    one.kill()

    def taken_over() -> dict[str, Any] | None:
        return next((row for row in two.client.get("/v1/queue").json()["data"] if row["id"] == first["id"]), None)

    row = dict(wait_until(taken_over, "the job is taken over"))
    assert (row["paused"], row["priority"], row["status"]) == (True, "vip", "queued")
    assert two.client.post("/v1/queue/resume", json={"job": first["id"]}).status_code == 200
    wait_until(lambda: two.job(first["id"])["status"] == "succeeded", "it is done")
