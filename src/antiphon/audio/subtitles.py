"""Subtitles: writes segments and their times as SRT, WebVTT and JSON.

A segment is `{"text", "start", "end"}` in seconds, in a dialogue with its `"speaker"`. What is said otherwise than it
is written stands in `"said"`: `[[from, to, words], …]`, by characters of the text. A segment too long for two lines
becomes several cues, which share its time by the characters of what is said.
"""

from __future__ import annotations

import bisect
import html
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Widths, in tenths of a Latin letter. A line holds 42 Latin letters, or 20 Chinese or Japanese characters.
NARROW, WIDE, LINE = 10, 21, 420
#: Most lines of one cue.
LINES = 2
#: Characters that do not begin a line, and characters that do not end one.
_CLOSING = frozenset("，。！？；：、．…—～·）》」』】〕〉”’,.!?;:)]}%ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
_OPENING = frozenset("（《「『【〔〈“‘([{")

Segments = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Cue:
    """The text on the screen at one time. Times are in milliseconds; `end` is later than `start`."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None = None


def srt(segments: Segments) -> str:
    blocks = []
    for number, cue in enumerate(cues(segments), 1):
        # SRT has no escapes, and an arrow in the text must not look like a time line.
        text = "\n".join(cue.lines)
        text = (f"{cue.speaker}: {text}" if cue.speaker else text).replace("-->", "→")
        blocks.append(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(segments: Segments) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues(segments):
        text = html.escape("\n".join(cue.lines), quote=False)
        if cue.speaker:
            text = f"<v {html.escape(cue.speaker, quote=False)}>{text}"
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_json(segments: Segments) -> str:
    """`{"segments": [{"text", "start", "end"}, …]}`: whole segments, with `speaker` if known, and with the `reading`
    where that is not the text."""
    found = [_plain(s) for s in segments]
    return json.dumps({"segments": found}, ensure_ascii=False)


def _plain(segment: Mapping[str, Any]) -> dict[str, Any]:
    plain = {"text": _clean(segment["text"]), "start": float(segment["start"]), "end": float(segment["end"])}
    if segment.get("said"):
        plain["reading"] = _clean(reading(segment))
    return plain | {"speaker": _clean(segment["speaker"])} if segment.get("speaker") else plain


def reading(segment: Mapping[str, Any]) -> str:
    """What is said for a segment."""
    text, at = segment["text"], 0
    parts: list[str] = []
    for start, end, words in segment.get("said", ()):
        parts += text[at:start], words
        at = end
    return "".join((*parts, text[at:]))


def said_until(segment: Mapping[str, Any], length: Callable[[str], float] = len) -> list[float]:
    """The length of what is said before each character of a segment's text, and at its end. What several characters
    are said for is shared by them."""
    lengths = [length(ch) for ch in segment["text"]]
    for start, end, words in segment.get("said", ()):
        lengths[start:end] = [length(words) / (end - start)] * (end - start)
    return list(itertools.accumulate(lengths, initial=0))


def cues(segments: Segments) -> Iterator[Cue]:
    """Cues in the order of the text. They never overlap, even if segments do. Segments without text, and those that
    were left out of the audio, have none."""
    at = 0
    for segment in segments:
        if segment.get("skipped"):
            continue
        lines = wrap(_clean(segment["text"]))
        pages = [tuple(lines[i : i + LINES]) for i in range(0, len(lines), LINES)]
        if not pages:
            continue
        speaker = _clean(segment.get("speaker") or "") or None
        start = max(at, round(1000 * segment["start"]))
        # Each page is shown for at least a millisecond.
        end = max(start + len(pages), round(1000 * segment["end"]))
        spoken = _spoken(segment, pages)
        at = start
        for index, page in enumerate(pages):
            due = start + int((end - start) * spoken[index] // (spoken[-1] or 1))
            stop = min(max(due, at + 1), end - (len(pages) - 1 - index))
            yield Cue(at, stop, page, speaker)
            at = stop


def _spoken(segment: Mapping[str, Any], pages: list[tuple[str, ...]]) -> list[float]:
    """The length of what is said up to the end of each page."""
    if not segment.get("said"):
        return list(itertools.accumulate(sum(map(len, page)) for page in pages))
    until = said_until(segment)
    # Lines are broken at blanks, so characters are counted without them.
    places = [place for place, ch in enumerate(segment["text"]) if not ch.isspace()]
    counts = itertools.accumulate(sum(len("".join(line.split())) for line in page) for page in pages)
    return [until[places[min(count, len(places)) - 1] + 1] for count in counts]


def wrap(text: str) -> list[str]:
    """The fewest lines not wider than `LINE`, of about equal width."""
    atoms = _atoms(text)
    lines = _fill(atoms, LINE)
    if len(lines) < 2:
        return lines
    widths = range(sum(_width(line) for line in lines) // len(lines), LINE, NARROW)
    best = bisect.bisect_left(widths, True, key=lambda width: len(_fill(atoms, width)) <= len(lines))
    return _fill(atoms, widths[best]) if best < len(widths) else lines


@dataclass(frozen=True, slots=True)
class _Atom:
    """Characters that stay on one line: a word, or a Chinese character with its punctuation."""

    text: str
    width: int
    #: Whether a space is before it.
    space: bool


def _atoms(text: str) -> list[_Atom]:
    atoms: list[_Atom] = []
    for word in text.split():
        start = width = 0
        for i, char in enumerate(word):
            step = _char_width(char)
            if i and (width + step > LINE or _may_break(word[i - 1], char)):
                atoms.append(_Atom(word[start:i], width, space=bool(atoms) and start == 0))
                start, width = i, 0
            width += step
        atoms.append(_Atom(word[start:], width, space=bool(atoms) and start == 0))
    return atoms


def _fill(atoms: list[_Atom], limit: int) -> list[str]:
    """Lines as full as `limit` allows; a wider atom gets a line of its own."""
    lines: list[str] = []
    used = limit
    for atom in atoms:
        gap = NARROW if atom.space else 0
        if lines and used + gap + atom.width <= limit:
            lines[-1] += " " * atom.space + atom.text
            used += gap + atom.width
        else:
            lines.append(atom.text)
            used = atom.width
    return lines


def _may_break(before: str, after: str) -> bool:
    if after in _CLOSING or before in _OPENING or _char_width(after) == 0:
        return False
    return _char_width(before) == WIDE or _char_width(after) == WIDE


def _width(text: str) -> int:
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if char.isascii():
        return NARROW
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return WIDE if unicodedata.east_asian_width(char) in "WF" else NARROW


def _clean(text: str) -> str:
    """The text as one line, since a blank line ends a cue, without control characters and lone surrogates."""
    return " ".join("".join(c for c in word if unicodedata.category(c) not in ("Cc", "Cs")) for word in text.split())


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
