"""Speech over a WebSocket: sound before the text is complete, in order, interrupted at once, and within its limits."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from antiphon.api.speech_ws import SessionLimits, routes
from antiphon.engines.tone import SAMPLE_RATE, frequency_of, pitch_of
from antiphon.reading.reader import read
from antiphon.speech.service import SpeechService
from antiphon.text.incremental import MAX_HELD
from tests.conftest import PATIENCE, Server, Start, wait_until

CONFIG = {"type": "session.config", "response_format": "pcm"}


@contextlib.contextmanager
def session(port: int, **config: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{port}/v1/audio/speech/stream", max_size=None, proxy=None) as socket:
        say(socket, {**CONFIG, **config})
        yield socket


def say(socket: ClientConnection, *messages: dict[str, Any] | str) -> None:
    """Messages, or texts of the utterance."""
    for message in messages:
        data = {"type": "input.text", "text": message} if isinstance(message, str) else message
        socket.send(json.dumps(data))


def hear(socket: ClientConnection, until: str) -> list[Any]:
    """Frames and messages up to the first message of that type."""
    heard: list[Any] = []
    while True:
        frame = socket.recv(timeout=PATIENCE)
        heard.append(frame if isinstance(frame, bytes) else json.loads(frame))
        if isinstance(heard[-1], dict) and heard[-1]["type"] == until:
            return heard


def idle(server: Server) -> bool:
    health = server.health()
    return (health["concurrent"], health["queued"]) == (0, 0)


DONE, CANCEL = {"type": "input.done"}, {"type": "input.cancel"}


def test_sound_comes_before_the_text_is_complete_and_in_order(tone: Server) -> None:
    sentences = ["The first of all the sentences.", "Then Dr. Smith says 3.14 twice.", "And this one is the end."]
    with session(tone.port, stream_audio=True) as socket:
        for token in f"{sentences[0]} {sentences[1][:4]}".split(" "):
            say(socket, token + " ")
        heard = hear(socket, "audio.done")
        assert isinstance(heard[1], bytes)
        say(socket, sentences[1][5:] + " ", sentences[2], DONE)
        heard += hear(socket, "session.done")
        assert heard[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 3, "cancelled": False}
        starts = [h for h in heard if isinstance(h, dict) and h["type"] == "audio.start"]
        assert [s["sentence_index"] for s in starts] == [0, 1, 2]
        assert all((s["format"], s["sample_rate"]) == ("pcm", SAMPLE_RATE) for s in starts)
        assert [s["sentence_text"] for s in starts] == sentences
        at = -1
        for start in starts:
            begin = heard.index(start, at + 1)
            at = next(i for i in range(begin, len(heard)) if isinstance(heard[i], dict) and i > begin)
            audio = b"".join(heard[begin + 1 : at])
            assert heard[at]["total_bytes"] == len(audio)
            assert pitch_of(audio, SAMPLE_RATE) == pytest.approx(
                frequency_of(read(start["sentence_text"], "en").text), abs=5
            )
        say(socket, "The connection stays.", DONE)
        assert hear(socket, "session.done")[0]["utterance_index"] == 1


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "flac", "aac"])
def test_every_sentence_is_a_whole_file(espeak: Server, form: str) -> None:
    with session(espeak.port, response_format=form) as socket:
        say(socket, "Good morning. It is a fine day.", DONE)
        frames = [h for h in hear(socket, "session.done") if isinstance(h, bytes)]
    assert len(frames) == 2
    for frame in frames:
        assert frame[:4] in (b"RIFF", b"OggS", b"fLaC") or form in ("mp3", "aac")
        assert len(frame) > 1000


def test_barge_in_stops_at_once_and_frees_the_queue(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "3600"})
    with session(server.port) as socket:
        say(socket, "The first sentence is long. The second one waits. The third one too. And", DONE, "Another one.")
        assert hear(socket, "audio.start")[0]["sentence_index"] == 0
        wait_until(lambda: server.health()["concurrent"] == 1, "the first sentence runs")
        say(socket, CANCEL)
        heard = hear(socket, "audio.done")
        assert len(heard) == 1
        assert (heard[0]["cancelled"], heard[0]["total_bytes"], heard[0]["error"]) == (True, 0, None)
        # Nothing is told of the sentences that were dropped.
        ends = [hear(socket, "session.done") for _ in range(2)]
        assert [(len(end), end[-1]["cancelled"]) for end in ends] == [(1, True), (1, True)]
        wait_until(lambda: idle(server), "the queue is free")
        say(socket, "New words are heard.", DONE)
        start = hear(socket, "audio.start")[0]
        assert (start["utterance_index"], start["sentence_text"]) == (2, "New words are heard.")


def test_a_disconnect_frees_its_place(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "3600"})
    with session(server.port) as socket:
        say(socket, "The first sentence is long. The second one waits. The third one too. And")
        wait_until(lambda: server.health()["concurrent"] == 1 and server.health()["queued"], "work is queued")
    wait_until(lambda: idle(server), "the queue is free")


def test_mistakes_are_answered_and_the_connection_stays(tone: Server) -> None:
    with connect(f"ws://127.0.0.1:{tone.port}/v1/audio/speech/stream", proxy=None) as socket:

        def error(message: str) -> str:
            socket.send(message)
            return str(hear(socket, "error")[-1]["message"])

        assert "session.config" in error('{"type": "input.text", "text": "Too early."}')
        assert "JSON" in error("{")
        assert "type" in error("{}")
        assert "response_format" in error('{"type": "session.config", "response_format": "gif"}')
        assert "split_granularity" in error('{"type": "session.config", "split_granularity": "word"}')
        say(socket, CONFIG)
        assert "input.shout" in error('{"type": "input.shout"}')
        assert "text" in error('{"type": "input.text"}')
        assert str(MAX_HELD) in error(json.dumps({"type": "input.text", "text": "é" * (MAX_HELD // 2 + 1)}))
        say(socket, "a" * MAX_HELD)
        assert "wait" in error('{"type": "input.text", "text": "b"}')
        say(socket, CANCEL, "It goes on.")
        assert "input.done" in error(json.dumps(CONFIG))
        say(socket, DONE)
        assert hear(socket, "audio.start")[-1]["sentence_text"] == "It goes on."
        hear(socket, "session.done")
        say(socket, {"type": "session.close"})
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


def test_a_voice_that_does_not_exist_is_the_sentences_error(tone: Server) -> None:
    with session(tone.port, voice="nobody") as socket:
        say(socket, "Who speaks?", DONE)
        done = hear(socket, "audio.done")[0]
        assert "voice" in done["error"]
        assert hear(socket, "session.done")[0]["total_sentences"] == 1


def test_a_message_of_more_than_4_mib_ends_the_connection(tone: Server) -> None:
    with session(tone.port) as socket:
        # In fragments, the last of which is too much: whoever still sends when the server closes hears no reason.
        with contextlib.suppress(ConnectionClosed):
            socket.send(["a" * 2**18] * 16 + ["a"])
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.fixture
def hasty() -> Iterator[int]:
    """The port of a server with short limits of time; nothing is spoken there."""
    app = FastAPI()
    app.include_router(routes(cast(SpeechService, _Nothing()), SessionLimits(config=0.2, idle=0.4)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, "the server listens")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


class _Nothing:
    """No service: whoever is too slow never gets that far."""

    jobs = None


@pytest.mark.parametrize(("configured", "message"), [(False, "session.config"), (True, "No message")])
def test_silence_ends_the_connection(hasty: int, configured: bool, message: str) -> None:
    with connect(f"ws://127.0.0.1:{hasty}/v1/audio/speech/stream", proxy=None) as socket:
        if configured:
            say(socket, CONFIG)
        assert message in hear(socket, "error")[0]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
