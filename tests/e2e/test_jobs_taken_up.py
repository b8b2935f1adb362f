"""A job between two lives of its server: on disk, and nobody works on it yet, because its model loads or is not there."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import plugins
from tests.conftest import Server, Start, wait_until
from tests.faults.test_webhooks import Receiver, receiving
from tests.plugins.slow_engines import GATE

TEXT = "It waits for the next life."


class Lives:
    """Servers over one data directory, whose model loads once `open` was called, or with it."""

    def __init__(self, serve: Start, folder: Path) -> None:
        self._serve, self._data, self._gate = serve, folder / "lives", folder / "gate"
        module = Path(plugins.__file__).parent / "slow_engines.py"
        self._env = plugins.installed(folder / "site", module, {"gated": "Gated"}) | {GATE: str(self._gate)}
        self._env["ANTIPHON_WEBHOOK_PRIVATE"] = "true"

    def open(self, voice: str = "anna") -> None:
        # At once: the engine must not find it half written.
        written = self._gate.with_suffix(".new")
        written.write_text(voice)
        written.rename(self._gate)

    def close(self) -> None:
        self._gate.unlink()

    def begin(self, *args: str, ready: bool = False) -> Server:
        return self._serve("--model", "gated", *args, data=self._data, env=self._env, ready=ready)

    def left(self, *bodies: dict[str, Any], args: tuple[str, ...] = ()) -> tuple[Server, list[str]]:
        """A new life that waits for its model, and the ids of jobs that the one before was killed with."""
        self.open()
        server = self.begin(ready=True)
        server.client.post("/v1/queue/pause").raise_for_status()
        answers = [server.client.post("/v1/jobs", json={"type": "speech", **body}) for body in bodies]
        ids = [str(answer.raise_for_status().json()["id"]) for answer in answers]
        server.kill()
        self.close()
        server = self.begin(*args)
        # A pause outlives its server.
        server.client.post("/v1/queue/resume").raise_for_status()
        return server, ids


@pytest.fixture
def lives(serve: Start, tmp_path: Path) -> Lives:
    return Lives(serve, tmp_path)


@contextlib.contextmanager
def aside(what: Any) -> Iterator[list[Any]]:
    """What a call in a thread of its own gives, once the block has ended."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(what()), daemon=True)
    thread.start()
    yield found
    thread.join(30)
    assert found, "it did not come back"


def heard(server: Server, job: str) -> list[str]:
    """Types of the events of a job, up to its end."""
    with server.client.stream("GET", f"/v1/jobs/{job}/events") as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line[6:])["type"] for line in lines]


def listeners(server: Server) -> int:
    """Streams that are open to a server, those that wait for a result among them."""
    text = server.client.get("/metrics").text
    [line] = [line for line in text.splitlines() if line.startswith("antiphon_event_streams ")]
    return int(float(line.split()[1]))


def test_who_waits_for_it_hears_it_though_its_model_still_loads(lives: Lives) -> None:
    server, [job] = lives.left({"input": TEXT})
    with aside(lambda: server.client.get(f"/v1/jobs/{job}/result", params={"wait": True})) as answers:
        wait_until(lambda: listeners(server) == 1, "somebody waits")
        lives.open()
    assert answers[0].status_code == 200
    assert answers[0].content == server.client.get(f"/v1/jobs/{job}/result").content


def test_its_cancelling_is_told_to_all_who_listen(lives: Lives) -> None:
    with receiving(Receiver()) as receiver:
        server, [job, other] = lives.left({"input": TEXT, "webhook": receiver.url}, {"input": "Another."})
        with (
            aside(lambda: server.client.get(f"/v1/jobs/{job}/result", params={"wait": True})) as answers,
            aside(lambda: heard(server, job)) as events,
        ):
            wait_until(lambda: listeners(server) == 2, "two wait")
            assert server.client.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
        assert answers[0].status_code == 409
        assert "cancelled" in answers[0].json()["error"]["message"]
        assert events[0].count("job.cancelled") == 1
        wait_until(lambda: receiver.got, "its receiver is told")
        assert json.loads(receiver.got[0][1])["data"]["status"] == "cancelled"
        # Once more changes nothing, and is not told again.
        with aside(lambda: heard(server, other)) as events:
            wait_until(lambda: listeners(server) == 1, "one waits")
            server.client.delete(f"/v1/jobs/{job}").raise_for_status()
            lives.open()
        assert events[0][-1] == "job.succeeded"
        assert server.job(job)["status"] == "cancelled"
        assert len(receiver.got) == 1


def test_one_that_cannot_be_made_any_more_fails_aloud(lives: Lives) -> None:
    with receiving(Receiver()) as receiver:
        server, [job] = lives.left({"input": TEXT, "webhook": receiver.url, "voice": "anna"})
        with aside(lambda: heard(server, job)) as events:
            wait_until(lambda: listeners(server) == 1, "somebody waits")
            lives.open(voice="ben")
        assert "anna" in server.job(job)["error"]["message"]
        assert events[0][-1] == "job.failed"
        wait_until(lambda: receiver.got, "its receiver is told")


def test_one_that_is_retried_while_its_model_loads_is_made_when_that_can(lives: Lives) -> None:
    server, [job] = lives.left({"input": TEXT})
    server.client.delete(f"/v1/jobs/{job}").raise_for_status()
    assert server.stop() == 0
    server = lives.begin()
    assert server.client.post(f"/v1/jobs/{job}/retry").json()["status"] == "queued"
    lives.open()
    assert server.wait_job(job)["status"] == "succeeded"


def test_one_that_is_retried_while_it_waits_to_be_taken_up_is_made_once(lives: Lives) -> None:
    # Long enough to be planned beside the loop.
    server, [job] = lives.left({"input": f"{TEXT} " * 400})
    server.client.delete(f"/v1/jobs/{job}").raise_for_status()
    assert server.client.post(f"/v1/jobs/{job}/retry").json()["status"] == "queued"
    with aside(lambda: heard(server, job)) as events:
        wait_until(lambda: listeners(server) == 1, "somebody listens")
        lives.open()
    assert events[0][-1] == "job.succeeded"
    assert events[0].count("job.started") == 1
    assert server.job(job)["attempts"] == 1


def test_it_does_not_hold_up_the_end_of_a_server(lives: Lives) -> None:
    server, [job] = lives.left({"input": TEXT})
    server.client.delete(f"/v1/jobs/{job}").raise_for_status()
    server.client.post(f"/v1/jobs/{job}/retry").raise_for_status()
    began = time.monotonic()
    assert server.stop() == 0
    # It would have been waited for five seconds.
    assert time.monotonic() - began < 4
    lives.open()
    assert lives.begin(ready=True).wait_job(job)["status"] == "succeeded"
