"""Blocks: the parts of a long text whose markup is read apart.

A single call of `re` holds up every thread of the process until it returns, and a mark seldom reaches far. So a long
text is cut at blank lines; not inside what may hold some: code between fences, comments, scripts. Only where there is
none for long, it is cut at a line break, then at a blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Characters from which on the next blank line ends a block, and most characters of one.
LEAST, MOST = 16 * 1024, 64 * 1024
#: Most characters of the definitions of links that every block is read with.
DEFINITIONS = 8 * 1024
#: What a blank line does not end, and what does; for a line of code the fence, which must begin a line.
_OPENED = re.compile(r"<!--|<(?:script|style|template|noscript)[\s>]|^[ \t>]{0,24}(?:```|~~~)", re.MULTILINE | re.I)
_DEFINITION = re.compile(r"[ ]{0,3}\[\^?[^\[\]\n]{1,200}\]:[ \t]+[^\s\n]\S{0,300}.{0,200}")


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Where each block begins and ends."""
    start = 0
    while len(text) - start > MOST:
        end = _end(text, start)
        yield start, end
        start = end
    yield start, len(text)


def _end(text: str, start: int) -> int:
    """Where the block that begins at `start` ends."""
    least, most = start + LEAST, start + MOST
    unclosed: set[str] = set()
    at = start
    while at < most:
        opened = _OPENED.search(text, at, most)
        if (blank := text.find("\n\n", max(at, least), opened.start() if opened else most)) >= 0:
            return blank + 2
        if opened is None:
            break
        at, closing = opened.end(), _closing(opened[0].lower())
        if closing not in unclosed and (closed := text.find(closing, at, most + MOST)) >= 0:
            at = closed + len(closing)
        else:
            unclosed.add(closing)
    for gap in ("\n", " "):
        if (found := text.rfind(gap, least, most)) >= 0:
            return found + 1
    return most


def _closing(opened: str) -> str:
    if opened == "<!--":
        return "-->"
    return f"</{opened[1:-1]}" if opened[0] == "<" else "\n" + opened[-3:]


def definitions(text: str) -> str:
    """The lines that define links by name, for blocks that do not hold them; a bounded number."""
    found: list[str] = []
    size, at = 0, 0
    while size < DEFINITIONS and (mark := text.find("]: ", at)) >= 0:
        line = text.rfind("\n", max(0, mark - 256), mark) + 1
        at = mark + 3
        if (match := _DEFINITION.match(text, line)) is not None and match.end() > mark:
            found.append(match[0])
            size += len(match[0])
            at = match.end()
    return "\n".join(found)
