"""P20: whatever a client writes, reading it takes time linear in its length, and little of it for each character.

Time is that of the thread's own processor (`time.thread_time`), which a busy machine stretches far less than the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import pkgutil
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import antiphon.text
from antiphon.api import compat, request_body
from antiphon.api.bodies import SpeechBody
from antiphon.audio import subtitles
from antiphon.cli import book
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Cut
from antiphon.domain.request import SpeechRequest, Turn
from antiphon.speech import plan, planner, session
from antiphon.text import (
    chapters,
    clauses,
    emotion_words,
    incremental,
    language,
    length,
    markup,
    normalise,
    segment,
    sentences,
    spans,
    ssml,
    transcript,
)

#: Characters of the shorter text; the other one is twice as long.
N = 6000
#: The longer text may take this many times as long as the shorter one.
MOST_GROWTH = 2.5
#: Seconds that are noise: a quadratic function that needs less for 2 N characters has small change as its factor.
NOISE = 0.004
#: Seconds for each character. About a tenth is the most that was seen.
MOST_WORK = 150e-6
#: Measurements until too fast a growth is believed.
TRIES = 6

ATOMS = (
    *("\u0301", "\u0301\u0323", "a\u0301\u0323", "\u0f73", "\u1161", "! ", "!", "? a", ".", "…", "a. ", "1. ", "Dr. ", "A. "),
    *('"', '"a." ', "“a", "» ", "(", "(a", "(a.) ", "（a。）", "[", "[pause] ", "a[pause 1ms] ", "[pause", "<", "&amp;", "<s/>"),
    *("<p>a</p>", "<break time='1ms'/>a", "<prosody rate='1.1'>a</prosody>b ", "\n", "a\n", "a\n\n", " \n", "\u3000", "\u3000. J"),
    *("😀", "😀a", "\u200b", "\u200da", "\ud800", "好", "好。", "，好", "「好。」", "7", "1,", "a, ", "_", "- a\n", "# a\n"),
    *("Chapter 1\n", "第1章\n", "no ", "very "),
)  # fmt: skip
_random = random.Random(20)
PAIRS = tuple(a * _random.choice((1, 3)) + b for a, b in (_random.sample(ATOMS, 2) for _ in range(8)))
#: For the rows of `SLOW`, which take up to 20 µs for each character.
COSTLY = ("\u0301\u0323", "! ", "!", "a. ", "1. ", "a\n\n", "好。", "「好。」", "\u3000. J", "\n")

CUT = Cut()
MODEL = Capabilities(kind="speech", sample_rate=24000, revision="1")


def feed(text: str) -> None:
    splitter = incremental.Splitter("clause")
    splitter.feed(text)
    splitter.flush()


def feed_characters(text: str) -> None:
    splitter = incremental.Splitter()
    for ch in text:
        splitter.feed(ch)
    splitter.flush()


def cut(text: str) -> None:
    """One sentence, as long as the text."""
    lengths = length.LengthIndex(text, 2.5)
    list(clauses.cut(text, 0, len(text), lengths, 160, 300))
    clauses.head(text, 0, len(text), lengths, 12, 60)
    clauses.head_of_words(text, 0, len(text), lengths, 12, 60)


def measure(text: str) -> None:
    lengths = length.LengthIndex(text, 2.5)
    for start in range(0, len(text), 10):
        lengths.measure(start, lengths.reach(start, len(text), 300))


def collect(text: str) -> None:
    found = spans.Spans()
    for at, ch in enumerate(text):
        found.add(ch, 1.0 if at % 3 else 1.1)
        found.pause(0.001)
    found.done()


def pieces(text: str) -> list[dict[str, object]]:
    """The text as the pieces of a transcript."""
    parts = [text[at : at + 20] for at in range(0, len(text), 20)]
    return [
        {"language": "en", "text": part, "segments": [{"text": part, "start": 0.0, "end": 1.0, "words": []}]}
        for part in parts
    ]


def segments(text: str) -> list[dict[str, object]]:
    return [{"text": text[at : at + 300], "start": 0.0, "end": 1.0} for at in range(0, len(text), 300)]


def write_transcript(text: str) -> None:
    whole = transcript.joined(pieces(text), "transcribe", 9.0)
    transcript.subtitles(transcript.shifted(whole, 1.0))
    transcript.to_json(whole)
    transcript.to_verbose_json(whole, words=True)


def make_plan(text: str) -> None:
    request, tag, texts = planner._cleaned(SpeechRequest(text=text))
    made = plan.make(request, "m", MODEL, quick_first=True, language=tag, texts=texts)
    made.expected_audio(None)
    made.result_key()


def make_dialogue(text: str) -> None:
    parts = [text[at : at + 40] for at in range(0, len(text), 40)]
    request = SpeechRequest(text=text, turns=tuple(Turn(f"a {part}") for part in parts))
    plan.make(planner._cleaned(request)[0], "m", MODEL)


class Silence:
    """In place of the speech service, for a conversation of which nobody hears anything."""

    text_threads: Any = None


class Threadless:
    async def run_text(self, characters: int, function: Callable[..., object], *args: object) -> object:
        return function(*args)


def converse(text: str) -> None:
    """A conversation whose text comes in characters, and whose sentences all wait."""

    async def talk() -> None:
        speech: Any = Silence()
        speech.text_threads = Threadless()
        talking = session.SpeechSession(speech, "", session.Voice(SpeechRequest(text="a")))
        for ch in text:
            await talking.put(ch)

    asyncio.run(talk())


#: Every public function of `text/`, and classes, by what is done with a text. "": done by the row that is named.
FUNCTIONS: dict[str, Callable[[str], object] | str] = {
    "chapters.split": chapters.split,
    "clauses.cut": lambda text: cut(normalise.clean(text)),
    "clauses.head": "clauses.cut",
    "clauses.head_of_words": "clauses.cut",
    "clauses.spoken": lambda text: clauses.spoken(text, 0, len(text)),
    "emotion_words.emotion_weights": emotion_words.emotion_weights,
    "incremental.Splitter": feed,
    "language.detect": language.detect,
    "length.LengthIndex": measure,
    "length.cjk_count": length.cjk_count,
    "length.length": length.length,
    "markup.has_markup": markup.has_markup,
    "markup.is_ssml": markup.is_ssml,
    "markup.parse": markup.parse,
    "markup.parse_all": lambda text: list(markup.parse_all([text, text])),
    "normalise.clean": normalise.clean,
    "normalise.log_text": normalise.log_text,
    "segment.line_pause": segment.line_pause,
    "segment.segment": lambda text: segment.segment(normalise.clean(text), CUT, "en", quick_first=True),
    "sentences.ends": lambda text: sentences.ends(text, 0, len(text), "zh"),
    "spans.Spans": collect,
    "spans.check": "spans.Spans",
    "ssml.looks_like": ssml.looks_like,
    "ssml.parse": lambda text: ssml.parse(f"<speak>{text}</speak>"),
    "ssml.spelled": ssml.spelled,
    "transcript.follow": lambda text: transcript.follow(text, text, "en"),
    "transcript.joined": write_transcript,
    "transcript.shifted": "transcript.joined",
    "transcript.subtitles": "transcript.joined",
    "transcript.to_json": "transcript.joined",
    "transcript.to_verbose_json": "transcript.joined",
}
#: Those that read no text of a client.
OTHERS = {"chapters.read_book"}
#: Other rooms that read texts.
ELSEWHERE: dict[str, Callable[[str], object]] = {
    "audio.subtitles": lambda text: (subtitles.srt(segments(text)), subtitles.vtt(segments(text)), subtitles.to_json(segments(text))),
    "one long subtitle": lambda text: subtitles.srt([{"text": text, "start": 0.0, "end": 1.0}]),
    "api.compat.word_times": lambda text: compat.word_times(segments(text)),
    "api.request_body": lambda text: request_body.parse(SpeechBody, b'{"x":' + text.encode("utf-8", "replace")),
    "cli.book": lambda text: book.safe_name(text),
    "speech.plan": make_plan,
    "speech.session": converse,
    "a dialogue": make_dialogue,
}  # fmt: skip


def public_names() -> Iterator[str]:
    for info in pkgutil.iter_modules(antiphon.text.__path__):
        module = importlib.import_module(f"antiphon.text.{info.name}")
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
            # Classes that only hold values do nothing.
            works = inspect.isfunction(value) or (inspect.isclass(value) and "__init__" in vars(value))
            if own and works and not hasattr(value, "__dataclass_fields__"):
                yield f"{info.name}.{name}"


def test_every_public_function_is_in_the_table() -> None:
    assert set(public_names()) == set(FUNCTIONS) | OTHERS
    assert {row for row in FUNCTIONS.values() if isinstance(row, str)} <= set(FUNCTIONS)


def took(function: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    # A text may be refused; what counts is how soon.
    with contextlib.suppress(errors.AntiphonError):
        function(text)
    return time.thread_time() - began


@pytest.fixture(autouse=True)
def _without_collections() -> Iterator[None]:
    """The garbage collector looks at all objects of the process now and then."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def check(function: Callable[[str], object], atom: str) -> None:
    long = (atom * (2 * N // len(atom) + 1))[: 2 * N]
    small = took(function, long[:N])
    large = took(function, long)
    for _ in range(TRIES):
        if large <= max(NOISE, MOST_GROWTH * small):
            break
        small, large = max(small, took(function, long[:N])), min(large, took(function, long))
    assert large <= max(NOISE, MOST_GROWTH * small), f"{atom!r}: {N} take {small:.4f} s, twice as many {large:.4f} s"
    assert large <= 2 * N * MOST_WORK, f"{atom!r}: {large / (2 * N) * 1e6:.0f} µs for each character"


SLOW = {
    *("audio.subtitles", "one long subtitle", "speech.plan", "a dialogue", "api.compat.word_times"),
    *("incremental.Splitter", "spans.Spans", "segment.segment", "clauses.cut", "transcript.joined"),
    "emotion_words.emotion_weights",
}
ROWS = {name: row for name, row in FUNCTIONS.items() if not isinstance(row, str)} | ELSEWHERE


@pytest.mark.parametrize("name", ROWS)
def test_time_grows_with_the_text(name: str) -> None:
    for atom in ("Hi. ", "! ") if name == "speech.session" else COSTLY if name in SLOW else (*ATOMS, *PAIRS):
        check(ROWS[name], atom)


@pytest.mark.parametrize("atom", COSTLY)
def test_a_text_that_comes_in_characters_takes_as_little(atom: str) -> None:
    check(feed_characters, atom)


def test_pauses_after_a_long_text_do_not_copy_it() -> None:
    text = "好" * 200_000 + "[pause 1ms] " * 16_000
    assert len(markup.parse(text)) == 1
    # 0.03 s; to join the text again after each pause takes a hundred times as long.
    assert took(markup.parse, text) < 1
