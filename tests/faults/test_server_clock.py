"""P9: the wall clock jumps by a day, forward and back, while work is running; nobody is timed out, rescued or locked out."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.conftest import Server, Start, wait_until

CLOCK = Path(__file__).parent / "clock"
DAY = 86400
TEXT = "\n\n".join(f"Paragraph {n} of a text that is still being spoken when the clock jumps." for n in range(100))


def server_time(server: Server) -> float:
    """What the server's clock says: the time of an event of its own."""
    return float(server.client.post("/v1/jobs", json={"input": "What time is it?"}).json()["created_at"])


def jump(clock: Path, seconds: int) -> None:
    ready = clock.with_suffix(".new")
    ready.write_text(str(seconds))
    ready.rename(clock)


def test_a_clock_that_jumps_by_days_disturbs_nobody(serve: Start, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    jump(clock, 0)
    env = {"PYTHONPATH": str(CLOCK), "TEST_CLOCK_SHIFT": str(clock), "ANTIPHON_TONE_DELAY": "0.1"}
    server = serve("--model", "tone", "--workers", "2", "--heartbeat-timeout", "3", env=env)
    pids = {worker["pid"] for worker in server.workers()}
    first = server_time(server)
    book = server.client.post("/v1/jobs", json={"input": TEXT}, headers={"Idempotency-Key": "book"}).json()

    def units() -> int:
        return int(server.job(book["id"])["units"]["done"])

    for step, shift in enumerate((DAY, -DAY, 0), 1):
        wait_until(lambda least=step * 5: units() >= least, "the book goes on")  # type: ignore[misc]
        jump(clock, shift)
        seen = server_time(server)
        assert abs(seen - first - shift) < 3600, "the clock did not jump; the test would prove nothing"
        eta = server.job(book["id"])["eta"]
        assert 0 <= eta < 60
        assert server.client.post("/tts", json={"text": f"Asked after jump {step}."}).status_code == 200
        again = server.client.post("/v1/jobs", json={"input": TEXT}, headers={"Idempotency-Key": "book"})
        assert again.json()["id"] == book["id"]
    job = server.wait_job(book["id"])
    assert job["status"] == "succeeded"
    assert job["attempts"] == 1
    assert {worker["pid"] for worker in server.workers()} == pids
    assert not [line for line in server.lines() if line.get("level") in ("warning", "error", "critical")]
    ids = replayed(server)
    assert ids == sorted(set(ids))
    # A clock that went back to before the last event was written must not stop the next life.
    jump(clock, -DAY)
    server.kill()
    later = serve("--model", "tone", data=server.data, env=env)
    assert later.job(book["id"])["status"] == "succeeded"
    made = later.client.post("/v1/jobs", json={"input": "Yesterday's life goes on."}).json()
    assert later.wait_job(made["id"])["status"] == "succeeded"


def replayed(server: Server) -> list[int]:
    """Ids of all events so far, as a client that comes back is told them."""
    ids: list[int] = []
    with (
        httpx.Client(base_url=server.base, timeout=10, trust_env=False) as client,
        client.stream("GET", "/v1/events", headers={"Last-Event-ID": "1"}) as answer,
    ):
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                ids.append(event["id"])
                if event["type"] == "job.succeeded" and len(ids) > 40:
                    return ids
    return ids
