"""How IndexTTS says what does not come out well, without the model: seeds, halves, bounds, and the cache of voices."""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS
from antiphon.engines import model_folder
from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.indextts import emotion, pieces
from antiphon.engines.indextts.base import IndexTTS
from antiphon.engines.indextts.guard import Guard, letters
from antiphon.engines.indextts.indextts2 import IndexTTS2
from antiphon.engines.indextts.indextts25 import IndexTTS25
from antiphon.engines.indextts.interrupt import Interrupt
from antiphon.engines.indextts.options import Options, generation
from antiphon.engines.indextts.reading import Manner, Reading, Readings
from antiphon.engines.indextts.seeding import derive
from antiphon.engines.references import References

RATE = 1000
TEXT = "One sentence is here, and it goes on. Another sentence follows behind it."


def loud(seconds: float) -> np.ndarray:
    return np.full(int(seconds * RATE), 9000, np.int16)


class Speaker:
    """Says a text well if `can(text, seed)`; otherwise what comes out is silence."""

    def __init__(self, can: object) -> None:
        self.can, self.asked = can, list[tuple[str, int]]()

    def __call__(self, text: str, seed: int) -> np.ndarray:
        self.asked.append((text, seed))
        good = self.can(text, seed)  # type: ignore[operator]
        return loud(letters(text) * 0.1) if good else np.zeros(2000, np.int16)


def speak(speaker: Speaker, text: str = TEXT, seed: int = 7) -> list[np.ndarray]:
    return list(pieces.speak(pieces.Utterance(text, seed, Guard(), RATE, 1.0), speaker))


def test_what_comes_out_well_is_said_once_with_the_requests_seed() -> None:
    speaker = Speaker(lambda text, seed: True)
    assert len(speak(speaker)) == 1
    assert speaker.asked == [(TEXT, 7)]


def test_another_seed_is_tried_and_always_the_same_one() -> None:
    speaker = Speaker(lambda text, seed: seed != 7)
    assert len(speak(speaker)) == 1
    assert speaker.asked == [(TEXT, 7), (TEXT, derive(7, (), 1))]
    again = Speaker(lambda text, seed: seed != 7)
    speak(again)
    assert again.asked == speaker.asked


def test_then_it_is_said_in_halves_cut_behind_a_sentence() -> None:
    speaker = Speaker(lambda text, seed: len(text) < 50)
    found = speak(speaker)
    said = [text for text, _ in speaker.asked]
    assert said == [TEXT] * pieces.TRIES + [TEXT[:37], TEXT[38:]]
    assert len(found) == 2
    assert len({seed for _, seed in speaker.asked}) == len(speaker.asked)


def test_then_it_is_refused_with_what_was_wrong() -> None:
    speaker = Speaker(lambda text, seed: False)
    with pytest.raises(errors.UnitFailed, match="only silence came out, 3 times"):
        speak(speaker)
    # The whole, its first half, and that one's first half.
    assert len(speaker.asked) == 3 * pieces.TRIES


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("短。", None),
        ("Twelve letters here or so", None),
        ("这是第一句话。这是第二句话。", ("这是第一句话。", "这是第二句话。")),
        ("no marks at all in this text of words", ("no marks at all in", "this text of words")),
        ("a" * 40, ("a" * 20, "a" * 20)),
    ],
)
def test_where_a_text_is_halved(text: str, halves: tuple[str, str] | None) -> None:
    assert pieces.halved(text) == halves


def test_a_pronunciation_mark_is_never_cut() -> None:
    text = "aaaaaaaaaaaa <going there now|G OW1 . IH0 NG DH EH1 R> bbbbbbbbbbbb"
    halves = pieces.halved(text)
    assert halves is not None
    assert any("<going there now|G OW1 . IH0 NG DH EH1 R>" in half for half in halves)


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        (loud(0), "no sound"),
        (np.zeros(5000, np.int16), "only silence"),
        (loud(2), None),
        (loud(60), "did not come to an end"),
        (np.concatenate([loud(0.1), np.zeros(2000, np.int16)]), "broke off"),
    ],
)
def test_the_guard(audio: np.ndarray, problem: str | None) -> None:
    found = Guard().problem(audio, RATE, letters("twenty letters of text"), 1.0)
    assert found is None if problem is None else problem in str(found)


