"""Said: what is said for a text, and where in the text each character of it was written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """Characters `start` to `end` of a text are said as `text`: an empty one is silent, None is said as it is written
    (what looks like another kind and is not, so that no later rule reads it)."""

    start: int
    end: int
    text: str | None


#: Finds parts of a text that are said otherwise than they are written, in any order. Linear in the text.
Rule = Callable[[str], Iterable[Said]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it is said."""

    written: str
    text: str
    #: For each character of `text`, the characters of `written` that it is said for: from and to.
    starts: array[int]
    ends: array[int]

    def written_at(self, start: int, end: int) -> tuple[int, int]:
        """The written characters for which characters `start` to `end` of `text` are said. What a rule reads belongs
        together: a word of it was written by all of it."""
        if start >= end:
            raise ValueError(f"there is nothing from {start} to {end}")
        return min(self.starts[start:end]), max(self.ends[start:end])

    def changes(self) -> list[Said]:
        """What is said otherwise than it is written, in order and without overlap; nothing else is."""
        if self.text == self.written:
            return []
        found: list[Said] = []
        at = place = 0
        while place < len(self.text):
            start, end = self.starts[place], self.ends[place]
            stop = place + 1
            while stop < len(self.text) and (self.starts[stop], self.ends[stop]) == (start, end):
                stop += 1
            said = self.text[place:stop]
            if start > at:
                found.append(Said(at, start, ""))
            if start < at and found:
                # Read twice, and the second time over the border of two parts of the first.
                last = found.pop()
                start, said = last.start, (last.text or "") + said
                end = max(end, last.end)
            if said != self.written[start:end]:
                found.append(Said(start, end, said))
            at, place = max(at, end), stop
        if at < len(self.written):
            found.append(Said(at, len(self.written), ""))
        return found


def plain(text: str) -> Reading:
    """Said as it is written."""
    return Reading(text, text, array("l", range(len(text))), array("l", range(1, len(text) + 1)))


def apply(text: str, rules: Sequence[Rule]) -> Reading:
    """Reads a text by rules."""
    return replaced(text, select(text, rules))


def select(text: str, rules: Sequence[Rule]) -> list[Said]:
    """What rules find, in order: where two find the same characters, the rule that stands first counts, and of one
    rule what begins first."""
    taken = bytearray(len(text))
    found: list[Said] = []
    for rule in rules:
        for part in sorted(rule(text), key=lambda each: each.start):
            if part.start < part.end and not any(taken[part.start : part.end]):
                taken[part.start : part.end] = b"\x01" * (part.end - part.start)
                found.append(part)
    return sorted(found, key=lambda each: each.start)


def replaced(text: str, found: Sequence[Said]) -> Reading:
    """The reading of a text with `found` in it, which is in order and does not overlap."""
    if not found:
        return plain(text)
    pieces: list[str] = []
    starts, ends = array("l"), array("l")
    at = 0
    for part in (*found, Said(len(text), len(text), "")):
        if part.text is None:
            continue
        pieces += text[at : part.start], part.text
        starts.extend(range(at, part.start))
        ends.extend(range(at + 1, part.start + 1))
        starts.extend([part.start] * len(part.text))
        ends.extend([part.end] * len(part.text))
        at = part.end
    return Reading(text, "".join(pieces), starts, ends)


def chain(first: Reading, then: Reading) -> Reading:
    """`first`, and then what it says read again by `then`, as one reading of `first.written`."""
    if then.written != first.text:
        raise ValueError("the second reading is not of what the first one says")
    return Reading(
        first.written,
        then.text,
        array("l", (first.starts[at] for at in then.starts)),
        array("l", (first.ends[at - 1] for at in then.ends)),
    )


def join(readings: Iterable[Reading]) -> Reading:
    """Readings of parts of a text, as one of the whole."""
    written: list[str] = []
    text: list[str] = []
    starts, ends = array("l"), array("l")
    at = 0
    for each in readings:
        written.append(each.written)
        text.append(each.text)
        starts.extend(at + start for start in each.starts)
        ends.extend(at + end for end in each.ends)
        at += len(each.written)
    return Reading("".join(written), "".join(text), starts, ends)
