"""Clients of other servers: vLLM-Omni's batch, Kokoro-FastAPI's captions, index-tts-vllm's /tts_url."""

from __future__ import annotations

import base64
import io
import itertools
import wave
from typing import Any

import pytest

from antiphon.api.compat import word_times
from antiphon.engines.tone import SAMPLE_RATE, frequency_of, pitch_of
from tests.conftest import Server

BATCH, CAPTIONED, TTS_URL = "/v1/audio/speech/batch", "/dev/captioned_speech", "/tts_url"


def heard(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        return pitch_of(file.readframes(file.getnframes()), SAMPLE_RATE)


def test_a_batch_has_an_outcome_for_each_item(tone: Server) -> None:
    items: list[dict[str, Any]] = [
        {"input": "The first item."},
        {"input": "Nobody says this.", "voice": "nobody"},
        {"input": "?!"},
        {"text": "No input."},
        {"input": "Deep down.", "voice": "low", "response_format": "mp3"},
    ]
    answer = tone.client.post(BATCH, json={"items": items, "response_format": "wav", "voice": "tone"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["total"], body["succeeded"], body["failed"]) == (5, 2, 3)
    results = body["results"]
    assert [r["index"] for r in results] == list(range(5))
    assert [r["status"] for r in results] == ["success", "error", "error", "error", "success"]
    first = base64.b64decode(results[0]["audio_data"])
    assert heard(first) == pytest.approx(frequency_of("The first item."), abs=5)
    assert results[0]["usage"]["input_tokens"] == len("The first item.")
    assert results[0]["usage"]["output_tokens"] > 0
    assert [r["media_type"] for r in results] == ["audio/wav", None, None, None, "audio/mpeg"]
    assert all(r["error"] and r["audio_data"] is None for r in results[1:4])
    assert "input" in results[3]["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"items": []}, "items"),
        ({"items": [{"input": "One."}] * 33}, "items"),
        ({"items": [{"input": "a" * 6000}] * 2}, "10000"),
        ({}, "items"),
        ({"items": ["One."]}, "items"),
    ],
)
def test_a_batch_is_bounded(tone: Server, body: dict[str, Any], words: str) -> None:
    answer = tone.client.post(BATCH, json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_captions_cover_the_audio(tone: Server) -> None:
    text = "Good morning, everybody. 今天很好。"
    answer = tone.client.post(
        CAPTIONED, json={"input": text, "voice": "tone", "response_format": "wav", "lang_code": "a"}
    )
    assert answer.status_code == 200
    body = answer.json()
    with wave.open(io.BytesIO(base64.b64decode(body["audio"]))) as file:
        seconds = file.getnframes() / SAMPLE_RATE
    times = body["timestamps"]
    assert body["audio_format"] == "wav"
    assert [t["word"] for t in times] == ["Good", "morning,", "everybody.", "今", "天", "很", "好。"]
    assert times[0]["start_time"] == 0
    assert all(t["start_time"] < t["end_time"] for t in times)
    assert all(a["end_time"] <= b["start_time"] + 0.001 for a, b in itertools.pairwise(times))
    assert times[-1]["end_time"] == pytest.approx(seconds, abs=0.01)
    without = tone.client.post(CAPTIONED, json={"input": text, "return_timestamps": False}).json()
    assert (without["timestamps"], without["audio_format"]) == (None, "mp3")


def test_words_are_spread_by_their_length_inside_their_segment() -> None:
    times = word_times([{"text": "aa bbbb", "start": 1.0, "end": 2.2}, {"text": "你好", "start": 3.0, "end": 4.0}])
    assert times == [
        {"word": "aa", "start_time": 1.0, "end_time": 1.4},
        {"word": "bbbb", "start_time": 1.4, "end_time": 2.2},
        {"word": "你", "start_time": 3.0, "end_time": 3.5},
        {"word": "好", "start_time": 3.5, "end_time": 4.0},
    ]


def test_an_index_tts_client_gets_its_emotion(tone: Server) -> None:
    body = {"text": "What a day this is.", "spk_audio_path": "low", "emo_control_method": 2, "emo_weight": 0.5}
    vector = [0.0, 0, 1.0, 0, 0, 0, 0.4, 0]
    answer = tone.client.post(TTS_URL, json={**body, "emo_vec": vector, "emo_random": False, "anything": 1})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert "warning" not in answer.headers
    wanted = frequency_of(body["text"], voice="low", emotion={"sad": 0.5, "surprised": 0.2})
    assert heard(answer.content) == pytest.approx(wanted, abs=5)
    plain = tone.client.post(TTS_URL, json={**body, "emo_vec": vector, "emo_control_method": 0})
    assert heard(plain.content) == pytest.approx(frequency_of(body["text"], voice="low"), abs=5)


def test_what_the_model_cannot_do_is_a_warning(espeak: Server) -> None:
    body = {"text": "What a day.", "spk_audio_path": "alloy", "emo_control_method": 3, "emo_text": "I am afraid."}
    answer = espeak.client.post(TTS_URL, json={**body, "emo_random": True, "max_text_tokens_per_sentence": 40})
    assert answer.status_code == 200
    for words in ("emo_random", "max_text_tokens_per_sentence", "emotion"):
        assert words in answer.headers["warning"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"emo_control_method": 2, "emo_vec": [0.8, 0.8, 0, 0, 0, 0, 0, 0]}, "1.5"),
        ({"emo_control_method": 2, "emo_vec": [0.1, 0.2]}, "emo_vec"),
        ({"emo_control_method": 1}, "emo_ref_path"),
        ({"emo_control_method": 4}, "emo_control_method"),
        ({"emo_weight": 7}, "emo_weight"),
        ({"spk_audio_path": "/etc/passwd"}, "voice"),
        ({"spk_audio_path": "ref:00"}, "voice"),
        ({"text": "a" * 20_001}, "20000"),
        ({"text": " "}, "Text"),
    ],
)
def test_mistakes_are_named(tone: Server, change: dict[str, Any], words: str) -> None:
    answer = tone.client.post(TTS_URL, json={"text": "Hello.", "spk_audio_path": "tone", **change})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
