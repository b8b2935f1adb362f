"""Engines of other packages that raise, hang, die or lie hurt nobody but those who asked them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from antiphon.audio import wav
from tests import plugins
from tests.conftest import Server, launch, wait_until

BAD = Path(plugins.__file__).parent / "bad_engines.py"
#: What each answers to a text that brings it down, or to a recording; None: it speaks after all.
ANSWERS = {
    "raises": (500, "ZeroDivisionError"),
    "dies": (500, "brought its worker down"),
    "chatters": (200, ""),
    "odd": (500, "middle of a sample"),
    "boastful": (500, "sample rate"),
    "untyped": (500, "str"),
}
#: Those that never become ready, and what /health says of them.
REFUSED = {
    "novoice": "default_voice 'nobody'",
    "nolength": "first_chars",
    "nospeed": "speed_min",
    "nocapabilities": "not dict",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    names = [*ANSWERS, *REFUSED, "hangs", "garbage", "hangsonload"]
    classes = {
        "novoice": "NoVoice", "nolength": "NoLength", "nospeed": "NoSpeed", "nocapabilities": "NoCapabilities",
        "hangsonload": "HangsOnLoad",
    }  # fmt: skip
    engines = {name: classes.get(name, name.title()) for name in names}
    env = plugins.installed(tmp_path_factory.mktemp("site"), BAD, engines)
    args = ["--workers", "1", "--unit-timeout", "3", "--cancel-grace", "0.5", "--model", "tone", "--model", "espeak"]
    for name in names:
        args += ["--model", name]
    made = launch(tmp_path_factory.mktemp("bad"), *args, env=env)
    for name in ("tone", "espeak", "hangs", "garbage", *ANSWERS):
        made.wait_ready(name)
    yield made
    made.stop()


def say(server: Server, model: str, text: str) -> httpx.Response:
    body = {"model": model, "input": text, "response_format": "wav"}
    return server.client.post("/v1/audio/speech", json=body, headers={"Cache-Control": "no-store"})


def others_speak(server: Server) -> None:
    for model in ("tone", "espeak"):
        assert say(server, model, "All is well here.").status_code == 200


@pytest.mark.parametrize("model", ANSWERS)
def test_what_it_does_is_told_to_whoever_asked(server: Server, model: str) -> None:
    status, why = ANSWERS[model]
    answer = say(server, model, "boom")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text[:500]
    others_speak(server)
    # It is there for the next one.
    wait_until(lambda: say(server, model, "ok").status_code == 200, f"{model} speaks again")


def test_one_that_hangs_is_ended_while_others_work(server: Server) -> None:
    job = server.client.post("/v1/jobs", json={"model": "hangs", "input": "boom"}).json()
    wait_until(lambda: server.job(job["id"])["status"] == "running", "it hangs")
    others_speak(server)
    ended = server.wait_job(job["id"])
    assert ended["status"] == "failed"
    assert "3 times" in ended["error"]["message"]
    wait_until(lambda: say(server, "hangs", "ok").status_code == 200, "it speaks again")


def test_one_that_hears_nonsense(server: Server) -> None:
    audio = wav.header(16_000, 32_000) + b"\x10\x20" * 16_000
    answer = server.client.post("/v1/audio/transcriptions", files={"file": ("a.wav", audio)}, data={"model": "garbage"})
    assert (answer.status_code, "it is not JSON" in answer.text) == (500, True), answer.text
    others_speak(server)


@pytest.mark.parametrize("model", REFUSED)
def test_capabilities_that_cannot_be_are_refused(server: Server, model: str) -> None:
    def told() -> str:
        return next(m["error"] or "" for m in server.health()["models"] if m["name"] == model)

    wait_until(lambda: REFUSED[model] in told(), f"{model} is refused: {told()}")
    answer = say(server, model, "ok")
    assert answer.status_code == 503, answer.text
    others_speak(server)


def test_nobody_waits_for_one_that_never_loads(server: Server) -> None:
    answer = say(server, "hangsonload", "ok")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    others_speak(server)
    assert server.client.get("/readyz").status_code == 200
