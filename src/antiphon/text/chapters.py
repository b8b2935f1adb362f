"""Chapters: cuts a book at the headings that English and Chinese books have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from antiphon.domain import errors

#: Most bytes of a file that is read as a book: ten times a long novel.
MAX_BOOK = 64 * 1024 * 1024
#: Headings in a row, without text between them, that make a table of contents.
CONTENTS = 3
FRONT = "Front matter"

_ENGLISH_NUMBER = (
    r"(?:\d{1,4}|[ivxlcdm]{1,8}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    r"fifteen|sixteen|seventeen|eighteen|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|the[ ](?:first|second|third|fourth|fifth|last))"
)
_CHINESE_NUMBER = "[0-9０-９一二三四五六七八九十百千零〇两廿卅]{1,9}"
_HEADING = re.compile(
    rf"""^[ \t\u3000]*(?:
        \#{{1,3}}[ \t]+\S.{{0,99}}
      | (?:chapter|part|book|volume)[ ]{_ENGLISH_NUMBER}
        (?:[ ]*[.:\-–—][ ]*.{{0,80}}|[ ]+(?-i:[A-Z])[^.!?,\n]{{0,60}}|[ ]*)
      | (?:prologue|epilogue|introduction|preface|foreword|afterword|interlude|appendix)(?:[ ]+[a-z0-9]{{1,3}})?
        (?:[ ]*[.:\-–—][ ]*.{{0,80}}|[ ]*)
      | 第[ ]?{_CHINESE_NUMBER}[ ]?[章回节卷部篇集话折](?:[ \t\u3000:：、.．·—-]+.{{0,40}}|[^\n。！？，,.]{{0,24}})
      | (?:楔子|序章|序言|前言|引子|引言|自序|尾声|终章|后记|跋|番外)
        (?:[ \t\u3000:：、.．·—-]+.{{0,40}}|[^\n。！？，,.]{{0,12}})
      | 卷{_CHINESE_NUMBER}(?:[ \t\u3000:：、.．·—-]+.{{0,40}}|[ \t]*)
    )$""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    #: With its heading; the texts of all chapters, joined, are the book.
    text: str
    start: int
    end: int


def split(text: str) -> list[Chapter]:
    """The chapters of a book, in order; one for a text without headings. Their texts, joined, are the text.

    Text before the first heading is a chapter of its own if it has words. A table of contents is not a chapter, and a
    heading without text, such as that of a part, belongs to the chapter after it.
    """
    heads = _headings(text)
    if not heads:
        return [Chapter(_first_line(text), text, 0, len(text))] if text else []
    chapters: list[Chapter] = []
    start, title = 0, FRONT
    begun = _WORD.search(text, 0, heads[0].start()) is not None
    for number, head in enumerate(heads):
        if begun:
            chapters.append(Chapter(title, text[start : head.start()], start, head.start()))
            start = head.start()
        title = _title(head[0])
        begun = _has_body(text, heads, number)
    chapters.append(Chapter(title, text[start:], start, len(text)))
    return chapters


def _headings(text: str) -> list[re.Match[str]]:
    """Lines that are the heading of a chapter; not those of a table of contents."""
    found = list(_HEADING.finditer(text))
    kept: list[re.Match[str]] = []
    run: list[re.Match[str]] = []
    for number, head in enumerate(found):
        run.append(head)
        if _has_body(text, found, number):
            # The last heading of a run has the text; those before it are a list, or the titles of parts.
            kept += run[-1:] if len(run) > CONTENTS else run
            run = []
    return kept + (run if len(run) < CONTENTS else [])


def _has_body(text: str, heads: list[re.Match[str]], number: int) -> bool:
    end = heads[number + 1].start() if number + 1 < len(heads) else len(text)
    return _WORD.search(text, heads[number].end(), end) is not None


def _title(line: str) -> str:
    return " ".join(line.strip().lstrip("#").split())


def _first_line(text: str) -> str:
    return _title(text.strip().partition("\n")[0])[:60]


def read_book(path: Path) -> str:
    """Text of a file in UTF-8, UTF-16 or GB18030, which many Chinese books are in. Raises `InvalidRequest`."""
    try:
        size = path.stat().st_size
        if size > MAX_BOOK:
            raise errors.InvalidRequest(f"{path} has {size:,} bytes; a book has at most {MAX_BOOK:,}")
        data = path.read_bytes()
    except OSError as e:
        raise errors.InvalidRequest(f"cannot read {path}: {e.strerror}") from e
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise errors.InvalidRequest(f"{path} is no text in UTF-8, UTF-16 or GB18030; save it as UTF-8 and try again")
