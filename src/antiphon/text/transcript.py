"""Transcripts: joins those of pieces, and writes them as OpenAI's JSON.

A transcript is a JSON object: `task`, `language` (a BCP-47 primary tag), `duration` (seconds), `text`, and `segments`
with `start` and `end` (seconds) and, if asked for, `words`. Source of the formats: OpenAI's API reference, "Create
transcription".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

#: Names of languages in OpenAI's responses; a language that is not here is written as its tag.
NAMES = {
    "en": "english", "zh": "chinese", "de": "german", "es": "spanish", "ru": "russian", "ko": "korean",
    "fr": "french", "ja": "japanese", "pt": "portuguese", "tr": "turkish", "pl": "polish", "nl": "dutch",
    "ar": "arabic", "sv": "swedish", "it": "italian", "id": "indonesian", "hi": "hindi", "fi": "finnish",
    "vi": "vietnamese", "he": "hebrew", "uk": "ukrainian", "el": "greek", "cs": "czech", "ro": "romanian",
    "da": "danish", "hu": "hungarian", "no": "norwegian", "th": "thai", "yue": "cantonese",
}  # fmt: skip
#: Languages without spaces between words.
_DENSE = frozenset({"zh", "ja", "th", "yue", "lo", "my", "km"})


def shifted(part: Mapping[str, Any], by: float) -> dict[str, Any]:
    """The transcript of a piece that begins at `by` seconds, with its times counted from the start of the recording."""
    return {**part, "segments": [_shift(segment, by) for segment in part["segments"]]}


def _shift(segment: Mapping[str, Any], by: float) -> dict[str, Any]:
    moved = {**segment, "start": round(segment["start"] + by, 3), "end": round(segment["end"] + by, 3)}
    if "words" in segment:
        moved["words"] = [_shift(word, by) for word in segment["words"]]
    return moved


def joined(parts: Sequence[Mapping[str, Any]], task: str, seconds: float) -> dict[str, Any]:
    """The transcript of the whole recording of `seconds`; its language is the one of most of its text."""
    weights: Counter[str] = Counter()
    for part in parts:
        weights[part["language"]] += len(part["text"])
    language = weights.most_common(1)[0][0] if weights else "en"
    segments = [segment for part in parts for segment in part["segments"]]
    gap = _gap(language if task == "transcribe" else "en")
    text = gap.join(part["text"] for part in parts if part["text"])
    return {"task": task, "language": language, "duration": round(seconds, 3), "text": text, "segments": segments}


def follow(text: str, more: str, language: str) -> str:
    """`text` and then `more`, with a space between them if the language has spaces."""
    return text + (_gap(language) if text and more else "") + more


def _gap(language: str) -> str:
    return "" if language in _DENSE else " "


def subtitles(transcript: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """`text`, `start` and `end` (seconds) of each segment, for `audio.subtitles`."""
    return tuple({"text": s["text"].strip(), "start": s["start"], "end": s["end"]} for s in transcript["segments"])


def to_json(transcript: Mapping[str, Any]) -> str:
    """OpenAI's format `json`: the text only."""
    return json.dumps({"text": transcript["text"]}, ensure_ascii=False)


def to_verbose_json(transcript: Mapping[str, Any], *, words: bool) -> str:
    """OpenAI's format `verbose_json`: with segments, and with the times of words if `words` is true."""
    return json.dumps(_verbose(transcript, words), ensure_ascii=False)


def _verbose(transcript: Mapping[str, Any], words: bool) -> dict[str, Any]:
    found = {key: transcript[key] for key in ("task", "duration", "text")}
    found["language"] = NAMES.get(transcript["language"], transcript["language"])
    found["segments"] = [
        # `seek` is where Whisper's window began. Our windows are the pieces, so the segment's start stands for it.
        {"id": n, "seek": int(s["start"] * 100), **{k: v for k, v in s.items() if k != "words"}}
        for n, s in enumerate(transcript["segments"])
    ]
    if words:
        found["words"] = [
            {**word, "word": word["word"].strip()} for s in transcript["segments"] for word in s.get("words", ())
        ]
    return found