def test_slow_speech_may_last_longer() -> None:
    guard = Guard()
    assert guard.problem(loud(14), RATE, 20, 1.0)
    assert guard.problem(loud(14), RATE, 20, 2.0) is None


def test_emotions_are_eight_weights_within_their_sum() -> None:
    assert emotion.asked({"neutral": 1.0}, 0.8) == [0, 0, 0, 0, 0, 0, 0, 0.8]
    assert emotion.asked({"neutral": 1.0}, 0.0) is None
    assert emotion.asked({}, 0.8) is None
    assert emotion.vector({}) is None
    assert emotion.vector({"happy": 0.5}) == [0.5, 0, 0, 0, 0, 0, 0, 0]
    for found in (emotion.vector({"happy": 1.0, "sad": 1.0}), emotion.asked({"happy": 1.0, "sad": 1.0}, 0.8)):
        assert found is not None
        assert sum(found) == pytest.approx(emotion.MAX_SUM)
    for bad in ({"happy": float("nan")}, {"happy": -1.0}, {"happy": 1.25}, {"bored": 0.5}):
        with pytest.raises(errors.InvalidRequest):
            emotion.asked(bad, 0.8)


def test_emotions_are_weighed_as_on_the_official_page() -> None:
    """In the order happy, angry, sad, afraid, disgusted, melancholic, surprised, calm."""
    factors = [0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625]
    for n, (name, factor) in enumerate(zip(EMOTIONS, factors, strict=True)):
        assert emotion.asked({name: 0.4}, 0.8) == pytest.approx([0.4 * factor * (k == n) for k in range(8)])
    # Factors first, the common scale after them.
    assert emotion.asked({"calm": 1.0, "sad": 1.0}, 0.8) == pytest.approx(
        [0, 0, 0.8 / 1.5625, 0, 0, 0, 0, 0.45 / 1.5625]
    )


class Tensor:
    def __init__(self, size: int) -> None:
        self.size = size

    def numel(self) -> int:
        return self.size

    def element_size(self) -> int:
        return 1


def test_the_cache_of_voices_keeps_to_its_bytes_and_the_least_used_goes() -> None:
    cache = ConditioningCache(100)
    for name in "ab":
        cache.get(name, lambda: (Tensor(30), [Tensor(10)]))
    cache.get("a", lambda: pytest.fail("it is there"))
    cache.get("c", lambda: Tensor(40))
    assert (cache.nbytes, len(cache)) == (80, 2)
    cache.get("a", lambda: pytest.fail("it was used last"))
    made = list[str]()
    cache.get("b", lambda: made.append("b") or Tensor(1))
    assert made == ["b"]
    cache.get("giant", lambda: Tensor(1000))
    assert cache.nbytes <= 100


class Module:
    """Stands for a part of the model: a step is a call."""

    def register_forward_pre_hook(self, hook: Callable[..., None]) -> None:
        self.step = hook


class Listening:
    def __init__(self) -> None:
        self.told: list[float] = []

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        self.told.append(fraction)


