"""Transcripts: pieces joined, and told as OpenAI tells them."""

from __future__ import annotations

import json
from typing import Any

from antiphon.text import transcript


def piece(text: str, language: str = "en", end: float = 2.0) -> dict[str, Any]:
    words = [{"word": f" {word}", "start": 0.0, "end": 1.0} for word in text.split()]
    segment = {"start": 0.5, "end": end, "text": f" {text}", "words": words, "tokens": [1], "avg_logprob": -0.1}
    return {"language": language, "text": text, "segments": [segment]}


def test_times_count_from_the_beginning_of_the_whole() -> None:
    moved = transcript.shifted(piece("Hello there."), 30.0)
    (segment,) = moved["segments"]
    assert (segment["start"], segment["end"]) == (30.5, 32.0)
    assert [(word["start"], word["end"]) for word in segment["words"]] == [(30.0, 31.0)] * 2


def test_the_whole_has_the_language_of_most_of_it() -> None:
    whole = transcript.joined(
        [piece("Hello there, all of you."), piece("好", "zh"), piece("And more.")], "transcribe", 9.0
    )
    assert (whole["language"], whole["text"], whole["duration"]) == ("en", "Hello there, all of you. 好 And more.", 9.0)
    chinese = [piece("今天天气很好，", "zh"), piece("我们去散步。", "zh")]
    assert transcript.joined(chinese, "transcribe", 4.0)["text"] == "今天天气很好，我们去散步。"
    # What is translated is English, whatever was said.
    english = [piece("It is fine.", "zh"), piece("Let us go.", "zh")]
    assert transcript.joined(english, "translate", 4.0)["text"] == "It is fine. Let us go."
    assert transcript.joined([], "transcribe", 0.0)["text"] == ""


def test_verbose_json_is_openais() -> None:
    whole = transcript.joined([piece("Hello there."), transcript.shifted(piece("More."), 10.0)], "transcribe", 12.0)
    told = json.loads(transcript.to_verbose_json(whole, words=True))
    assert (told["language"], told["task"], told["text"]) == ("english", "transcribe", "Hello there. More.")
    assert [(s["id"], s["start"], "words" in s) for s in told["segments"]] == [(0, 0.5, False), (1, 10.5, False)]
    assert [word["word"] for word in told["words"]] == ["Hello", "there.", "More."]
    assert "words" not in json.loads(transcript.to_verbose_json(whole, words=False))
    assert json.loads(transcript.to_json(whole)) == {"text": "Hello there. More."}
