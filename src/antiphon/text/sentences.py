"""Sentences: finds where they end, with sentencex on windows of the text and corrections of its mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

from antiphon.text.length import length

#: Characters that sentencex gets at once. It is quadratic in sentences without spaces between them (minutes for a
#: million characters of Chinese), and drops blank lines of long texts; on windows it is linear and loses nothing.
_WINDOW = 800
#: A line of fewer characters is not split: its sentences would be joined again.
_BRIEF = 12
#: A line shorter than this (length units) was not wrapped to fit a page: its end is the end of a sentence.
_SHORT_LINE = 45
#: The mark of a list item, which always begins a sentence.
_ITEM = re.compile(r"[-*•‣◦·] |\(?\d{1,3}[.)、] |#+ ")

#: Abbreviations that never end a sentence, in any language: Chinese texts have "Dr. Smith" too.
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|Sr|Sra|Srta|Dra|Dña|[Ee]\.g|[Ii]\.e|cf|vs|viz|z\. B|p\. ej)\.\s*\Z")
#: Abbreviations that do not end a sentence before a number.
_REFERENCE = re.compile(
    r"\b(?:nos?|nr|núm|vols?|figs?|pp?|pág|chs?|chap|cap|secs?|arts?|eq|par|approx|est|tel|ext|op)\.\s*\Z", re.I
)
#: A single letter: an initial, "d. C.". For English sentencex tells an initial from "plan B" itself.
_INITIAL = re.compile(r"(?<![^\s(\"“«])[^\W\d_]\.\s*\Z")
#: A number or letter that counts an item, which is not a sentence by itself.
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]\s*")
#: Whole sentences in brackets at the head of another, which sentencex does not separate from it.
_ASIDE = re.compile(r"[（(][^()（）]*(?:[.!?…]\)\s|[。！？…][)）])\s*")
#: Characters of the longest pattern above, with white space.
_TAIL = 16
#: Closing quotation marks and brackets, which stay with the sentence before them.
_CLOSING = re.compile(r"[)\]}”’」』》】）]+[。，、！？]*\s*|\s+")


def ends(text: str, start: int, end: int, language: str) -> list[int]:
    """Positions after each sentence of `text[start:end]` with its closing marks and white space; the last is `end`."""
    found: list[int] = []
    for line_end in _lines(text, start, end):
        for stop in _sentences(text, start, line_end, language):
            if stop <= start:
                continue  # after a closing mark that went to the sentence before
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
    """Positions after line breaks that end a sentence, unlike those of a wrapped paragraph; the last is `end`."""
    line = start
    while (newline := text.find("\n", line, end - 1)) >= 0:
        line, before = newline + 1, text[line:newline]
        short = len(before) < _SHORT_LINE and length(before) < _SHORT_LINE
        if short or _ITEM.match(text, line):
            yield line
    yield end


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Positions where sentencex ends sentences in `text[start:end]`; the last is `end`."""
    if end - start < _BRIEF:
        yield end
        return
    while end - start > _WINDOW:
        window = text[start : start + _WINDOW]
        pieces = _pieces(window, language)
        if len(pieces) > 1:
            # The last sentence may go on beyond the window, so it begins the next one.
            for piece in pieces[:-1]:
                start += len(piece)
                yield start
        else:
            # The sentence is longer than a window; the next window begins at a word.
            space = window.rfind(" ", _WINDOW // 2)
            start += space + 1 if space >= 0 else _WINDOW
    for piece in _pieces(text[start:end], language)[:-1]:
        start += len(piece)
        yield start
    yield end


_SURROGATES = re.compile("[\ud800-\udfff]")
#: White space that only uncleaned text has.
_WIDE_SPACES = re.compile(r"[^\S\x00-\x7f]")


def _pieces(window: str, language: str) -> list[str]:
    if not window.isascii():
        # sentencex panics, which is no `Exception`, at a full stop after one; only the lengths of the pieces matter.
        window = _WIDE_SPACES.sub(" ", window)
    try:
        pieces: list[str] = sentencex.segment(language, window)
    except UnicodeEncodeError:
        # Half a surrogate pair, in text that arrives in parts; only the lengths of the pieces matter.
        pieces = sentencex.segment(language, _SURROGATES.sub("?", window))
    # Positions are sums of lengths, so one lost character would shift all later ones.
    return pieces if sum(map(len, pieces)) == len(window) else [window]


def _runs_on(text: str, start: int, stop: int, language: str) -> bool:
    """Whether the sentence that begins at `start` goes on after `stop`, where sentencex ended it."""
    after = text[stop]
    if after in "ºª":
        return True
    if text[stop - 1] == ".":
        # Names of files, hosts and code, such as "Node.Js" and "Example.Com".
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
