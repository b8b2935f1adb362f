"""Transcripts: pieces joined into one, and told as OpenAI's JSON.

A transcript is a JSON object: `task`, `language` (a BCP-47 primary tag), `duration` (seconds), `text`, and `segments`
with `start` and `end` (seconds) and perhaps `words`. Source of the formats: OpenAI's API reference, "Create
transcription".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

#: OpenAI's answers name a language in English; one that is not here is told by its tag.
NAMES = {
    "en": "english", "zh": "chinese", "de": "german", "es": "spanish", "ru": "russian", "ko": "korean",
    "fr": "french", "ja": "japanese", "pt": "portuguese", "tr": "turkish", "pl": "polish", "nl": "dutch",
    "ar": "arabic", "sv": "swedish", "it": "italian", "id": "indonesian", "hi": "hindi", "fi": "finnish",
    "vi": "vietnamese", "he": "hebrew", "uk": "ukrainian", "el": "greek", "cs": "czech", "ro": "romanian",
    "da": "danish", "hu": "hungarian", "no": "norwegian", "th": "thai", "yue": "cantonese",
}  # fmt: skip
#: Languages that put no spaces between words.
_DENSE = frozenset({"zh", "ja", "th", "yue", "lo", "my", "km"})


def shifted(part: Mapping[str, Any], by: float) -> dict[str, Any]:
    """A piece with its times counted from the beginning of the whole."""
    return {**part, "segments": [_shift(segment, by) for segment in part["segments"]]}


def _shift(segment: Mapping[str, Any], by: float) -> dict[str, Any]:
    moved = {**segment, "start": round(segment["start"] + by, 3), "end": round(segment["end"] + by, 3)}
    if "words" in segment:
        moved["words"] = [_shift(word, by) for word in segment["words"]]
    return moved


def joined(parts: Sequence[Mapping[str, Any]], task: str, seconds: float) -> dict[str, Any]:
    """The whole; its language is the one of most of its text."""
    weights: Counter[str] = Counter()
    for part in parts:
        weights[part["language"]] += len(part["text"])
    language = weights.most_common(1)[0][0] if weights else "en"
    segments = [segment for part in parts for segment in part["segments"]]
    text = ""
    for part in parts:
        text = follow(text, part["text"], language if task == "transcribe" else "en")
    return {"task": task, "language": language, "duration": round(seconds, 3), "text": text, "segments": segments}


def follow(text: str, more: str, language: str) -> str:
    """`more` behind `text`, with a space between them where the language has one."""
    gap = "" if not text or not more or language in _DENSE else " "
    return text + gap + more


def subtitles(transcript: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """(text, start, end) of each segment."""
    return tuple({"text": s["text"].strip(), "start": s["start"], "end": s["end"]} for s in transcript["segments"])


def to_json(transcript: Mapping[str, Any]) -> str:
    """The text alone."""
    return json.dumps({"text": transcript["text"]}, ensure_ascii=False)


def to_verbose_json(transcript: Mapping[str, Any], *, words: bool) -> str:
    """With segments, and with the times of words where they were asked for."""
    return json.dumps(_verbose(transcript, words), ensure_ascii=False)


def _verbose(transcript: Mapping[str, Any], words: bool) -> dict[str, Any]:
    told = {key: transcript[key] for key in ("task", "duration", "text")}
    told["language"] = NAMES.get(transcript["language"], transcript["language"])
    told["segments"] = [
        # `seek` is where Whisper's window began; ours begin where the pieces do, so the segment's start says it.
        {"id": n, "seek": int(s["start"] * 100), **{k: v for k, v in s.items() if k != "words"}}
        for n, s in enumerate(transcript["segments"])
    ]
    if words:
        told["words"] = [
            {**word, "word": word["word"].strip()} for s in transcript["segments"] for word in s.get("words", ())
        ]
    return told
