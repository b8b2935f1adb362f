"""Another speech server behind ours: queue, cache, segments and voices before it, and what goes wrong with it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Server, Start, wait_until

ROOT = Path(__file__).parents[2]
RATE = 22050


class Omni:
    """The stand-in."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.omni", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[-1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def seen(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/seen", trust_env=False).json())

    def spoken(self) -> list[dict[str, Any]]:
        """What it was asked for, but for the sentence that every worker says first."""
        return [body for body in self.seen()["spoken"] if body["input"] != "Hello."]

    def control(self, **values: Any) -> None:
        httpx.post(f"{self.url}/control", json=values, trust_env=False)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def omni() -> Iterator[Omni]:
    made = Omni()
    yield made
    made.kill()


def options(**values: Any) -> list[str]:
    return [part for name, value in values.items() for part in ("--model-option", f"far:{name}={value}")]


@pytest.fixture
def server(serve: Start, omni: Omni) -> Server:
    quick = options(stall_seconds=0.7, patience=8)
    return serve("--model", f"far={omni.url}/v1", "--workers", "1", *quick)


def speak(server: Server, text: str, **more: Any) -> httpx.Response:
    body = {"model": "far", "input": text, "voice": "anna", "response_format": "wav", **more}
    return server.client.post("/v1/audio/speech", json=body)


def test_it_speaks_with_the_queue_the_cache_and_the_segments_of_this_server(server: Server, omni: Omni) -> None:
    text = "A sentence of some length that fills a segment of its own, more or less, as sentences do. " * 8
    answer = speak(server, text, speed=1.25)
    assert answer.status_code == 200
    with wave.open(io.BytesIO(answer.content)) as made:
        assert made.getframerate() == RATE
        assert made.getnframes() > RATE
    asked = omni.spoken()
    assert len(asked) > 1
    assert all(len(body["input"]) <= 300 for body in asked)
    assert {(body["voice"], body["speed"], body["response_format"]) for body in asked} == {("anna", 1.25, "pcm")}
    assert speak(server, text, speed=1.25).headers["x-cache"] == "hit"
    assert len(omni.spoken()) == len(asked)
    voices = {voice["id"] for voice in server.client.get("/v1/audio/voices").json()["voices"]}
    assert {"default", "anna"} <= voices


def test_emotions_and_seeds_are_said_as_it_understands_them(server: Server, omni: Omni) -> None:
    assert (
        speak(server, "I am glad.", emotion={"happy": 0.6, "calm": 0.2}, emotion_strength=0.5, seed=7).status_code
        == 200
    )
    (body,) = omni.spoken()
    assert body["extra_params"] == {"emo_vector": [0.3, 0, 0, 0, 0, 0, 0, 0.1]}
    assert body["seed"] == 7
    assert body["language"] == "en"


def recording() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((b"\x00\x20" * 50 + b"\x00\xe0" * 50) * (RATE * 3 // 100))
    return buffer.getvalue()


def test_an_uploaded_voice_is_uploaded_once_and_again_after_a_restart(server: Server, omni: Omni) -> None:
    upload = server.client.post(
        "/v1/audio/voices", data={"name": "me", "consent": "mine"}, files={"audio_sample": ("a.wav", recording())}
    )
    assert upload.status_code == 200, upload.text
    for n in range(3):
        assert speak(server, f"With my voice, {n}.", voice="me").status_code == 200
    assert len(omni.seen()["uploads"]) == 1
    assert {body["voice"] for body in omni.spoken()} == set(omni.seen()["uploads"])
    omni.kill()
    omni.start()
    assert speak(server, "It has forgotten me.", voice="me").status_code == 200
    assert len(omni.seen()["uploads"]) == 1


def test_a_cancel_closes_the_connection(server: Server, omni: Omni) -> None:
    omni.control(delay=20)
    job = server.client.post("/v1/jobs", json={"model": "far", "input": "I take long."}).json()
    wait_until(omni.spoken, "it was asked")
    server.client.delete(f"/v1/jobs/{job['id']}")
    wait_until(lambda: omni.seen()["left"] == 1, "the other server is told at once", 5)
    assert server.workers()[0]["restarts"] == 0


@pytest.mark.parametrize(
    "fault",
    [["status", 2, 503, "1"], ["status", 1, 429], ["status", 2, 500], ["cut", 1], ["stall", 1], ["pause", 1]],
    ids=str,
)
def test_what_passes_is_waited_for(server: Server, omni: Omni, fault: list[Any]) -> None:
    plain = speak(server, "Said without a fault.").content
    omni.control(faults=[fault])
    answer = speak(server, "Said in spite of it all.")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > len(plain)
    assert len(omni.spoken()) == 1 + fault[1] + 1


def test_what_it_says_is_the_callers_mistake_is_told_to_the_caller(server: Server, omni: Omni) -> None:
    omni.control(faults=[["status", 1, 400]])
    answer = speak(server, "Refused.")
    assert answer.status_code == 400
    assert "no 'Refused.' today" in answer.json()["error"]["message"]
    assert speak(server, "The next one.").status_code == 200


@pytest.mark.parametrize(("fault", "says"), [(["json", 1], "no audio"), (["odd", 1], "no 16-bit audio")])
def test_what_is_no_audio_is_recognised(server: Server, omni: Omni, fault: list[Any], says: str) -> None:
    omni.control(faults=[fault])
    answer = speak(server, "Something else.")
    assert answer.status_code == 500
    assert says in answer.json()["error"]["message"]
    assert speak(server, "Something else.").status_code == 200


def test_one_that_stays_away_is_told_after_the_patience_and_comes_back(serve: Start, omni: Omni) -> None:
    server = serve("--model", f"far={omni.url}", "--workers", "1", *options(patience=1))
    omni.kill()
    began = time.monotonic()
    answer = speak(server, "Is anybody there?")
    assert answer.status_code == 500
    assert "does not answer" in answer.json()["error"]["message"]
    assert time.monotonic() - began < 15
    omni.start()
    assert speak(server, "Is anybody there?").status_code == 200


def test_killed_in_the_middle_of_a_segment_it_is_waited_for(server: Server, omni: Omni) -> None:
    omni.control(delay=20)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(speak(server, "Do not give up.")))
    asking.start()
    wait_until(omni.spoken, "it was asked")
    omni.kill()
    omni.start()
    asking.join(30)
    assert answers[0].status_code == 200


def test_one_that_is_not_there_at_the_start_is_said_to_be(serve: Start) -> None:
    server = serve("--model", "far=http://127.0.0.1:9", "--workers", "1", ready=False)
    wait_until(lambda: "127.0.0.1:9" in (server.health()["models"][0]["error"] or ""), "the address is named")


# Started here


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    """A command of the name, as in a virtual environment of its own."""
    path = tmp_path / "vllm"
    path.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m tests.omni "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def standing(server: Server) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        # One may end, and be a zombie for a moment, while it is looked at.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "tests.omni" in process.cmdline():
                found.append(process)
    return found


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_that_is_started_here_is_supervised_and_leaves_nobody_behind(serve: Start, vllm: Path) -> None:
    server = serve("--model", "far=vllm:/models/index", "--workers", "1", *options(command=vllm, patience=2))
    (first,) = standing(server)
    assert "/models/index" in first.cmdline()
    assert speak(server, "From a server of our own.").status_code == 200
    # It dies: the worker goes with it, and a new one starts another.
    first.kill()
    assert speak(server, "Once more.").status_code == 200
    (second,) = standing(server)
    assert second.pid != first.pid
    # The worker is killed: nothing of it stays.
    os.kill(server.workers()[0]["pid"], signal.SIGKILL)
    wait_until(lambda: gone(second), "it goes with its worker")
    wait_until(lambda: len(standing(server)) == 1, "another was started")
    (third,) = standing(server)
    server.wait_ready()
    server.kill()
    wait_until(lambda: not third.is_running(), "it goes with the server")


def test_one_that_cannot_start_says_why(serve: Start, vllm: Path) -> None:
    more = options(command=vllm, arguments='["--fail"]')
    server = serve("--model", "far=vllm:/models/index", "--workers", "1", *more, ready=False)
    wait_until(lambda: "CUDA out of memory" in (server.health()["models"][0]["error"] or ""), "its last words")


# Another Antiphon


def test_another_antiphon_is_behind_this_one(serve: Start) -> None:
    behind = serve("--model", "tone")
    server = serve("--model", f"far={behind.base}", "--workers", "1")
    answer = speak(server, "Twice accepted.", voice="tone")
    assert answer.status_code == 200
    with contextlib.closing(wave.open(io.BytesIO(answer.content))) as made:
        assert made.getnframes() > 0