def test_progress_follows_the_stages_and_never_goes_back() -> None:
    codes, flow, vocoder = Module(), Module(), Module()
    interrupt, context = Interrupt(codes, flow, vocoder), Listening()
    with interrupt.watching(context):
        # The first half is said twice, and longer than was expected.
        for part in ((0.0, 0.5), (0.0, 0.5), (0.5, 1.0)):
            interrupt.begin((10.0, 4.0), part)
            for module, count in ((codes, 13), (flow, 4), (vocoder, 1)):
                for _ in range(count):
                    module.step(module)
    assert context.told == sorted(set(context.told))
    assert (context.told[0], context.told[-1]) == (pytest.approx(0.025), pytest.approx(1.0))
    assert len(context.told) == 2 * (10 + 4 + 1)
    # Nobody is told of what comes behind the unit.
    codes.step(codes)
    assert context.told[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("engine", [IndexTTS25, IndexTTS2])
@pytest.mark.parametrize(
    ("options", "device"),
    [
        ({}, "cuda:0"),
        ({"precision": "float32"}, "cuda:0"),
        ({"sound_precision": "bfloat16"}, "cpu"),
        ({"num_beams": 3}, "cpu"),
        ({"reference_seconds": 8.0}, "cpu"),
        ({"calm": 0.0}, "cpu"),
    ],
    ids=str,
)
def test_the_cache_forgets_what_another_setup_said(
    engine: type[IndexTTS], options: dict[str, object], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    plain = {"dir": "/nowhere", "precision": "bfloat16"}
    usual = engine(plain)._deciding("cpu")
    changed = engine({**plain, **options})._deciding(device)
    assert changed != usual
    # The number of a card of the same kind changes nothing.
    assert engine({**plain, **options})._deciding(device.replace(":0", ":1")) == changed
    if options.get("precision"):
        assert engine(plain)._deciding(device) != changed
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.1")
    assert engine(plain)._deciding("cpu") != usual


def test_one_beam_is_the_default() -> None:
    """More take as many times longer, and nothing was measured that they improve."""
    assert Options.of({"dir": "/nowhere"}).num_beams == 1
    assert generation({}, Options.of({"dir": "/nowhere"}).num_beams) == {"num_beams": 1}


def test_an_option_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no option 'row' .* rows"):
        Options.of({"dir": "/nowhere", "row": 3})
    given = {"dir": "/nowhere", "model_dir": "/here", "threads": 1, "voices": "", "uploads": "/there"}
    assert Options.of(given).threads == 1


@pytest.mark.parametrize(
    ("name", "value"), [("rows", "abc"), ("rows", 1.5), ("rows", 65), ("rows", True), ("calm", "much"), ("calm", None)]
)
def test_an_option_that_is_no_number_is_refused_in_words(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a .*number between"):
        Options.of({"dir": "/nowhere", name: value})


def test_a_request_asks_for_whole_numbers_where_there_are_no_others() -> None:
    assert generation({"top_k": 20.0, "temperature": 0.7}, 1) == {"num_beams": 1, "top_k": 20, "temperature": 0.7}
    with pytest.raises(errors.InvalidRequest, match="whole number"):
        generation({"diffusion_steps": 4.7}, 1)


def test_who_needs_a_text_that_was_read_does_not_wait_for_another_one() -> None:
    begun, go = threading.Event(), threading.Event()

    def read(text: str, manner: Manner) -> Reading:
        if text == "slow":
            begun.set()
            assert go.wait(30)
        return Reading(float(len(text)), ())

    readings = Readings(read)
    readings.of("quick", Manner("en"))
    slow = readings.ahead("slow", Manner("en"))
    assert begun.wait(30)
    # With one lock for both this would never return.
    assert readings.of("quick", Manner("en")).length == 5
    assert not slow.done()
    go.set()
    assert slow.result().length == 4
    readings.close()


@pytest.mark.parametrize("there", [True, False])
def test_japanese_is_offered_with_its_dictionary_only(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
    assert ("ja" in IndexTTS25({"dir": "/nowhere"}).languages) is there


def test_the_allocator_grows_its_segments_unless_the_operator_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    name, value = model_folder.ALLOCATOR
    for own in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        environment = {own: "max_split_size_mb:64"}
        monkeypatch.setattr(os, "environ", environment)
        model_folder.seal()
        assert environment[own] == "max_split_size_mb:64"
        assert own == name or name not in environment
    monkeypatch.setattr(os, "environ", environment := {})
    model_folder.seal()
    assert environment[name] == value == "expandable_segments:True"


def test_a_model_without_a_voice_of_its_own_has_one_that_espeak_speaks(tmp_path: Path) -> None:
    references = References(tmp_path, None)
    assert references.names == ("default",)
    assert Path(references.of_voice("").path).stat().st_size > 100_000
    references.close()
