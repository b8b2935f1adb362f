"""Pauses and SSML through the whole server: they are heard as silence, tempo and other words, and never spoken."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.engines.tone import SAMPLE_RATE, seconds_of
from tests.conftest import Server


def segments(server: Server, text: str, **body: Any) -> list[dict[str, Any]]:
    made = server.client.post("/v1/jobs", json={"input": text, **body}).json()
    job = server.wait_job(made["id"])
    assert job["status"] == "succeeded", job
    found: list[dict[str, Any]] = server.client.get(f"/v1/jobs/{job['id']}/subtitles.json").json()["segments"]
    return found


def test_a_pause_is_silence_of_that_length(tone: Server) -> None:
    first, second = segments(tone, "[pause 250ms]Wait for it. [pause 1.5s] Now!")
    assert [first["text"], second["text"]] == ["Wait for it.", "Now!"]
    assert first["start"] == pytest.approx(0.25, abs=0.002)
    assert second["start"] - first["end"] == pytest.approx(1.5, abs=0.002)
    pcm = tone.client.post(
        "/v1/audio/speech", json={"input": "[pause 250ms]Wait for it. [pause 1.5s] Now!", "response_format": "pcm"}
    ).content
    assert not any(pcm[: 2 * SAMPLE_RATE // 4])
    assert len(pcm) == 2 * round(SAMPLE_RATE * (second["end"]))


def test_a_pause_is_as_long_however_quick_the_speech(tone: Server) -> None:
    first, second = segments(tone, "Wait. [pause 1s] Now!", speed=2.0)
    assert second["start"] - first["end"] == pytest.approx(1.0, abs=0.002)


def test_ssml(tone: Server) -> None:
    text = (
        "<speak>Hello.<break time='700ms'/><prosody rate='50%'>Slowly now.</prosody>"
        "<p>Call <say-as interpret-as='digits'>112</say-as>, <sub alias='please'>pls</sub>.</p></speak>"
    )
    hello, slowly, call = segments(tone, text)
    assert [hello["text"], slowly["text"], call["text"]] == ["Hello.", "Slowly now.", "Call 1 1 2 , please."]
    assert slowly["start"] - hello["end"] == pytest.approx(0.7, abs=0.002)
    assert slowly["end"] - slowly["start"] == pytest.approx(seconds_of("Slowly now.", 0.5), abs=0.01)


def test_ssml_can_be_turned_off_and_insisted_on(tone: Server) -> None:
    (only,) = segments(tone, "<speak>Hello.</speak>", ssml=False)
    assert "speak" in only["text"]
    answer = tone.client.post("/v1/audio/speech", json={"input": "Hello.", "ssml": True})
    assert answer.status_code == 400
    assert "<speak>" in answer.json()["error"]["message"]
    answer = tone.client.post("/v1/audio/speech", json={"input": "<speak><audio src='file:///etc/passwd'/></speak>"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "text"


def test_only_pauses_are_nothing_to_say(tone: Server) -> None:
    answer = tone.client.post("/v1/audio/speech", json={"input": "[pause 1s]"})
    assert answer.status_code == 400
    assert "nothing to say" in answer.json()["error"]["message"]


def test_marks_survive_a_restart_and_a_retry_of_one_segment(tone: Server) -> None:
    made = tone.client.post("/v1/jobs", json={"input": "One. [pause 1s] Two."}).json()
    job = tone.wait_job(made["id"])
    again = tone.client.post(f"/v1/jobs/{job['id']}/units/1/retry")
    assert again.status_code == 202
    assert tone.wait_job(job["id"])["units"]["total"] == 2
