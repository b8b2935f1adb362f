"""POST /v1/audio/speech: every format, streamed as it is made."""

from __future__ import annotations

import base64
import json
import time

import pytest

from antiphon.audio import codec
from tests.conftest import Server, Start

TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip
LONG = " ".join(f"This is sentence number {n} of a text that is spoken in several segments." for n in range(12))


@pytest.mark.parametrize("fmt", TYPES)
@pytest.mark.parametrize("text", ["Short.", LONG], ids=["short", "long"])
def test_every_format_decodes_to_the_right_length(tone: Server, fmt: str, text: str) -> None:
    body = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": fmt}
    answer = tone.client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == TYPES[fmt]
    wav = tone.client.post("/v1/audio/speech", json={**body, "response_format": "wav"}).content
    expected = seconds(wav, "wav")
    assert seconds(answer.content, fmt) == pytest.approx(expected, abs=0.15)


def seconds(audio: bytes, fmt: str) -> float:
    if fmt == "pcm":
        return len(audio) / 2 / 24000
    pcm, rate = codec.decode(audio)
    return len(pcm) / 2 / rate


def test_mp3_is_the_default(tone: Server) -> None:
    answer = tone.client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hello.", "voice": "nova"})
    assert answer.headers["content-type"] == "audio/mpeg"


def test_pcm_is_24_khz(tone: Server) -> None:
    body = {"input": "Hello.", "response_format": "pcm", "sample_rate": 48000}
    double = tone.client.post("/v1/audio/speech", json=body).content
    plain = tone.client.post("/v1/audio/speech", json={**body, "sample_rate": None}).content
    assert len(double) == pytest.approx(2 * len(plain), rel=0.01)


def test_the_first_part_comes_while_the_rest_is_being_made(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.3"})
    body = {"input": LONG, "response_format": "wav"}
    began = time.monotonic()
    with server.client.stream("POST", "/v1/audio/speech", json=body) as answer:
        parts = answer.iter_bytes()
        next(parts)
        first = time.monotonic() - began
        rest = b"".join(parts)
    whole = time.monotonic() - began
    assert rest
    assert first < whole / 2


def test_sse_carries_the_same_audio(tone: Server) -> None:
    body = {"input": LONG, "response_format": "pcm", "stream_format": "sse"}
    answer = tone.client.post("/v1/audio/speech", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [e["type"] for e in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] == sum(
        events[-1]["usage"][name] for name in ("input_tokens", "output_tokens")
    )
    audio = b"".join(base64.b64decode(e["audio"]) for e in events[:-1])
    assert audio == tone.client.post("/v1/audio/speech", json={**body, "stream_format": "audio"}).content


def test_headers_say_what_happened(tone: Server) -> None:
    body = {"input": "What do the headers say?", "response_format": "wav"}
    first = tone.client.post("/v1/audio/speech", json=body)
    second = tone.client.post("/v1/audio/speech", json=body)
    assert first.headers["x-cache"] == "miss"
    assert second.headers["x-cache"] == "hit"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "synthesis;dur=" in first.headers["server-timing"]
    job = tone.job(first.headers["x-job-id"])
    assert job["status"] == "succeeded"
    partial = tone.client.post("/v1/audio/speech", json={**body, "input": f"What do the headers say? {LONG}"})
    assert partial.headers["x-cache"] in ("partial", "miss")


def test_cache_control_is_obeyed(tone: Server) -> None:
    body = {"input": "Make it anew, please.", "response_format": "wav"}
    tone.client.post("/v1/audio/speech", json=body)
    again = tone.client.post("/v1/audio/speech", json=body, headers={"Cache-Control": "no-cache"})
    assert again.headers["x-cache"] == "miss"
    secret = {**body, "input": "Keep nothing of this."}
    tone.client.post("/v1/audio/speech", json=secret, headers={"Cache-Control": "no-store"})
    assert tone.client.post("/v1/audio/speech", json=secret).headers["x-cache"] == "miss"


def test_what_the_model_cannot_do_is_said(espeak: Server) -> None:
    body = {"input": "Bonjour tout le monde.", "response_format": "wav", "instructions": "like a pirate"}
    answer = espeak.client.post("/v1/audio/speech", json=body)
    assert "no mood was found in instructions" in answer.headers["warning"]
    chinese = espeak.client.post("/v1/audio/speech", json={"input": "你好，世界。", "model": "espeak"})
    assert "does not speak language zh" in chinese.headers["warning"]


def test_a_language_nobody_speaks_is_refused(espeak: Server) -> None:
    answer = espeak.client.post("/v1/audio/speech", json={"input": "你好，世界。"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_language"


@pytest.mark.parametrize("voice", ["alloy", "onyx", "shimmer", "verse", "marin", {"id": "cedar"}])
def test_openais_voices_work_everywhere(espeak: Server, voice: object) -> None:
    body = {"model": "gpt-4o-mini-tts", "input": "Any voice will do.", "voice": voice, "response_format": "wav"}
    assert espeak.client.post("/v1/audio/speech", json=body).status_code == 200


def test_speed_changes_the_length(espeak: Server) -> None:
    lengths = {}
    for speed in (0.25, 0.5, 1.0, 2.0, 4.0):
        body = {"input": "How fast can this be said by anybody?", "response_format": "wav", "speed": speed}
        lengths[speed] = seconds(espeak.client.post("/v1/audio/speech", json=body).content, "wav")
    ratios = [lengths[1.0] / lengths[s] / s for s in lengths]
    assert all(0.7 < r < 1.4 for r in ratios), lengths


def test_voices_and_models_are_listed(espeak: Server) -> None:
    voices = espeak.client.get("/v1/audio/voices").json()["voices"]
    assert {"id", "name", "model", "languages", "gender"} <= set(voices[0])
    models = espeak.client.get("/v1/models").json()
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "espeak"
    assert models["data"][0]["object"] == "model"
