"""Durable jobs over HTTP, their results and their events."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import Server, Start, wait_until

LONG = " ".join(
    f"Sentence number {n} of the book goes here, long enough to stand alone as a segment." for n in range(30)
)


def submit(server: Server, **body: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/jobs", json={"type": "speech", **body})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_job_from_its_202_to_its_result(tone: Server) -> None:
    answer = tone.client.post("/v1/jobs", json={"type": "speech", "input": LONG, "priority": "bulk"})
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["object"] == "job"
    assert job["status"] == "queued"
    assert job["units"]["total"] > 5
    assert job["position"] >= 0
    done = tone.wait_job(job["id"])
    assert done["status"] == "succeeded"
    assert done["progress"] == 1
    assert done["units"]["done"] == done["units"]["total"]
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    result = tone.client.get(f"/v1/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "audio/wav"
    assert len(result.content) == done["result"]["bytes"]
    with wave.open(io.BytesIO(result.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(done["result"]["duration"], abs=0.01)
    assert tone.client.get(done["result"]["path"]).content == result.content


def test_subtitles_follow_the_segments(tone: Server) -> None:
    job = tone.wait_job(submit(tone, input=LONG)["id"])
    srt = tone.client.get(f"/v1/jobs/{job['id']}/subtitles.srt").text
    vtt = tone.client.get(f"/v1/jobs/{job['id']}/subtitles.vtt").text
    assert srt.startswith("1\n00:00:00,000 --> ")
    assert vtt.startswith("WEBVTT")
    found = tone.client.get(f"/v1/jobs/{job['id']}/subtitles.json").json()
    cues = found["segments"] if isinstance(found, dict) else found
    assert cues[-1]["end"] == pytest.approx(job["result"]["duration"], abs=0.7)
    assert tone.client.get(f"/v1/jobs/{job['id']}/subtitles.doc").status_code in (400, 404)


def test_listing_filters_and_pages(serve: Start) -> None:
    server = serve("--model", "tone")
    ids = [submit(server, input=f"Job number {n}.")["id"] for n in range(7)]
    for job_id in ids:
        server.wait_job(job_id)
    seen: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": 3, "status": "succeeded"} | ({"after": after} if after else {})
        page = server.client.get("/v1/jobs", params=params).json()
        seen += [job["id"] for job in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert seen == ids[::-1]
    assert server.client.get("/v1/jobs", params={"status": "failed"}).json()["data"] == []
    assert server.client.get("/v1/jobs", params={"status": "lost"}).status_code == 400


@pytest.mark.parametrize("when", ["queued", "running"])
def test_cancel(serve: Start, when: str) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.2"})
    first = submit(server, input=LONG)
    second = submit(server, input=LONG.replace("book", "tome"))
    victim, other = (second, first) if when == "queued" else (first, second)
    wait_until(lambda: server.job(first["id"])["status"] == "running", "the first job runs")
    answer = server.client.delete(f"/v1/jobs/{victim['id']}")
    assert answer.json()["status"] == "cancelled"
    assert server.client.delete(f"/v1/jobs/{victim['id']}").json()["status"] == "cancelled"
    assert server.client.get(f"/v1/jobs/{victim['id']}/result").status_code == 409
    wait_until(lambda: server.job(other["id"])["units"]["done"] >= 1, "the other goes on")
    assert server.workers()[0]["restarts"] == 0
    again = server.client.post(f"/v1/jobs/{victim['id']}/retry")
    assert again.status_code == 202
    assert again.json()["status"] in ("queued", "running")
    assert server.client.post(f"/v1/jobs/{victim['id']}/retry").status_code == 409


def test_cancel_reaches_the_unit_that_runs(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "20"})
    job = submit(server, input="I take long.")
    wait_until(lambda: server.health()["concurrent"] == 1, "it runs")
    server.client.delete(f"/v1/jobs/{job['id']}")
    # Long before the unit would have ended by itself.
    wait_until(lambda: server.health()["concurrent"] == 0, "its slot is free", 15)
    assert server.workers()[0]["restarts"] == 0


def test_a_result_can_be_heard_while_it_is_made(serve: Start) -> None:
    server = serve("--model", "tone", env={"ANTIPHON_TONE_DELAY": "0.05"})
    server.client.post("/v1/queue/pause", json={}).raise_for_status()
    job = submit(server, input=LONG)
    assert server.client.get(f"/v1/jobs/{job['id']}/result").status_code == 409
    server.client.post("/v1/queue/resume", json={}).raise_for_status()
    live = server.client.get(f"/v1/jobs/{job['id']}/result", params={"wait": True})
    assert live.status_code == 200
    done = server.wait_job(job["id"])
    finished = server.client.get(f"/v1/jobs/{job['id']}/result").content
    assert live.content[-1000:] == finished[-1000:]
    assert len(live.content) == pytest.approx(done["result"]["bytes"], abs=100)


def test_somebody_elses_words_are_made_once(serve: Start) -> None:
    """Single-flight: ten requests for the same text at once are one unit of work."""
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.3"})
    answers: list[int] = []

    def ask() -> None:
        answers.append(server.client.post("/tts", json={"text": "All together now."}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 10
    assert sum(worker["units"] for worker in server.workers()) == 1


def test_idempotency_key(tone: Server) -> None:
    headers = {"Idempotency-Key": "only-once"}
    body = {"input": "Once and only once."}
    first = tone.client.post("/v1/jobs", json=body, headers=headers).json()
    second = tone.client.post("/v1/jobs", json=body, headers=headers).json()
    assert first["id"] == second["id"]
    other = tone.client.post("/v1/jobs", json={"input": "Something else."}, headers=headers)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_mismatch"


def events(server: Server, path: str, last: int | None = None) -> list[dict[str, Any]]:
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    with server.client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def test_events_replay_without_gap_or_repeat(tone: Server) -> None:
    job = submit(tone, input=LONG.replace("book", "replay"))
    path = f"/v1/jobs/{job['id']}/events"
    live = events(tone, path)
    types = [e["type"] for e in live]
    assert types[0] == "job.queued"
    assert types[-1] == "job.succeeded"
    assert types.count("unit.done") == job["units"]["total"]
    # Progress is told live only.
    ids = [e["id"] for e in live if e["type"] != "job.progress"]
    assert ids == sorted(set(ids))
    again = events(tone, path)
    assert [e["id"] for e in again] == ids
    middle = ids[len(ids) // 2]
    assert [e["id"] for e in events(tone, path, middle)] == [i for i in ids if i > middle]


def test_events_survive_a_restart(serve: Start) -> None:
    server = serve("--model", "tone")
    job = submit(server, input=LONG)
    told = events(server, f"/v1/jobs/{job['id']}/events")
    ids = [e["id"] for e in told if e["type"] != "job.progress"]
    assert server.stop() == 0
    again = serve("--model", "tone", data=server.data)
    assert [e["id"] for e in events(again, f"/v1/jobs/{job['id']}/events", ids[0])] == ids[1:]
    fresh = submit(again, input="A new one.")
    assert events(again, f"/v1/jobs/{fresh['id']}/events")[0]["id"] > ids[-1]


@pytest.mark.local("sqlite: it looks into the file; tests/cluster/test_two_servers.py has the same of two servers")
def test_an_end_that_could_not_be_told_before_a_kill_is_told_after_it(serve: Start) -> None:
    server = serve("--model", "tone")
    job = submit(server, input=LONG)
    ids = [e["id"] for e in events(server, f"/v1/jobs/{job['id']}/events")]
    waited = server.client.post("/tts", json={"text": "Nobody asks for this one's events."}).json()
    wait_until(lambda: server.job(waited["id"])["status"] == "succeeded", "it is recorded")
    server.kill()
    # As if it had been killed between the end of the job and the writing of its last events.
    with sqlite3.connect(server.data / "antiphon.db") as db:
        db.execute("DELETE FROM events WHERE type = 'job.succeeded'")
    db.close()
    again = serve("--model", "tone", data=server.data)
    told = events(again, f"/v1/jobs/{job['id']}/events", ids[-2])
    assert [e["type"] for e in told] == ["job.succeeded"]
    assert told[0]["result"]["path"] == again.job(job["id"])["result"]["path"]
    assert told[0]["id"] > ids[-1]
    again.stop()
    once_more = serve("--model", "tone", data=server.data)
    assert [e["id"] for e in events(once_more, f"/v1/jobs/{job['id']}/events", ids[-2])] == [told[0]["id"]]


def test_what_happens_during_a_replay_is_told_once(serve: Start) -> None:
    """After a restart the past comes from the disk; what happens while it is read must neither be lost nor repeated."""
    server = serve("--model", "tone", env={"ANTIPHON_TONE_DELAY": "0.005"})
    text = "\n\n".join(f"Part {n} of a text that makes an event for each of its parts." for n in range(300))
    job = submit(server, input=text)
    wait_until(lambda: server.job(job["id"])["units"]["done"] >= 20, "it has begun")
    server.kill()
    server = serve("--model", "tone", data=server.data, env={"ANTIPHON_TONE_DELAY": "0.005"})
    with ThreadPoolExecutor(10) as pool:
        heard = list(pool.map(lambda _: events(server, f"/v1/jobs/{job['id']}/events", 0), range(30)))
    told = [[e["id"] for e in one if e["type"] != "job.progress"] for one in heard]
    assert all(ids == sorted(set(ids)) for ids in told)
    assert all(ids == told[0] for ids in told)
    assert [e["type"] for e in heard[0]][-1] == "job.succeeded"


def test_a_long_text_is_accepted_and_a_longer_one_is_not(tone: Server) -> None:
    assert tone.client.post("/v1/jobs", json={"input": "a" * 1_000_001}).status_code == 400
    job = submit(tone, input="word " * 20_000, priority="bulk")
    assert job["units"]["total"] > 200
    tone.client.delete(f"/v1/jobs/{job['id']}")


def test_one_segment_is_made_anew_and_the_rest_is_kept(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.03"})
    job = server.wait_job(submit(server, input=LONG)["id"])
    made = sum(worker["units"] for worker in server.workers())
    audio = server.client.get(job["result"]["path"]).content
    answer = server.client.post(f"/v1/jobs/{job['id']}/units/3/retry")
    assert answer.status_code == 202
    again = server.wait_job(job["id"])
    assert again["status"] == "succeeded"
    assert again["units"]["cached"] == job["units"]["total"] - 1
    assert sum(worker["units"] for worker in server.workers()) == made + 1
    assert server.client.get(again["result"]["path"]).content == audio
    server.client.post(f"/v1/jobs/{job['id']}/units/3/retry")
    server.wait_job(job["id"])
    assert sum(worker["units"] for worker in server.workers()) == made + 2
    for index in (-1, job["units"]["total"], 10**6):
        assert server.client.post(f"/v1/jobs/{job['id']}/units/{index}/retry").status_code == 404
    spoken = server.client.post("/tts", json={"text": "Waited for."}).json()
    assert server.client.post(f"/v1/jobs/{spoken['id']}/units/0/retry").status_code == 409
