"""Dialogues: turns of voice and text, one audio, subtitles that name who speaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from antiphon.audio import wav
from antiphon.engines.tone import SAMPLE_RATE, frequency_of, seconds_of
from antiphon.speech.plan import TURN_PAUSE
from tests.conftest import Server

TURNS = [
    {"voice": "low", "text": "Good morning.", "speaker": "Anna"},
    {"voice": "high", "text": "Is it? I have not slept.", "emotion": "sad", "speed": 0.5},
    {"text": "早上好。"},
]


def pitch(audio: bytes, start: float, end: float) -> float:
    """Hz of a stretch of mono PCM, from its middle."""
    samples = np.frombuffer(audio, np.int16)[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


def heard(audio: bytes, segment: dict[str, Any], expected: float) -> bool:
    return abs(pitch(audio, segment["start"], segment["end"]) - expected) < 12


def job(server: Server, **body: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return server.wait_job(answer.json()["id"])


def test_every_turn_has_its_voice_its_mood_and_its_speed(tone: Server) -> None:
    done = job(tone, turns=TURNS, voice="tone")
    assert done["status"] == "succeeded"
    audio, rate = wav.read(tone.client.get(done["result"]["path"]).content)
    assert rate == SAMPLE_RATE
    first, second, third = tone.client.get(f"/v1/jobs/{done['id']}/subtitles.json").json()["segments"]
    assert [s["text"] for s in (first, second, third)] == [turn["text"] for turn in TURNS]
    assert [s["speaker"] for s in (first, second, third)] == ["Anna", "high", "tone"]
    assert heard(audio, first, frequency_of("Good morning.", voice="low"))
    assert heard(audio, second, frequency_of(TURNS[1]["text"], voice="high", emotion={"sad": 1.0}))
    assert heard(audio, third, frequency_of("早上好。"))
    assert second["end"] - second["start"] == pytest.approx(seconds_of(TURNS[1]["text"], 0.5), abs=0.01)
    assert second["start"] - first["end"] == pytest.approx(TURN_PAUSE, abs=0.01)


def test_subtitles_name_who_speaks(tone: Server) -> None:
    done = job(tone, turns=[{"text": "Hello <c>.", "speaker": "A & B"}, {"text": "Hello yourself.", "voice": "high"}])
    vtt = tone.client.get(f"/v1/jobs/{done['id']}/subtitles.vtt").text
    srt = tone.client.get(f"/v1/jobs/{done['id']}/subtitles.srt").text
    assert "<v A &amp; B>Hello &lt;c&gt;." in vtt
    assert "<v high>Hello yourself." in vtt
    assert "A & B: Hello <c>." in srt


def test_it_answers_while_the_caller_waits(tone: Server) -> None:
    body = {"turns": TURNS, "response_format": "wav"}
    answer = tone.client.post("/v1/audio/dialogue", json=body)
    assert answer.status_code == 200
    audio, _ = wav.read(answer.content)
    again = tone.client.post("/v1/audio/dialogue", json={**body, "response_format": "pcm"})
    assert again.headers["x-cache"] == "hit"
    assert again.content == audio


def test_a_repeated_turn_is_made_once(tone: Server) -> None:
    done = job(tone, turns=[{"text": "Yes, again."}, {"text": "No."}, {"text": "Yes, again."}])
    assert done["units"]["total"] == 3
    more = job(tone, turns=[{"text": "Yes, again."}, {"text": "Something else."}])
    assert more["units"]["cached"] == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"turns": []}, "turns"),
        ({"turns": [{"text": "Hi"}, {"text": " "}]}, "turns.1.text"),
        ({"turns": [{"text": "Hi", "speed": 9}]}, "turns.0.speed"),
        ({"turns": [{"text": "Hi", "voice": "nobody"}]}, "voice"),
        ({"turns": [{"text": "Hi", "voice": "ref:" + "a" * 64}]}, "turns.0.voice"),
        ({"turns": [{"text": "Hi", "who": "me"}]}, "turns.0.who"),
        ({"turns": [{"text": "Hi", "emotion": "bored"}]}, "turns.0.emotion"),
        ({"turns": [{"text": "Hi"}] * 1001}, "turns"),
    ],
)
def test_refusals_name_the_turn(tone: Server, body: dict[str, Any], param: str) -> None:
    answer = tone.client.post("/v1/audio/dialogue", json=body)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["param"] == param


def test_a_job_has_a_text_or_a_dialogue(tone: Server) -> None:
    for body in ({}, {"input": "Hi", "turns": TURNS}):
        answer = tone.client.post("/v1/jobs", json=body)
        assert answer.status_code == 400
        assert "either input" in answer.json()["error"]["message"]
