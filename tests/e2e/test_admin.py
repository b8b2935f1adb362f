"""The operator's hand on the queue, deadlines and classes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from antiphon.cli import queue
from antiphon.domain import errors
from antiphon.domain.request import parse_deadline
from tests.conftest import Server, Start, wait_until

BOOK = "\n\n".join(
    f"Paragraph number {n} is long enough to be a segment all by itself, I should think." for n in range(20)
)


def submit(server: Server, text: str, **more: Any) -> str:
    answer = server.client.post("/v1/jobs", json={"input": text, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_pause_front_resume(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.05"})
    assert server.client.post("/v1/queue/pause", json={}).json()["paused"] is True
    first, second, third = (submit(server, f"Job {name}.") for name in ("one", "two", "three"))
    listed = server.client.get("/v1/queue").json()
    assert {row["id"] for row in listed["data"]} == {first, second, third}
    assert all(row["eta"] is None for row in listed["data"])
    assert server.client.post(f"/v1/queue/{third}/front").status_code == 200
    assert server.client.delete(f"/v1/queue/{second}").json()["status"] == "cancelled"
    assert server.client.post("/v1/queue/resume", json={}).json()["paused"] is False
    jobs = [server.wait_job(job_id) for job_id in (first, third)]
    assert jobs[1]["started_at"] < jobs[0]["started_at"]
    assert server.client.post("/v1/queue/pause", json={"job": first}).status_code == 404
    assert server.client.post("/v1/queue/pause", json={"jbo": first}).status_code == 422


def test_what_an_operator_set_survives_a_kill(serve: Start) -> None:
    """Pauses of everything, of a client and of jobs; places at the front; classes, which end a deadline."""
    env = {"ANTIPHON_TONE_DELAY": "0.05"}
    server = serve("--model", "tone", "--workers", "1", env=env)
    server.client.post("/v1/queue/pause", json={})
    cached = submit(server, "The same words.")
    server.client.post("/v1/queue/pause", json={"job": cached})
    server.client.post("/v1/queue/resume", json={})
    assert server.wait_job(submit(server, "The same words."))["status"] == "succeeded"
    server.client.post("/v1/queue/pause", json={})
    server.client.post("/v1/queue/pause", json={"client": "key-of-anna"})
    jobs = [submit(server, f"Job number {n}.") for n in range(5)]
    plain, paused, second, first, bulk = jobs
    due = submit(server, "Some time.", deadline="06:00")
    server.client.post("/v1/queue/pause", json={"job": paused})
    for job in (second, first):
        assert server.client.post(f"/v1/queue/{job}/front").status_code == 200
    for job, priority in ((bulk, "bulk"), (due, "vip")):
        server.client.post(f"/v1/queue/{job}/class", json={"priority": priority})
    before = server.client.get("/v1/queue").json()
    server.kill()

    again = serve("--model", "tone", "--workers", "1", data=server.data, env=env)
    wait_until(lambda: len(again.client.get("/v1/queue").json()["data"]) == 7, "the jobs are taken up")
    after = again.client.get("/v1/queue").json()
    for name in ("paused", "paused_since", "paused_clients"):
        assert after[name] == before[name]
    assert after["paused"] is True
    assert [each["client"] for each in after["paused_clients"]] == ["key-of-anna"]
    rows = {row["id"]: row for row in after["data"]}
    assert {job for job, row in rows.items() if row["paused"]} == {paused, cached}
    assert (rows[bulk]["priority"], rows[due]["priority"]) == ("bulk", "vip")
    said = {line["resume"] for line in again.lines() if "paused" in line["message"]}
    assert said == {"antiphon queue resume", "antiphon queue resume --client key-of-anna"}

    again.client.post("/v1/queue/resume", json={})
    ended = [again.wait_job(job) for job in (first, second, due, plain, bulk)]
    assert [job["status"] for job in ended] == ["succeeded"] * 5
    assert [job["started_at"] for job in ended] == sorted(job["started_at"] for job in ended)
    for job in (paused, cached):
        assert again.job(job)["status"] == "queued"
        assert again.client.post("/v1/queue/resume", json={"job": job}).status_code == 200
        assert again.wait_job(job)["status"] == "succeeded"
    assert again.job(cached)["units"]["cached"] == 1


def test_the_command_says_what_is_paused(serve: Start, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve("--model", "tone", "--workers", "1")
    queue.change(server.base, "pause", None, None)
    queue.change(server.base, "pause", None, "203.0.113.9")
    job = submit(server, "Words.")
    queue.change(server.base, "pause", job, None)
    capsys.readouterr()
    queue.show(server.base)
    said = capsys.readouterr().out
    assert "everything is paused since" in said
    assert "--client 203.0.113.9" in said
    assert "queued, paused" in said
    for client in ("", "with a line\nend", "é"):
        assert server.client.post("/v1/queue/pause", json={"client": client}).status_code == 400
    for what in ((job, None), (None, "203.0.113.9"), (None, None)):
        queue.change(server.base, "resume", *what)
    assert server.wait_job(job)["status"] == "succeeded"


def test_one_job_can_be_paused_alone(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.1"})
    book = submit(server, BOOK)
    wait_until(lambda: server.job(book)["units"]["done"] >= 1, "the book has begun")
    assert server.client.post("/v1/queue/pause", json={"job": book}).status_code == 200
    other = submit(server, "I pass.")
    assert server.wait_job(other)["status"] == "succeeded"
    assert server.job(book)["status"] == "running"
    assert server.job(book)["eta"] is None
    server.client.post("/v1/queue/resume", json={"job": book})
    assert server.wait_job(book)["status"] == "succeeded"


def test_class_change_lets_a_job_pass(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.05"})
    slow = submit(server, BOOK, priority="bulk")
    other = submit(server, BOOK.replace("Paragraph", "Chapter"), priority="bulk")
    assert server.client.post(f"/v1/queue/{other}/class", json={"priority": "vip"}).json()["status"] in (
        "queued",
        "running",
    )
    assert server.client.post(f"/v1/queue/{other}/class", json={"priority": "king"}).status_code == 400
    assert server.wait_job(other)["finished_at"] <= server.wait_job(slow)["finished_at"]


def test_a_deadline_is_accepted_and_kept_over_a_restart(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.2"})
    job = submit(server, BOOK, deadline="06:00")
    server.kill()
    again = serve("--model", "tone", "--workers", "2", data=server.data)
    assert again.wait_job(job)["status"] == "succeeded"
    for wrong in ("yesterday", "2020-01-01T00:00:00", "25:00", ""):
        answer = again.client.post("/v1/jobs", json={"input": "Hi", "deadline": wrong})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "deadline"


def test_work_that_would_be_late_is_sped_up(serve: Start) -> None:
    """Two jobs of bulk work behind much else: the one that is due soon passes, the other waits for its turn."""
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY_PER_CHAR": "0.005"})
    for n in range(10):
        server.wait_job(submit(server, f"The cost model learns {'a bit ' * (n % 5)}from this, number {n}."))
    server.client.post("/v1/queue/pause")
    others = [submit(server, f"Short, {n}.", priority="bulk") for n in range(100)]
    soon = datetime.now().astimezone() + timedelta(seconds=2)
    due = submit(
        server, "I am due in a moment, and longer than all the others.", priority="bulk", deadline=soon.isoformat()
    )
    later = submit(
        server,
        "I have a lot of time, and am longer than all the others.",
        deadline=(soon + timedelta(hours=5)).isoformat(),
    )
    server.client.post("/v1/queue/resume")
    finished = server.wait_job(due)["finished_at"]
    before = [server.wait_job(job)["finished_at"] < finished for job in others]
    assert sum(before) < 60
    assert server.wait_job(later)["finished_at"] > finished


def test_deadlines_are_the_next_time_it_is_that_late() -> None:
    now = datetime.fromisoformat("2026-11-23T10:00:00+08:00")
    tomorrow = datetime.fromisoformat("2026-11-24T06:00:00+08:00").timestamp()
    assert parse_deadline("06:00", now) == tomorrow
    assert parse_deadline("10:00:01", now) == (now + timedelta(seconds=1)).timestamp()
    assert parse_deadline("2026-11-24T06:00", now) == tomorrow
    assert parse_deadline("2026-11-23T22:00:00+00:00", now) == tomorrow
    with pytest.raises(errors.InvalidRequest, match="over already"):
        parse_deadline("2026-11-23T09:59:59", now)


@pytest.mark.alone
def test_position_and_eta_are_honest_on_a_fixed_backlog(serve: Start) -> None:
    """The ETA that each job was told when it was accepted, against when it was done."""
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.1"})
    for n in range(20):
        # Of several lengths: from one length alone nobody can tell what a segment costs and what a character does.
        server.wait_job(submit(server, f"The cost model learns {'a little more ' * (n % 5)}from this, number {n}."))
    told = {}
    for n in range(60):
        answer = server.client.post("/v1/jobs", json={"input": f"Backlog job number {n} is here."}).json()
        told[answer["id"]] = (answer["created_at"], answer["eta"])
    errors_ = []
    for job_id, (at, eta) in told.items():
        took = server.wait_job(job_id)["finished_at"] - at
        errors_.append(abs(eta - took) / max(took, 0.3))
    errors_.sort()
    print(f"ETA error: median {errors_[30]:.2f}, p90 {errors_[54]:.2f}")
    assert errors_[54] <= 0.25, errors_


def test_who_watches_a_waiting_job_is_told_its_place_anew(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.2"})
    first = submit(server, BOOK)
    server.client.post(f"/v1/queue/{first}/front")
    waiting = submit(server, "I wait.", priority="bulk")
    places = []
    with server.client.stream("GET", f"/v1/jobs/{waiting}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                places.append((event["type"], event.get("position"), event.get("eta")))
    told = [eta for kind, _, eta in places if kind == "job.progress"]
    assert len(told) >= 2
    assert told[-1] < told[0]
    assert places[-1][0] == "job.succeeded"
