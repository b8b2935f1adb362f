"""Bad input gets a clear error and loses nothing."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.conftest import Server, wait_until

TTS: list[tuple[str, Any, int, str]] = [
    ("empty", {"text": "", "emotion": "happy"}, 400, "Text must be 1-500 characters"),
    ("blank", {"text": " \n\t ", "emotion": "happy"}, 400, "Text must be 1-500 characters"),
    ("501 characters", {"text": "a" * 501}, 400, "Text must be 1-500 characters"),
    ("only controls", {"text": "\u0000\u0001\u001b\u200b"}, 400, "Text must be 1-500 characters"),
    ("punctuation", {"text": "?!… —"}, 400, "nothing to say"),
    ("emoji", {"text": "😀🎉"}, 400, "Text"),
    ("no text", {"emotion": "happy"}, 400, "'text' is missing"),
    ("text a number", {"text": 5}, 400, "text"),
    ("text null", {"text": None}, 400, "text"),
    ("text a list", {"text": ["a"]}, 400, "text"),
    ("emotion unknown", {"text": "Hi", "emotion": "bored"}, 400, "Invalid emotion type"),
    ("emotion a number", {"text": "Hi", "emotion": 1}, 400, "emotion"),
    ("emotion a path", {"text": "Hi", "emotion": "../../x"}, 400, "Invalid emotion type"),
    ("voice unknown", {"text": "Hi", "voice": "nobody"}, 400, "no voice"),
    ("voice a path", {"text": "Hi", "voice": "../../etc/passwd"}, 400, "no voice"),
    ("model unknown", {"text": "Hi", "model": "gpt-9"}, 400, "not served"),
    ("model a path", {"text": "Hi", "model": "../kokoro"}, 400, "not served"),
    ("too slow", {"text": "Hi", "speed": 0.24}, 400, "speed must be between"),
    ("too fast", {"text": "Hi", "speed": 4.01}, 400, "speed must be between"),
    ("speed a text", {"text": "Hi", "speed": "fast"}, 400, "speed"),
    ("seed negative", {"text": "Hi", "seed": -1}, 400, "seed"),
    ("seed huge", {"text": "Hi", "seed": 2**40}, 400, "seed"),
    ("priority unknown", {"text": "Hi", "priority": "first"}, 400, "priority"),
    ("unknown field", {"text": "Hi", "txet": "Hi"}, 422, "txet"),
    ("a list", [1, 2], 400, "object"),
    ("a text", "Hi", 400, "object"),
]


@pytest.mark.parametrize(("name", "body", "status", "says"), TTS, ids=[case[0] for case in TTS])
def test_tts_refuses(tone: Server, name: str, body: Any, status: int, says: str) -> None:
    answer = tone.client.post("/tts", json=body)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]


RAW: list[tuple[str, bytes, int]] = [
    ("no body", b"", 400),
    ("no JSON", b"text=Hi", 400),
    ("half JSON", b'{"text": "Hi', 400),
    ("lone surrogate", b'{"text": "a\\ud800b", "emotion": "happy"}', 400),
    ("not UTF-8", b'{"text": "\xff\xfe"}', 400),
    ("NaN", b'{"text": "Hi", "speed": NaN}', 400),
    ("infinity", b'{"text": "Hi", "speed": 1e999}', 400),
    ("deep", b"[" * 50_000, 400),
    ("1 MB", b'{"text": "' + b"a" * 1_000_000 + b'"}', 413),
]


@pytest.mark.parametrize(("name", "raw", "status"), RAW, ids=[case[0] for case in RAW])
def test_tts_refuses_broken_bodies(tone: Server, name: str, raw: bytes, status: int) -> None:
    answer = tone.client.post("/tts", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


SPEECH: list[tuple[str, dict[str, Any], int, str]] = [
    ("empty", {"input": ""}, 400, "text"),
    ("punctuation", {"input": "..."}, 400, "text"),
    ("format", {"input": "Hi", "response_format": "midi"}, 400, "response_format"),
    ("speed", {"input": "Hi", "speed": 5}, 400, "speed"),
    ("voice", {"input": "Hi", "voice": "nobody"}, 400, "voice"),
    ("voice object", {"input": "Hi", "voice": {"id": "../x"}}, 400, "voice"),
    ("voice mix", {"input": "Hi", "voice": "a(2)+b"}, 400, "voice"),
    ("model", {"input": "Hi", "model": "gpt-9"}, 404, "model"),
    ("emotion", {"input": "Hi", "emotion": "bored"}, 400, "emotion"),
    ("weights", {"input": "Hi", "emotion": [1, 2]}, 400, "emotion"),
    ("weight range", {"input": "Hi", "emotion": {"happy": 9}}, 400, "emotion"),
    ("rate", {"input": "Hi", "sample_rate": 12345}, 400, "sample_rate"),
    ("clone", {"input": "Hi", "ref_audio": "data:audio/wav;base64,AAAA"}, 400, "ref_audio"),
    ("stream", {"input": "Hi", "stream_format": "tape"}, 400, "stream_format"),
]


@pytest.mark.parametrize(("name", "body", "status", "param"), SPEECH, ids=[case[0] for case in SPEECH])
@pytest.mark.parametrize("route", ["/v1/audio/speech", "/v1/jobs"])
def test_v1_refuses_with_openais_error(
    tone: Server, route: str, name: str, body: dict[str, Any], status: int, param: str
) -> None:
    if route == "/v1/jobs" and "stream_format" in body:
        status = 422
    answer = tone.client.post(route, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert error["message"]


def test_unknown_fields_are_ignored_on_openais_route_and_refused_on_ours(tone: Server) -> None:
    body = {"input": "Hi", "response_format": "wav", "some_new_field": 1}
    assert tone.client.post("/v1/audio/speech", json=body).status_code == 200
    refused = tone.client.post("/v1/jobs", json=body)
    assert refused.status_code == 422
    assert "some_new_field" in refused.json()["error"]["message"]


def test_control_characters_do_not_reach_the_engine(espeak: Server) -> None:
    """U+0001 starts a command in espeak; with the text cleaned both requests are the same recipe."""
    plain = espeak.client.post("/tts", json={"text": "One two three."})
    sly = espeak.client.post("/tts", json={"text": "One \u0001120Stwo three\u0000.".replace("120S", "")})
    assert plain.status_code == sly.status_code == 200
    assert sly.json()["cached"]


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/output"])
def test_unknown_paths(tone: Server, path: str) -> None:
    answer = tone.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_wrong_methods(tone: Server) -> None:
    assert tone.client.get("/tts").status_code == 405
    assert tone.client.put("/v1/jobs").status_code == 405


def test_after_all_that_the_server_still_speaks(tone: Server) -> None:
    assert tone.health()["status"] == "ok"
    assert tone.client.post("/tts", json={"text": "Still here."}).status_code == 200
    assert not [line for line in tone.lines() if "inside the server" in json.dumps(line)]


def test_a_client_that_leaves_in_its_own_sentence_is_no_error_of_ours(tone: Server) -> None:
    def refused() -> int:
        return sum(line.get("path") == "/tts" and line.get("status") == 400 for line in tone.lines())

    before = refused()
    head = b"POST /tts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", tone.port)) as client:
        client.sendall(head + b'{"text": "Half of')
    wait_until(lambda: refused() == before + 1, "it is logged as the client's")
    assert not [line for line in tone.lines() if "ClientDisconnect" in str(line)]
