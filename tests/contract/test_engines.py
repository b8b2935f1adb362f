"""The contract of every engine: the same suite runs on each that can run here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from antiphon import plugins
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Engine
from antiphon.domain.request import EMOTIONS
from antiphon.domain.unit import SpeechParams
from tests import ear


class Quiet:
    """A context that nobody cancels, or that is cancelled after some questions."""

    def __init__(self, after: int | None = None) -> None:
        self.asked, self.after = 0, after

    def cancelled(self) -> bool:
        self.asked += 1
        return self.after is not None and self.asked > self.after

    def progress(self, fraction: float) -> None:
        assert 0 <= fraction <= 1


@pytest.fixture(scope="module", params=["tone", "espeak", pytest.param("kokoro", marks=pytest.mark.models)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = str(ear.model("kokoro")) if request.param == "kokoro" else ""
    module, _, name = plugins.engine_reference(request.param).partition(":")
    made: Engine = getattr(import_module(module), name)({"dir": folder, "threads": 1})
    made.load(lambda name, fraction=None: None)
    made.warm()
    yield made
    made.close()


def say(engine: Engine, text: str, context: Quiet | None = None, **more: Any) -> bytes:
    can = engine.capabilities()
    voice = more.pop("voice", can.default_voice)
    language = more.pop("language", "en")
    params = SpeechParams(text, voice, language, **more).as_params()
    return b"".join(chunk.payload for chunk in engine.run(params, context or Quiet()))


def seconds(engine: Engine, audio: bytes) -> float:
    return len(audio) / 2 / engine.capabilities().sample_rate


def test_capabilities_are_whole(engine: Engine) -> None:
    can = engine.capabilities()
    assert isinstance(can, Capabilities)
    assert can.kind == "speech"
    assert can.sample_rate >= 8000
    assert can.revision
    ids = [voice.id for voice in can.voices]
    assert len(ids) == len(set(ids))
    assert can.default_voice in ids
    assert set(can.voice_by_language.values()) <= set(ids)
    assert set(can.emotions) <= set(EMOTIONS)
    assert 0 < can.speed_min <= 1 <= can.speed_max
    assert 0 < can.cut.first_chars <= can.cut.target_chars <= can.cut.max_chars
    assert engine.capabilities() == can


def test_it_speaks_whole_samples_that_are_not_silent(engine: Engine) -> None:
    audio = say(engine, "Hello there, how are you today?")
    assert len(audio) % 2 == 0
    assert 0.3 < seconds(engine, audio) < 10
    assert any(audio)


def test_longer_texts_are_longer(engine: Engine) -> None:
    short, long = say(engine, "One."), say(engine, "One, two, three, four, five, six, seven, eight, nine, ten.")
    assert len(long) > 1.5 * len(short)


def test_every_voice_of_the_first_three_speaks(engine: Engine) -> None:
    for voice in engine.capabilities().voices[:3]:
        language = voice.languages[0].partition("-")[0] if voice.languages else "en"
        assert any(say(engine, "Hello." if language != "zh" else "你好。", voice=voice.id, language=language))


def test_an_unknown_voice_is_an_error_and_no_end(engine: Engine) -> None:
    for name in ("nobody", "../../etc/passwd", "a\0b"):
        with pytest.raises(errors.AntiphonError):
            say(engine, "Hello.", voice=name)
    assert any(say(engine, "Still here."))


def test_speed_at_both_ends(engine: Engine) -> None:
    can = engine.capabilities()
    text = "This sentence is said slowly, and then it is said again in a hurry."
    slow, fast = (seconds(engine, say(engine, text, speed=s)) for s in (can.speed_min, can.speed_max))
    assert slow >= fast
    if can.speed_max / can.speed_min > 2:
        assert slow > 1.5 * fast


def test_emotions_change_the_sound(engine: Engine) -> None:
    plain = say(engine, "The same words in another mood.")
    for name in engine.capabilities().emotions:
        assert say(engine, "The same words in another mood.", emotion={name: 1.0}) != plain, name


def test_deterministic_engines_repeat_themselves(engine: Engine) -> None:
    first, second = (say(engine, "Say it again.") for _ in range(2))
    if engine.capabilities().deterministic:
        assert first == second
    assert abs(len(first) - len(second)) < engine.capabilities().sample_rate / 10


def test_a_cancelled_unit_ends_early(engine: Engine) -> None:
    text = "A long text that nobody wants to hear to its end. " * 5
    full = say(engine, text)
    with_cancel = b""
    try:
        with_cancel = say(engine, text, Quiet(after=0))
    except errors.Cancelled:
        return
    assert len(with_cancel) < len(full) or len(with_cancel) == 0


@pytest.mark.parametrize(
    "text", ["\x00", "\x01", "a\x00b", "<speak>hi</speak>", "[[h@'loU]]", "a" * 2000, "...", "😀", "\u202e", "ok\n\nok"]
)
def test_strange_texts_are_spoken_or_refused_and_no_end(engine: Engine, text: str) -> None:
    with contextlib.suppress(errors.AntiphonError):
        assert len(say(engine, text)) % 2 == 0
    assert any(say(engine, "Still here."))
