"""Markdown: its marks in a text, silent or as the pause that they stand for.

As in CommonMark, with what people write beside it: four blanks are no code, because letters and poems are indented,
and a mark between two words or numbers is a sign (`2*3*4`, `snake_case`, `f**k`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.reading.finding import keep, rule
from antiphon.reading.said import Said

# Code

_FENCE = re.compile(r"^[ \t]{0,12}(?:> ?){0,8}[ \t]*(?P<fence>`{3,}+|~{3,}+)(?P<info>[^`\n]*+)$", re.MULTILINE)


def fences(text: str) -> Iterator[Said]:
    """The lines before and after a block of code are silent; its own are said as they are written."""
    opened: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        closes = opened and line["fence"].startswith(opened["fence"]) and not line["info"].strip()
        if opened is None:
            opened = line
        elif closes:
            yield _line(text, opened)
            if opened.end() + 1 < line.start():
                yield Said(opened.end() + 1, line.start(), None)
            yield _line(text, line)
            opened = None
    if opened is not None:
        yield _line(text, opened)


def _line(text: str, found: re.Match[str]) -> Said:
    """A silent line, with its line break."""
    return Said(found.start(), min(found.end() + 1, len(text)), "")


_TICKS = re.compile(r"(?<!\\)`++|\n[ \t]*+\n")


def code_spans(text: str) -> Iterator[Said]:
    """`` `code` ``: as many backticks close it as opened it, in the same paragraph."""
    marks = list(_TICKS.finditer(text))
    #: For each mark the next one that closes it: none behind the end of the paragraph.
    closing: dict[int, int] = {}
    last: dict[int, int] = {}
    for at in range(len(marks) - 1, -1, -1):
        if marks[at][0][0] == "\n":
            last = {}
        else:
            size = len(marks[at][0])
            if size in last:
                closing[at] = last[size]
            last[size] = at
    at = 0
    while at < len(marks):
        end = closing.get(at)
        if end is None:
            at += 1
            continue
        start, stop = marks[at], marks[end]
        yield Said(*start.span(), "")
        if start.end() < stop.start():
            yield Said(start.end(), stop.start(), None)
        yield Said(*stop.span(), "")
        at = end + 1


# Links and notes

_BRACKETS = re.compile(r"(?<!\\)(?:!?\[|\])|\n[ \t]*+\n")
#: The address behind the text of a link, with a title.
_TARGET = re.compile(
    r"\(\s{0,8}(?:<[^<>\n]{0,2000}+>|[^\s()<>]{0,4000}+(?:\([^\s()]{0,500}+\)[^\s()]{0,500}+){0,8})"
    r"(?:\s{1,8}(?:\"[^\"\n]{0,300}+\"|'[^'\n]{0,300}+'|\([^()\n]{0,300}+\)))?\s{0,8}\)"
)
_SPEECH = re.compile(r"\((?:/(?=[^)]*[^\x00-\x7f])[^/\s()]{1,80}/|[-+]?[0-9](?:\.[0-9])?)\)")
_REFERENCE = re.compile(r"\[[^\[\]\n]{0,200}+\]")
_DEFINITION = re.compile(r"^[ ]{0,3}\[(?P<name>\^?[^\[\]\n]{1,200}+)\]:[ \t]++(?P<rest>\S[^\n]*+)$", re.MULTILINE)
_ADDRESS = re.compile(
    r"<?(?:[a-z][a-z0-9+.\-]{1,20}:|/|#|\.{1,2}/|www\.|[\w\-]+\.[a-z]{2,})\S*(?:\s+[\"'(].*)?$", re.IGNORECASE
)


def links(text: str) -> Iterator[Said]:
    """`[text](address)`, `![picture](address)`, `[text][name]`: the text is said."""
    open_at: list[re.Match[str]] = []
    names = {found["name"].lower() for found in _DEFINITION.finditer(text)}
    taken = 0
    for mark in _BRACKETS.finditer(text):
        if mark.start() < taken:
            continue
        if mark[0][0] == "\n":
            open_at.clear()
        elif mark[0] != "]":
            open_at.append(mark)
        elif open_at:
            start = open_at.pop()
            end = _end_of_link(text, start, mark, names)
            if end:
                taken = end
                yield Said(*start.span(), "")
                yield Said(mark.start(), end, "")


def _end_of_link(text: str, start: re.Match[str], mark: re.Match[str], names: set[str]) -> int | None:
    after = text[mark.end() : mark.end() + 1]
    if after == "(" and (target := _TARGET.match(text, mark.end())):
        # `[Kokoro](/kˈOkəɹO/)` and `[word](+1)` tell an engine how a word is said.
        if _SPEECH.fullmatch(target[0]):
            return None
        # `array[0](x)` is a call.
        code = (
            start.start() > 0
            and text[start.start() - 1].isascii()
            and text[start.start() - 1].isalnum()
            and start[0] == "["
        )
        return None if code else target.end()
    if after == "[" and (reference := _REFERENCE.match(text, mark.end())):
        name = reference[0][1:-1] or text[start.end() : mark.start()]
        return reference.end() if name.lower() in names else None
    if not names or mark.start() - start.end() > 200 or after == ":":
        return None
    name = text[start.end() : mark.start()].lower()
    return mark.end() if name in names and name[:1] != "^" else None


#: An address in a text, whose signs are no marks; what may stand behind it is none of it.
addresses = keep(r"\bhttps?://[^\s<>()\[\]|`*]*[\w/=&%\-](?<!_)")


def definitions(text: str) -> Iterator[Said]:
    """`[name]: address` is silent; of a note, `[^1]: text`, the mark is."""
    for found in _DEFINITION.finditer(text):
        if found["name"][0] == "^":
            yield Said(found.start(), found.start("rest"), "")
        elif _ADDRESS.match(found["rest"]):
            yield Said(*found.span(), "")


@rule(
    r"(?<=[\w.,;:!?)\"'”’\]\ufffc])(?P<said>(?:\[(?:[0-9]{1,3}(?:[,–-] ?[0-9]{1,3}){0,8}|\^[^\[\]\s]{1,60}|[a-z]"
    r"|note [0-9]{1,3}|"
    r"citation needed|clarification needed|update)\])++)(?![\w\[(=])"
    r"|(?P<apart>(?<=[a-z]{2}) (?:\[[0-9]{1,3}(?:[,–-] ?[0-9]{1,3}){0,8}\])++)(?=[.,;:!?]|\s*$)"
)
def notes(match: re.Match[str]) -> str | None:
    """`the end.[12]`; "as in [12]" is said, and so is an index: `a[12]`."""
    text, at = match.string, match.start("said")
    if match["apart"] is not None:
        return None
    if text[at - 1].isalnum() and re.search(r"(?:^|[^\w])[\w]{1,2}$|[_.]\w+$", text[max(0, at - 20) : at]):
        return None
    return ""


@rule(
    r"(?<=[a-z]{2})(?<!\bin)(?<!\bby)(?<!\bof)(?<!see)(?<!and)(?<!from)"
    r"(?P<said> (?:\[[0-9]{1,3}(?:[,–-] ?[0-9]{1,3}){0,8}\])++)(?=[.,;:!?]|\s*$)"
)
def notes_apart(match: re.Match[str]) -> str | None:
    """`the end [12].`"""
    return ""


@rule(r"\\(?P<sign>[*_`\[\]#~|<>{}])")
def escapes(match: re.Match[str]) -> str | None:
    r"""`\*`."""
    return match["sign"]


# Blocks


@rule(r"^(?P<said>[ ]{0,3}(?:>[ \t]?){1,64}+)(?![0-9=>])", re.MULTILINE)
def quotes(match: re.Match[str]) -> str | None:
    """`> text`; `>5` and `>= 5` are comparisons."""
    text, end = match.string, match.end()
    if text[end - 1] == ">" and text[end : end + 1].isdigit():
        return None
    return ""


#: Before the mark of an item or a heading: the marks of a quotation, and blanks.
_INDENT = r"^(?:[ ]{0,3}(?:>[ \t]?){1,8}+)?[ \t\ufffc]{0,24}"


@rule(rf"{_INDENT}(?P<said>#{{1,6}}+(?:[ \t]++|$))", re.MULTILINE)
def headings(match: re.Match[str]) -> str | None:
    return ""


@rule(rf"{_INDENT}#{{1,6}}+[ \t]++[^\n]*(?P<said>\n)(?!\n)", re.MULTILINE)
def after_headings(match: re.Match[str]) -> str | None:
    """A heading is a paragraph of its own."""
    return "\n\n"


@rule(r"(?<=[^\s#])(?P<said>[ \t]++#++[ \t]*+)$", re.MULTILINE)
def ends_of_headings(match: re.Match[str]) -> str | None:
    """`## Heading ##`."""
    line = match.string[match.string.rfind("\n", max(0, match.start() - 300), match.start()) + 1 : match.start()]
    return "" if line.lstrip(" >\ufffc").startswith("# ") or re.match(r"[ >]*#{1,6} ", line) else None


@rule(
    r"^(?P<said>[ ]{0,3}(?:(?:\*[ \t]*+){3,}+|(?:-[ \t]*+){3,}+|(?:_[ \t]*+){3,}+|={3,}+[ \t]*+|-{2}[ \t]*+))$",
    re.MULTILINE,
)
def rules(match: re.Match[str]) -> str | None:
    """`---` between parts, and below a heading."""
    return ""


@rule(rf"{_INDENT}(?P<said>[-*+•▪◦‣·][ \t]++(?:\[[ xX]\][ \t]++)?)(?=\S)", re.MULTILINE)
def items(match: re.Match[str]) -> str | None:
    """`- item`, `* [ ] task`. `+ 5` and `- 5 = ` go on with a sum."""
    rest = match.string[match.end() : match.end() + 24]
    return None if match["said"][0] in "-+*" and re.match(r"[0-9.,]+\s*[-+*/=]\s*[0-9]", rest) else ""


@rule(rf"{_INDENT}(?P<said>[0-9]{{1,4}}[.)][ \t]++\[[ xX]\][ \t]++)(?=\S)", re.MULTILINE)
def tasks(match: re.Match[str]) -> str | None:
    return match["said"].partition("[")[0]


_DELIMITERS = re.compile(r"[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")


def tables(text: str) -> Iterator[Said]:
    """The cells of a row are parted by commas; the line below the head is silent."""
    if "|" not in text or "-" not in text:
        return
    at, before, inside = 0, (0, 0), False
    for line in text.split("\n"):
        start, at = at, at + len(line) + 1
        if "|" not in line:
            inside = False
        elif inside:
            yield from _row(text, start, at - 1)
        elif "|" in text[before[0] : before[1]] and _DELIMITERS.fullmatch(line):
            inside = True
            yield from _row(text, *before)
            yield Said(start, min(at, len(text)), "")
        before = start, at - 1


_BAR = re.compile(r"[ \t]*+(?<!\\)\|[ \t]*+")


def _row(text: str, start: int, end: int) -> Iterator[Said]:
    for bar in _BAR.finditer(text, start, end):
        edge = not text[start : bar.start()].strip() if bar.start() - start < 300 else False
        edge = edge or not text[bar.end() : min(end, bar.end() + 300)].strip()
        yield Said(*bar.span(), "" if edge else ", ")


# Emphasis


@dataclass(slots=True)
class _Opened:
    """Marks that have not been closed yet."""

    end: int
    count: int
    #: Letters or digits stand on both sides.
    inner: bool


_MARKS = re.compile(r"(?<!\\)(?P<run>\*++|_++|~++)|\n(?=[ \t]*+(?:\n|[-+*>#|]|[0-9]{1,4}[.)][ \t]))|(?P<blank>[ \t\n])")
#: Longer runs are lines to write on, or to part.
_MAX_RUN = 3


def emphasis(text: str) -> Iterator[Said]:
    """`**bold**`, `_italic_`, `~~struck~~`: the marks are silent, what they enclose is said."""
    opened: dict[str, list[_Opened]] = defaultdict(list)
    blank = 0
    for found in _MARKS.finditer(text):
        run = found["run"]
        if run is None:
            blank = found.start()
            if found["blank"] is None:
                opened.clear()
            continue
        if len(run) > _MAX_RUN or (run[0] == "~" and len(run) != 2):
            continue
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        if not _is_mark(text, run, found.start(), found.end()):
            continue
        inner = _is_latin(before) and _is_latin(after)
        left = len(run)
        if before and not before.isspace() and not (run[0] == "_" and _goes_on(text, found.end())):
            for said in _close(opened[run[0]], found, inner, blank):
                left -= said.end - said.start if said.start >= found.start() else 0
                yield said
        # `Price*:` opens nothing.
        behind_word = _is_latin(before) and not after.isalnum()
        if left and after and not after.isspace() and not behind_word and not (run[0] == "_" and _is_latin(before)):
            opened[run[0]].append(_Opened(found.end(), left, inner))


def _close(stack: list[_Opened], found: re.Match[str], inner: bool, blank: int) -> Iterator[Said]:
    """Closes what is open, the last first. Marks within a word close in the same word only."""
    at, end = found.span()
    while at < end and stack:
        last = stack[-1]
        if (inner or last.inner) and last.end <= blank:
            if not last.inner:
                return
            stack.pop()
            continue
        count = min(last.count, end - at)
        yield Said(last.end - count, last.end, "")
        yield Said(at, at + count, "")
        at += count
        last.end -= count
        last.count -= count
        if not last.count:
            stack.pop()


def _goes_on(text: str, end: int) -> bool:
    """Whether a name goes on behind an underscore: `__init__.py`."""
    return _is_latin(text[end : end + 1]) or (text[end : end + 1] == "." and _is_latin(text[end + 1 : end + 2]))


def _is_latin(ch: str) -> bool:
    return ch.isalnum() and ch < "\u0250"


def _is_mark(text: str, run: str, start: int, end: int) -> bool:
    """Not between numbers, nor between single letters: `2*3`, `a*b`."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if run[0] != "*" or not (_is_latin(before) and _is_latin(after)):
        return True
    if before.isdigit() or after.isdigit():
        return False
    return (start > 1 and _is_latin(text[start - 2])) or (len(text) > end + 1 and _is_latin(text[end + 1]))
