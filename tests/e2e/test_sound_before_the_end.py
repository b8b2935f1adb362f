"""Somebody who listens hears what there is of a segment before its end, once, whatever happens to the worker."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests import plugins
from tests.conftest import PATIENCE, Server, launch
from tests.e2e.test_speech_ws import hear, say, session
from tests.plugins.gradual_engines import sound

GRADUAL = Path(plugins.__file__).parent / "gradual_engines.py"


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, marks: Path) -> Iterator[Server]:
    env = plugins.installed(tmp_path_factory.mktemp("site"), GRADUAL, {"gradual": "Gradual"})
    env["GRADUAL_MARKS"] = str(marks)
    server = launch(tmp_path_factory.mktemp("gradual"), "--model", "gradual", "--workers", "1", env=env)
    server.wait_whole()
    yield server
    server.stop()


def said(*words: str) -> bytes:
    return b"".join(map(sound, words))


def ask(text: str) -> dict[str, object]:
    return {"input": text, "model": "gradual", "response_format": "pcm", "sample_rate": 16000}


@contextlib.contextmanager
def listening(server: Server, text: str) -> Iterator[Iterator[bytes]]:
    """The audio of a text, each part when it comes."""
    with server.client.stream("POST", "/v1/audio/speech", json=ask(text) | {"stream_format": "sse"}) as answer:
        assert answer.status_code == 200
        events = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        yield (base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")


def test_the_beginning_of_a_segment_is_heard_before_its_end(server: Server, marks: Path) -> None:
    text = "one two wait four"
    with listening(server, text) as parts:
        heard = b""
        while len(heard) < len(said("one", "two")):
            heard += next(parts)
        assert heard == said("one", "two")
        (marks / "go").touch()
        heard += b"".join(parts)
    assert heard == said(*text.split())
    # The cache has the segment as a whole.
    again = server.client.post("/v1/audio/speech", json=ask(text))
    assert again.headers["x-cache"] == "hit"
    assert again.content == heard


def test_a_second_try_says_only_the_rest(server: Server, marks: Path) -> None:
    text = "one two die four"
    with listening(server, text) as parts:
        heard = b"".join(parts)
    assert (marks / "died").exists()
    assert heard == said(*text.split())


def test_a_listener_who_goes_frees_the_worker(server: Server) -> None:
    with listening(server, "one wait three") as parts:
        assert next(parts)
    # The worker has one slot, and `wait` waits for ever.
    assert server.client.post("/v1/audio/speech", json=ask("other words")).content == said("other", "words")


def test_a_segment_that_is_stretched_comes_whole(server: Server, marks: Path) -> None:
    (marks / "go").touch()
    text = "one two wait four"
    asked = ask(text) | {"speed": 2.0, "stream_format": "sse"}
    with server.client.stream("POST", "/v1/audio/speech", json=asked) as answer:
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    heard = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert len(heard) == len(said(*text.split())) // 2
    assert heard == server.client.post("/v1/audio/speech", json=ask(text) | {"speed": 2.0}).content


def test_it_is_heard_over_the_socket(server: Server, marks: Path) -> None:
    with session(server.port, model="gradual", sample_rate=16000, stream_audio=True) as socket:
        say(socket, "one two wait four.", {"type": "input.done"})
        assert hear(socket, "audio.start")
        heard = b""
        while len(heard) < len(said("one", "two")):
            heard += cast(bytes, socket.recv(timeout=PATIENCE))
        assert heard == said("one", "two")
        (marks / "go").touch()
        rest = hear(socket, "session.done")
    assert heard + b"".join(part for part in rest if isinstance(part, bytes)) == said("one", "two", "wait", "four.")
