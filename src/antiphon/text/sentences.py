"""Where the sentences of a text end: sentencex's judgement, window by window, and what it gets wrong put right."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

from antiphon.text.length import length

#: Characters given to sentencex at once. It is quadratic in a stretch of sentences without spaces (a million
#: characters of Chinese take it minutes), and drops blank lines of long texts; in windows it is linear and lossless.
_WINDOW = 800
#: A line of fewer characters is not looked into: its sentences would be joined again.
_BRIEF = 12
#: A line shorter than this (length units) was not broken to fit a page: its end ends a sentence.
_SHORT_LINE = 45
#: The head of a list's item, which begins a sentence whatever stands before it.
_ITEM = re.compile(r"[-*•‣◦·] |\(?\d{1,3}[.)、] |#+ ")

#: What ends in a full stop and never ends a sentence, in any language: Chinese too has its "Dr. Smith".
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|Sr|Sra|Srta|Dra|Dña|[Ee]\.g|[Ii]\.e|cf|vs|viz|z\. B|p\. ej)\.\s*\Z")
#: What ends in a full stop and does not end a sentence before a number.
_REFERENCE = re.compile(
    r"\b(?:nos?|nr|núm|vols?|figs?|pp?|pág|chs?|chap|cap|secs?|arts?|eq|par|approx|est|tel|ext|op)\.\s*\Z", re.I
)
#: A letter that stands alone: an initial, "d. C.". Of English ones sentencex knows the initial from "plan B".
_INITIAL = re.compile(r"(?<![^\s(\"“«])[^\W\d_]\.\s*\Z")
#: A number or a letter with nothing after it belongs to the item that it counts.
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]\s*")
#: Whole sentences in brackets at the head of one: to sentencex they and what follows are one.
_ASIDE = re.compile(r"[（(][^()（）]*(?:[.!?…]\)\s|[。！？…][)）])\s*")
#: Longest of the patterns above, with room for white space.
_TAIL = 16
#: What closes a quotation or a bracket stays with what it closes.
_CLOSING = re.compile(r"[)\]}”’」』》】）]+[。，、！？]*\s*|\s+")


def ends(text: str, start: int, end: int, language: str) -> list[int]:
    """Positions after each sentence of `text[start:end]` with its closing marks and white space; the last is `end`."""
    found: list[int] = []
    for line_end in _lines(text, start, end):
        for stop in _sentences(text, start, line_end, language):
            if stop <= start:
                continue  # behind a closing mark that was given to the sentence before
            if stop < line_end:
                if (after := _CLOSING.match(text, stop, line_end)) is not None:
                    stop = after.end()
                elif _runs_on(text, start, stop, language):
                    continue
            if text[start] in "(（" and (aside := _ASIDE.match(text, start, stop - 1)):
                found.append(aside.end())
            found.append(stop)
            start = stop
    return found


def _lines(text: str, start: int, end: int) -> Iterator[int]:
    """Positions after the line breaks that end a sentence, not those of a hard-wrapped paragraph; the last is `end`."""
    line = start
    while (newline := text.find("\n", line, end - 1)) >= 0:
        line, before = newline + 1, text[line:newline]
        short = len(before) < _SHORT_LINE and length(before) < _SHORT_LINE
        if short or _ITEM.match(text, line):
            yield line
    yield end


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Where sentencex ends sentences in `text[start:end]`; the last is `end`."""
    if end - start < _BRIEF:
        yield end
        return
    while end - start > _WINDOW:
        window = text[start : start + _WINDOW]
        pieces = _pieces(window, language)
        if len(pieces) > 1:
            # The last one may go on beyond the window and begins the next.
            for piece in pieces[:-1]:
                start += len(piece)
                yield start
        else:
            # A sentence longer than a window goes on; the next window begins at a word.
            space = window.rfind(" ", _WINDOW // 2)
            start += space + 1 if space >= 0 else _WINDOW
    for piece in _pieces(text[start:end], language)[:-1]:
        start += len(piece)
        yield start
    yield end


_SURROGATES = re.compile("[\ud800-\udfff]")


def _pieces(window: str, language: str) -> list[str]:
    try:
        pieces: list[str] = sentencex.segment(language, window)
    except UnicodeEncodeError:
        # Half a surrogate pair, in text that arrives bit by bit; only the lengths of the pieces count.
        pieces = sentencex.segment(language, _SURROGATES.sub("?", window))
    # Positions are sums of lengths, so a lost character would shift all that follow.
    return pieces if sum(map(len, pieces)) == len(window) else [window]


def _runs_on(text: str, start: int, stop: int, language: str) -> bool:
    """Whether the sentence that begins at `start` goes on after `stop`, where sentencex ends it."""
    after = text[stop]
    if after in "ºª":
        return True
    if text[stop - 1] == ".":
        # Names of files, hosts and code: "Node.Js", "Example.Com".
        return after.isascii() and after.isalnum()
    tail = text[max(start, stop - _TAIL) : stop]
    if tail.rstrip()[-1:] not in (".", ")"):
        return False
    return bool(
        _ABBREVIATION.search(tail)
        or (after.isdecimal() and _REFERENCE.search(tail))
        or (language != "en" and _INITIAL.search(tail))
        or _ENUMERATOR.fullmatch(text, start, stop)
    )
