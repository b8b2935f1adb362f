"""Reading through the whole server: what is said, what people see, and how it is switched off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.tone import seconds_of
from tests.conftest import Server, wait_until
from tests.e2e.test_cli import antiphon
from tests.e2e.test_marks import segments

TEXT = "**It** cost $100 at 9:30PM.[12] *sighs*"
SEEN, SAID = "It cost $100 at 9:30PM.", "It cost one hundred dollars at nine thirty P M."


def read(server: Server, text: str, **body: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/audio/reading", json={"input": text, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_job_says_what_is_meant_and_shows_what_is_written(tone: Server) -> None:
    (only,) = segments(tone, TEXT)
    assert (only["text"], only["reading"]) == (SEEN, SAID)
    assert only["end"] - only["start"] == pytest.approx(seconds_of(SAID), abs=0.01)
    (off,) = segments(tone, TEXT, reading="off")
    assert off["text"] == TEXT
    assert "reading" not in off


def test_turns_of_a_dialogue_are_read(tone: Server) -> None:
    made = tone.client.post("/v1/jobs", json={"turns": [{"text": TEXT}, {"text": "- *Yes*, No. 5."}]}).json()
    assert tone.wait_job(made["id"])["status"] == "succeeded"
    found = tone.client.get(f"/v1/jobs/{made['id']}/subtitles.json").json()["segments"]
    assert [(each["text"], each["reading"]) for each in found] == [(SEEN, SAID), ("Yes, No. 5.", "Yes, number five.")]


def test_captions_show_what_is_written_with_times_that_fit(tone: Server) -> None:
    body = {"input": TEXT, "response_format": "wav", "stream": False}
    words = tone.client.post("/dev/captioned_speech", json=body).json()["timestamps"]
    assert [each["word"] for each in words] == SEEN.split()
    long = {each["word"]: each["end_time"] - each["start_time"] for each in words}
    assert long["$100"] > 3 * long["cost"]


def test_what_would_be_said(tone: Server) -> None:
    found = read(tone, TEXT)
    assert found == {
        "language": "en", "model": "tone", "segments": [{"text": SEEN, "reading": SAID}], "warnings": [],
    }  # fmt: skip
    chinese = read(tone, "今天气温-5℃，比分3:2。")
    assert chinese["language"] == "zh"
    assert chinese["segments"][0]["reading"] == "今天气温零下五摄氏度，比分三比二。"
    options = {"normalize": True, "unit_normalization": False, "of_another_version": 1}
    assert (
        read(tone, "5 kg at 9:30PM", normalization_options=options)["segments"][0]["reading"]
        == "5 kg at nine thirty P M"
    )
    assert read(tone, TEXT, reading="off")["segments"][0]["reading"] == TEXT


def test_the_log_has_the_beginning_of_the_text_in_one_line(tone: Server) -> None:
    read(tone, "Read\u2028this and much more of it, which no log should have.")
    # The line is written after the answer was sent.
    shown = wait_until(
        lambda: [line["text"] for line in tone.lines() if line.get("text", "").startswith("Read ")],
        "the line in the log",
    )
    assert shown == ["Read this and much more of it,"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": ""}, 400, "1-1000000 characters"),
        ({"input": "[laugh] *sighs*"}, 400, "nothing to say"),
        ({"input": "a", "reading": "loud"}, 400, "reading"),
        ({"input": "a", "normalization_options": {"normalize": "no"}}, 400, "normalization_options.normalize"),
        ({"input": "a", "speed": 2}, 422, "speed"),
        ({"input": "a" * 100_001}, 400, "in parts"),
        ({"input": "a" * 5_001, "phonemes": True}, 400, "1-5000"),
        ({"input": "a", "model": "none"}, 404, "none"),
        ({"input": "a", "voice": "nobody"}, 400, "nobody"),
        ({"input": "<speak>a</break>"}, 200, "speak"),
        ({"input": "<speak>a</break></speak>"}, 400, "line 1"),
    ],
)
def test_bad_requests_say_what_is_wrong(tone: Server, body: dict[str, Any], status: int, said: str) -> None:
    answer = tone.client.post("/v1/audio/reading", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_a_request_for_speech_takes_the_switches(tone: Server) -> None:
    def audio(**body: Any) -> bytes:
        answer = tone.client.post("/v1/audio/speech", json={"input": SEEN, "response_format": "wav", **body})
        assert answer.status_code == 200, answer.text
        return answer.content

    assert audio() == audio(input=SAID) != audio(reading="off")
    assert audio(normalization_options={"normalize": False}) == audio(reading="off")


def test_how_a_model_says_it(espeak: Server, tone: Server) -> None:
    found = read(
        espeak,
        "It cost $100. Then she went home, and nobody saw her again for a very long while.\n\nWell.",
        phonemes=True,
    )
    first, second = (each["phonemes"] for each in found["segments"])
    assert "hˈʌndɹɪd dˈɑːlɚz" in first
    assert second == "wˈɛl"
    plain = read(espeak, "one hundred dollars", phonemes=True)["segments"][0]["phonemes"]
    assert plain == read(espeak, "$100", phonemes=True)["segments"][0]["phonemes"]
    assert "phonemes" not in read(espeak, "Well.")["segments"][0]
    # What is told is no audio: the same text is spoken after it.
    answer = espeak.client.post("/v1/audio/speech", json={"input": "Well.", "response_format": "wav"})
    assert len(answer.content) > 1000
    refused = tone.client.post("/v1/audio/reading", json={"input": "Well.", "phonemes": True})
    assert refused.status_code == 400
    assert "tone does not tell" in refused.text


def test_the_command_prints_what_would_be_said(tone: Server, tmp_path: Path) -> None:
    done = antiphon("read", TEXT, "--server", tone.base, cwd=tmp_path)
    assert done.stdout.decode().strip() == SAID, done.stderr
    done = antiphon("read", "-", "--json", "--language", "zh", "--server", tone.base, cwd=tmp_path, text="比分3:2")
    assert json.loads(done.stdout)["segments"] == [{"text": "比分3:2", "reading": "比分三比二"}]


def test_the_command_reads_without_a_server(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"), "--server", "http://127.0.0.1:1", "--model", "espeak")
    done = antiphon("read", TEXT, *where, cwd=tmp_path)
    assert done.stdout.decode().strip() == SAID, done.stderr
