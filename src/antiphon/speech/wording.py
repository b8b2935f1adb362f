"""Wording: what is said for the text of a request: without its markup, and with numbers and signs as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from antiphon.domain.engine import Capabilities
from antiphon.domain.request import SpeechRequest
from antiphon.reading import markup as documents
from antiphon.reading import reader, switches
from antiphon.reading.said import Said
from antiphon.text import language as languages
from antiphon.text import markup

#: Readings that are kept, and the most characters of a text of which they are: a text is planned more than once, and
#: many say the same sentences.
KEPT, KEPT_CHARS = 4096, 1000


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said for a segment."""

    text: str
    #: What is said otherwise than it is written, with its place in the segment's text without the blanks around it.
    changes: tuple[Said, ...] = ()


def without_markup(text: str, request: SpeechRequest) -> str:
    """The text without Markdown, HTML, stage directions and pictures; SSML, and the marks of pauses, stay."""
    if request.reading == "off" or markup.is_ssml(text, request.ssml):
        return text
    found = _plain_text(text) if len(text) <= KEPT_CHARS else documents.plain_text(text)
    # The same object where nothing changed, which callers look for.
    return text if found == text else found


class Reader:
    """Reads the segments of one request for one model."""

    def __init__(self, request: SpeechRequest, capabilities: Capabilities) -> None:
        off = frozenset(name for name, wanted in request.normalization_options.items() if not wanted)
        self._off = off & frozenset(switches.NAMES)
        self._leaves_all = request.reading == "off"
        self._own = capabilities.normalises

    def reads(self, language: str) -> bool:
        """Whether a text of the language is read here, and not by the engine."""
        return not self._leaves_all and "*" not in self._own and language not in self._own

    def read(self, text: str, language: str) -> Spoken:
        """What is said for a segment, whose text has no blanks around it."""
        if not self.reads(language):
            return Spoken(text)
        if language == "en" and not text.isascii() and languages.detect(text) == "zh":
            # A paragraph of Chinese in an English text: its numbers are Chinese.
            language = "zh"
        read = _kept if len(text) <= KEPT_CHARS else _read
        return read(text, language, self._off)


def _read(text: str, language: str, off: frozenset[str]) -> Spoken:
    reading = reader.read(text, language, off)
    return Spoken(reading.text.strip(), tuple(reading.changes()))


_kept = lru_cache(maxsize=KEPT)(_read)


_plain_text = lru_cache(maxsize=KEPT)(documents.plain_text)
