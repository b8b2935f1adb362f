"""P24: what a model cannot say costs nothing else: left out with a warning, or refused where nothing else is there.

`late` says so when a text is due, `early` tells its alphabet beforehand, `old` was written before there was a word for it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from antiphon.audio import wav
from tests import ear, plugins
from tests.conftest import Server, launch
from tests.e2e.test_speech_ws import hear, say

PICKY = Path(plugins.__file__).parent / "picky_engines.py"
MODELS = ("late", "early", "old", "espeak")
#: Those that tell beforehand what they have no sound for, so that the first answer says what is left out.
EARLY = ("early", "espeak")
#: Paragraphs, so that each is a segment of its own.
TEXT = "Before it.\n\n①\n\nAfter it."
#: Longer than a request that is answered in one piece.
BOOK = "①\n\n" + "\n\n".join(f"Paragraph {number} of the book has some words.\n\n②③" for number in range(8))
NOTHING = "① ②\n\n③"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    engines = {"late": "Late", "early": "Early", "old": "Old"}
    env = plugins.installed(tmp_path_factory.mktemp("site"), PICKY, engines)
    models = [part for name in MODELS for part in ("--model", name)]
    server = launch(tmp_path_factory.mktemp("nothing"), *models, "--workers", "1", env=env)
    server.wait_whole()
    yield server
    lines = server.lines()
    server.stop()
    assert not [line for line in lines if line.get("level") in ("error", "critical")]


def raw(model: str) -> dict[str, Any]:
    """Fields that ask a model for its own samples."""
    return {"model": model, "response_format": "pcm", "sample_rate": 22050 if model == "espeak" else 24000}


def without(server: Server, model: str) -> bytes:
    """The audio of `TEXT` without what cannot be said."""
    body = {"input": "Before it.\n\nAfter it.", **raw(model)}
    return server.client.post("/v1/audio/speech", json=body).content


def silence_between(audio: bytes, plain: bytes) -> bool:
    """Whether the audio is the plain one with more silence in the middle."""
    return len(audio) > len(plain) and audio.replace(b"\0\0", b"") == plain.replace(b"\0\0", b"")


@pytest.mark.parametrize("model", MODELS)
def test_a_longer_text_is_spoken_without_it(server: Server, model: str) -> None:
    body = {"input": TEXT, **raw(model)}
    answer = server.client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200
    assert silence_between(answer.content, without(server, model))
    assert model not in EARLY or "left out" in answer.headers["warning"]
    # The gap is not kept: another version of the model may say it.
    assert server.client.post("/v1/audio/speech", json=body).content == answer.content


@pytest.mark.parametrize("model", MODELS)
def test_the_articles_route(server: Server, model: str) -> None:
    answer = server.client.post("/tts", json={"text": TEXT, "model": model})
    assert answer.status_code == 200
    assert "①" in answer.json()["warnings"][0]
    refused = server.client.post("/tts", json={"text": NOTHING, "model": model})
    assert refused.status_code == 400
    assert "sound" in refused.json()["error"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", [{"response_format": "mp3"}, {"response_format": "pcm", "stream_format": "sse"}])
def test_a_stream_goes_on(server: Server, model: str, form: dict[str, str]) -> None:
    answer = server.client.post("/v1/audio/speech", json={"input": BOOK, "model": model, **form})
    assert answer.status_code == 200
    assert "left out" in answer.headers["warning"], "the first of it is known before the headers are sent"
    if "stream_format" in form:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
        assert events[-1]["type"] == "speech.audio.done"
        assert any("left out" in warning for warning in events[-1]["warnings"])
        assert sum(len(base64.b64decode(event["audio"])) for event in events[:-1]) > 100_000
    else:
        assert len(answer.content) > 10_000


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", [{}, {"stream_format": "sse"}, {"response_format": "flac"}])
def test_where_nothing_else_is_there_it_is_refused_before_any_sound(
    server: Server, model: str, form: dict[str, str]
) -> None:
    for text in ("①", NOTHING, "①\n\n" * 100):
        answer = server.client.post("/v1/audio/speech", json={"input": text, "model": model, **form})
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["param"]) in (("nothing_to_say", "text"), ("invalid_text", "text"))


@pytest.mark.parametrize("model", MODELS)
def test_a_dialogue_goes_on(server: Server, model: str) -> None:
    turns = [{"text": "Before it."}, {"text": "①", "speaker": "Nobody"}, {"text": "After it."}]
    answer = server.client.post("/v1/audio/dialogue", json={"turns": turns, "language": "en", **raw(model)})
    assert answer.status_code == 200
    assert silence_between(answer.content, without(server, model))
    assert model not in EARLY or "left out" in answer.headers["warning"]
    alone = {"turns": [{"text": "①"}, {"text": "②"}], "model": model}
    assert server.client.post("/v1/audio/dialogue", json=alone).status_code == 400


def test_a_turn_in_a_language_that_the_model_does_not_read(server: Server) -> None:
    turns = [{"text": "Hello, all of you."}, {"text": "こんにちは"}, {"text": "Good bye, all of you."}]
    answer = server.client.post("/v1/audio/dialogue", json={"turns": turns, "model": "early", "response_format": "pcm"})
    assert answer.status_code == 200
    assert "does not speak 'ja'" in answer.headers["warning"]


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_goes_on(server: Server, model: str) -> None:
    items = [{"input": "One."}, {"input": "①"}, {"input": TEXT}]
    answer = server.client.post("/v1/audio/speech/batch", json={"items": items, "model": model})
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["success", "error", "success"]
    assert "no sound" in results[1]["error"]
    assert any("left out" in warning for warning in results[2]["warnings"])


@pytest.mark.parametrize("model", MODELS)
def test_a_job_is_done_without_it(server: Server, model: str) -> None:
    job = server.client.post("/v1/jobs", json={"input": TEXT, "model": model}).json()
    done = server.wait_job(job["id"])
    assert done["status"] == "succeeded"
    audio, _ = wav.read(server.client.get(done["result"]["path"]).content)
    assert silence_between(audio, without(server, model))
    status = server.client.get("/status", params={"id": job["id"]}).json()
    assert "①" in status["warnings"][0]
    assert status["warnings"] == done["warnings"]
    with server.client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
        told = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    assert told[-1]["type"] == "job.succeeded"
    assert told[-1]["warnings"] == done["warnings"]
    subtitles = server.client.get(f"/v1/jobs/{job['id']}/subtitles.srt").text
    assert "After it." in subtitles
    assert "①" not in subtitles


@pytest.mark.parametrize("model", MODELS)
def test_a_listener_of_a_job_hears_the_rest(server: Server, model: str) -> None:
    job = server.client.post("/v1/jobs", json={"input": f"{BOOK}\n\n{model}", "model": model, "response_format": "pcm"})
    heard = server.client.get(f"/v1/jobs/{job.json()['id']}/result?wait=true")
    assert heard.status_code == 200
    done = server.wait_job(job.json()["id"])
    assert heard.content == server.client.get(done["result"]["path"]).content


@pytest.mark.parametrize("model", MODELS)
def test_a_job_of_nothing_else_is_refused_or_fails_with_the_reason(server: Server, model: str) -> None:
    answer = server.client.post("/v1/jobs", json={"input": NOTHING, "model": model})
    if model in EARLY:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "text")
        return
    done = server.wait_job(answer.json()["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "nothing_to_say")
    assert done["attempts"] == 1


@pytest.mark.parametrize("model", MODELS)
def test_with_a_key_it_is_the_same(server: Server, model: str) -> None:
    for text, status in ((TEXT, 200), (NOTHING, 400)):
        headers = {"Idempotency-Key": f"{model} {status}"}
        for _ in range(2):
            answer = server.client.post("/v1/audio/speech", json={"input": text, "model": model}, headers=headers)
            assert answer.status_code == status
            assert status == 400 or "left out" in answer.headers["warning"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_conversation_goes_on(server: Server, model: str, streamed: bool) -> None:
    config = {"type": "session.config", "response_format": "pcm", "model": model, "stream_audio": streamed}
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream", max_size=None, proxy=None) as socket:
        say(socket, config, "Before it.\n", "①\n", "After it.\n", {"type": "input.done"})
        heard = hear(socket, "session.done")
        ended = [message for message in heard if isinstance(message, dict) and message["type"] == "audio.done"]
        assert [message["error"] for message in ended] == [None] * len(ended)
        assert sum("①" in warning for message in ended for warning in message["warnings"]) == 1
        spoken = [message for message in ended if message["total_bytes"]]
        assert len(spoken) == len(ended) - 1
        assert ended[-1]["total_bytes"]


def test_no_worker_is_lost_to_it_and_nothing_is_tried_twice(server: Server) -> None:
    assert all(worker["restarts"] == 0 for worker in server.workers())


@pytest.mark.models
def test_kokoro(tmp_path: Path) -> None:
    folder = str(ear.model("kokoro").parent)
    server = launch(
        tmp_path, "--model", "kokoro", "--workers", "1", "--models-dir", folder, "--no-download", ready=False
    )
    try:
        server.wait_ready("kokoro", 120)
        answer = server.client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"})
        assert (answer.status_code, "left out" in answer.headers["warning"]) == (200, True)
        for path, body in {
            "/tts": {"text": "①"},
            "/v1/audio/speech": {"input": "①"},
            "/v1/jobs": {"input": "①"},
        }.items():
            refused = server.client.post(path, json=body)
            assert refused.status_code == 400, refused.text
        # Letters that it does not tell beforehand.
        late = server.client.post("/v1/audio/speech", json={"input": "Before it.\n\nᎠᎡ\n\nAfter it.", "language": "en"})
        assert (late.status_code, "left out" in late.headers["warning"]) == (200, True)
        assert server.client.post("/tts", json={"text": "Ꭰ", "model": "kokoro"}).status_code == 400
        turns = [{"text": "Hello."}, {"text": "①"}, {"text": "こんにちは。"}, {"text": "Good bye."}]
        dialogue = server.client.post("/v1/audio/dialogue", json={"turns": turns, "response_format": "pcm"})
        assert (dialogue.status_code, len(dialogue.content) > 50_000) == (200, True)
        japanese = server.client.post("/v1/audio/speech", json={"input": "こんにちは。", "voice": "jf_alpha"})
        assert japanese.status_code == 200, "a voice that is listed speaks its own language"
    finally:
        server.stop()
