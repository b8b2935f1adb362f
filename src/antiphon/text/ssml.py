"""SSML: reads the part of SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/) that every model can follow.

It knows `speak p s break prosody(rate) sub say-as`, and refuses any other element by name: a listener would take an
element that is silently ignored for a fault. The standard library's expat parses it, and declarations are refused, so
no entity is ever expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from antiphon.domain import errors
from antiphon.text.spans import Span, Spans

#: Most elements nested in each other.
MAX_DEPTH = 24
RATE_MIN, RATE_MAX = 0.25, 4.0
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
#: Seconds of a break, by its strength.
STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
ELEMENTS = ("speak", "p", "s", "break", "prosody", "sub", "say-as")
#: Values of `interpret-as`, and whether the characters are spoken one by one.
SAY_AS = {
    "digits": True,
    "telephone": True,
    "characters": True,
    "spell-out": True,
    "verbatim": True,
    "cardinal": False,
    "number": False,
}

_OPENS = re.compile(r"\s*+(?:<\?xml[^>]{0,200}\?>\s*+)?<speak[\s>/]")
_CLOSES = re.compile(r"(?:</speak\s{0,20}>|<speak[^<>]{0,500}/>)\s*+\Z")
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s)")
_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(%?)")


def looks_like(text: str) -> bool:
    if _OPENS.match(text) is None:
        return False
    end = text.rstrip()
    return _CLOSES.search(end, max(0, len(end) - 600)) is not None


def parse(text: str) -> list[Span]:
    """The text's spans. Raises `InvalidText` that names the line and what is wrong there."""
    return _Reader().read(text)


@dataclass(frozen=True, slots=True)
class _Frame:
    """An open element, and what applies inside it."""

    name: str
    rate: float = 1.0
    #: Whether characters are spoken one by one.
    spell: bool = False
    #: Spoken in place of the element's content.
    alias: str | None = None


class _Reader:
    def __init__(self) -> None:
        self._spans = Spans()
        self._stack: list[_Frame] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._declared
        parser.EntityDeclHandler = self._declared
        parser.ProcessingInstructionHandler = self._declared

    def read(self, text: str) -> list[Span]:
        # An XML declaration may name an encoding, but the text is decoded already.
        body = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text)
        try:
            self._parser.Parse(body.encode("utf-8", "replace"), True)
        except expat.ExpatError as e:
            raise errors.InvalidText(
                f"SSML, line {e.lineno}: {expat.errors.messages[e.code]}. Write & as &amp; and < as &lt;", param="text"
            ) from None
        return self._spans.done() or [Span("")]

    # Called by the parser

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._stack and name != "speak":
            self._wrong("SSML must be wrapped in <speak>…</speak>")
        if len(self._stack) >= MAX_DEPTH:
            self._wrong(f"elements are nested deeper than {MAX_DEPTH}")
        outer = self._stack[-1] if self._stack else _Frame("")
        frame = _Frame(name, outer.rate, outer.spell, outer.alias)
        match name:
            case "speak" | "p" | "s":
                pass
            case "break":
                self._spans.pause(self._break(attributes))
            case "prosody":
                frame = _Frame(name, self._rate(attributes, outer.rate), outer.spell, outer.alias)
            case "sub":
                frame = self._sub(attributes, outer)
            case "say-as":
                frame = _Frame(name, outer.rate, self._spell(attributes), outer.alias)
            case _:
                self._wrong(f"<{name[:40]}> is not understood here; there are: {', '.join(ELEMENTS)}")
        self._stack.append(frame)

    def _end(self, name: str) -> None:
        self._stack.pop()
        if name in ("p", "s"):
            self._spans.add("\n\n" if name == "p" else "\n", self._stack[-1].rate)

    def _text(self, text: str) -> None:
        frame = self._stack[-1]
        if frame.alias is None:
            self._spans.add(spelled(text) if frame.spell else text, frame.rate)

    def _declared(self, *_: object) -> None:
        self._wrong("declarations and processing instructions are not taken")

    # Attributes

    def _break(self, attributes: dict[str, str]) -> float:
        self._known("break", attributes, ("time", "strength"))
        if "time" in attributes:
            time = _TIME.fullmatch(attributes["time"].strip())
            if time is None:
                self._wrong('the time of a break is written like "500ms" or "1.5s"')
            return float(time[1]) / (1000 if time[2] == "ms" else 1)
        strength = attributes.get("strength", "medium")
        if strength not in STRENGTHS:
            self._wrong(f"the strength of a break is one of {', '.join(STRENGTHS)}")
        return STRENGTHS[strength]

    def _rate(self, attributes: dict[str, str], outer: float) -> float:
        self._known("prosody", attributes, ("rate",))
        rate = attributes.get("rate", "medium").strip()
        number = _NUMBER.fullmatch(rate)
        if rate in RATES:
            factor = RATES[rate]
        elif number is None:
            self._wrong(f'the rate of prosody is one of {", ".join(RATES)}, or like "80%", "+20%" or "1.2"')
        elif number[3]:
            change = float(number[2]) / 100
            factor = 1 + change if number[1] == "+" else 1 - change if number[1] else change
        else:
            factor = float(number[1] + number[2])
        if not RATE_MIN <= outer * factor <= RATE_MAX:
            self._wrong(f"the rate must stay between {RATE_MIN} and {RATE_MAX} times the usual")
        return outer * factor

    def _sub(self, attributes: dict[str, str], outer: _Frame) -> _Frame:
        self._known("sub", attributes, ("alias",))
        if "alias" not in attributes:
            self._wrong("sub needs an alias, which is said in its place")
        if outer.alias is None:
            self._spans.add(attributes["alias"], outer.rate)
        return _Frame("sub", outer.rate, outer.spell, attributes["alias"])

    def _spell(self, attributes: dict[str, str]) -> bool:
        self._known("say-as", attributes, ("interpret-as", "format", "detail"))
        kind = attributes.get("interpret-as", "")
        if kind not in SAY_AS:
            self._wrong(f"interpret-as is one of {', '.join(SAY_AS)}")
        return SAY_AS[kind]

    def _known(self, element: str, attributes: dict[str, str], known: tuple[str, ...]) -> None:
        for name in attributes:
            if name not in known:
                self._wrong(f"{element} has no {name[:40]} here; it takes {', '.join(known)}")

    def _wrong(self, what: str) -> NoReturn:
        raise errors.InvalidText(f"SSML, line {self._parser.CurrentLineNumber}: {what}", param="text")


def spelled(text: str) -> str:
    """Each letter and digit apart, with a comma, which is a short pause, between groups."""
    groups = [" ".join(group) for group in re.findall(r"[^\W_]+", text)]
    return f" {', '.join(groups)} " if groups else text
