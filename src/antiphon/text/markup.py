"""Markup: reads pauses written in a text, and a small part of SSML; engines get neither.

`[pause 0.5s]`, `[pause 300ms]`, `[pause]` and `[停顿 0.5秒]` are pauses. A text wrapped in `<speak>` is SSML (see
`ssml`). `docs/text.md` lists all markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from antiphon.domain import errors
from antiphon.text import ssml as dialect
from antiphon.text.spans import Span, Spans, check

#: Seconds of a pause without a length.
PAUSE = 0.5
_PAUSE = re.compile(
    r"[\[【]\s*(?:pause|停顿|暂停)\s*+(?:[:：]?\s*+(?P<number>\d++(?:\.\d++)?)\s*+(?P<unit>ms|seconds?|sec|s|毫秒|秒)?\s*+)?[\]】]",
    re.IGNORECASE,
)
_MILLI = frozenset({"ms", "毫秒"})


def is_ssml(text: str, ssml: bool | None = None) -> bool:
    """Whether the text is SSML. Raises `InvalidText` where it must be and is not."""
    if ssml is False:
        return False
    wrapped = dialect.looks_like(text)
    if ssml and not wrapped:
        raise errors.InvalidText("SSML must be wrapped in <speak>…</speak>", param="text")
    return wrapped


def has_markup(text: str, ssml: bool | None = None) -> bool:
    """Whether the text has markup."""
    return is_ssml(text, ssml) or (("[" in text or "【" in text) and _PAUSE.search(text) is not None)


def parse(text: str, *, ssml: bool | None = None) -> list[Span]:
    """The text's spans with their pauses and tempo, in order; at least one. Takes time linear in the text.

    `ssml=None` reads SSML if the text is wrapped in `<speak>`, True requires SSML, False never reads it. Raises
    `InvalidText` that says what is wrong and where.
    """
    if is_ssml(text, ssml):
        return dialect.parse(text)
    spans = Spans()
    start = 0
    for mark in _PAUSE.finditer(text):
        spans.add(text[start : mark.start()], 1.0)
        spans.pause(_seconds(mark))
        start = mark.end()
    spans.add(text[start:], 1.0)
    return spans.done() or [Span(text)]


def parse_all(texts: Iterable[str], *, ssml: bool | None = None) -> Iterator[list[Span]]:
    """The spans of each text of a dialogue, within the bounds of one text. Raises `InvalidText` as `parse` does."""
    count, pauses = 0, 0.0
    for text in texts:
        found = parse(text, ssml=ssml)
        count, pauses = count + len(found), pauses + sum(span.pause for span in found)
        check(count, pauses)
        yield found


def _seconds(mark: re.Match[str]) -> float:
    if mark["number"] is None:
        return PAUSE
    number = float(mark["number"])
    return number / 1000 if (mark["unit"] or "").lower() in _MILLI else number
