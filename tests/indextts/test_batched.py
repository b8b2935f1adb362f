"""The batched engine with the real packages on small random checkpoints: what a unit sounds like, and for whom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antiphon.domain import errors
from antiphon.domain.engine import Emitted, Ended, Progressed
from antiphon.domain.unit import SpeechParams, Wish
from antiphon.engines.indextts import indextts25
from antiphon.engines.indextts.batch.sampling import Sampling
from antiphon.engines.indextts.batched import BatchedIndexTTS
from tests.indextts import test_indextts25
from tests.indextts.conftest import MODEL
from tests.indextts.test_indextts25 import OTHER, TEXT, VOICE, voices

__all__ = ["voices"]


def make(models: Path, voices: Path, **options: Any) -> BatchedIndexTTS:
    given = {"dir": str(models / MODEL), "voices": str(voices), "normalise": [], "threads": 1, **options}
    made = indextts25.engine(given)
    assert isinstance(made, BatchedIndexTTS)
    made.load(lambda name, fraction=None: None)
    return made


@pytest.fixture(scope="module")
def engine(models: Path, voices: Path) -> Iterator[BatchedIndexTTS]:
    made = make(models, voices)
    made.warm()
    yield made
    made.close()


class Speaker:
    """Drives an engine as a worker does."""

    def __init__(self, engine: BatchedIndexTTS) -> None:
        self.engine, self.number = engine, 1000
        self.told: list[tuple[int, float]] = []

    def begin(self, text: str = TEXT, **more: Any) -> int:
        self.number += 1
        wish = Wish(live=more.pop("live", False), alone=more.pop("alone", False))
        params = SpeechParams(text, more.pop("voice", VOICE), more.pop("language", "en"), **more).as_params()
        self.engine.admit(self.number, params, wish)
        return self.number

    def finish(self, units: list[int], most: int = 5000) -> tuple[dict[int, bytes], dict[int, Exception]]:
        sound, wrong, left = dict.fromkeys(units, b""), {}, set(units)
        for _ in range(most):
            for event in self.engine.step():
                if isinstance(event, Emitted):
                    sound[event.unit] += event.chunk.payload
                elif isinstance(event, Progressed):
                    self.told.append((event.unit, event.fraction))
                else:
                    left.remove(event.unit)
                    if event.error is not None:
                        wrong[event.unit] = event.error
            if not left:
                return sound, wrong
        raise AssertionError(f"no end in {most} steps")

    def say(self, *args: Any, **more: Any) -> bytes:
        unit = self.begin(*args, **more)
        sound, wrong = self.finish([unit])
        if wrong:
            raise wrong[unit]
        return sound[unit]


@pytest.fixture
def speaker(engine: BatchedIndexTTS) -> Speaker:
    return Speaker(engine)


def test_it_says_how_it_shares_its_device(engine: BatchedIndexTTS) -> None:
    can = engine.capabilities()
    assert (can.sharing, can.slots) == ("one", 7)
    assert can.cloning


def test_units_at_the_same_time_sound_as_they_do_alone(speaker: Speaker) -> None:
    wishes = [
        {"text": f"Number {n} says {'some words ' * (n % 3)}to somebody.", "voice": (VOICE, OTHER)[n % 2], "seed": n,
         "emotion": {"happy": 0.4} if n % 3 else {}}
        for n in range(5)
    ]  # fmt: skip
    alone = [speaker.say(**wish) for wish in wishes]
    assert len(set(alone)) == 5
    units = [speaker.begin(**wish) for wish in wishes]
    sound, wrong = speaker.finish(units)
    assert not wrong
    assert [len(sound[unit]) for unit in units] == [len(each) for each in alone]
    assert all(same(sound[unit], each) for unit, each in zip(units, alone, strict=True))


def test_the_same_recipe_gives_the_same_samples_in_a_fresh_engine(speaker: Speaker, models: Path, voices: Path) -> None:
    first = speaker.say(seed=3)
    assert len(first) > 22050
    speaker.say("Something else.", voice=OTHER, emotion={"sad": 0.5}, seed=9)
    assert speaker.say(seed=3) == first
    # One that computes the voice anew for every unit.
    fresh = make(models, voices, voice_cache=0)
    assert Speaker(fresh).say(seed=3) == first
    fresh.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"speed": 1.5},
        {"voice": OTHER},
        {"emotion": {"happy": 0.8}},
        {"emotion": {"angry": 0.8}},
        {"options": {"emotion_ref": "b" * 64}},
        {"options": {"emotion_ref": "b" * 64, "emotion_strength": 0.5}},
        {"options": {"temperature": 1.4}},
        {"options": {"diffusion_steps": 10}},
        {"text": "Something else is said here now."},
        {"language": "es"},
    ],
    ids=str,
)
def test_each_of_these_changes_the_samples(speaker: Speaker, changed: dict[str, Any]) -> None:
    assert speaker.say(**changed) != speaker.say()


def test_speed_is_the_length(speaker: Speaker) -> None:
    assert len(speaker.say(speed=0.5)) / len(speaker.say(speed=2.0)) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"voice": "ref:" + "c" * 64}, errors.UnknownVoice),
        ({"options": {"emotion_ref": "d" * 64}}, errors.UnknownVoice),
        ({"options": {"temperature": math.nan}}, errors.InvalidRequest),
        ({"options": {"num_beams": 99}}, errors.InvalidRequest),
        ({"options": {"diffusion_steps": 4.7}}, errors.InvalidRequest),
        ({"options": {"text_normalization": "no"}}, errors.InvalidRequest),
        ({"emotion": {"happy": math.nan}}, errors.InvalidRequest),
        ({"language": "fr"}, errors.InvalidRequest),
    ],
    ids=str,
)
def test_what_is_out_of_bounds_is_not_admitted(
    speaker: Speaker, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        speaker.begin(**changed)
    assert speaker.say()


def test_long_texts_and_pronunciation_marks(speaker: Speaker) -> None:
    assert len(speaker.say(f"{TEXT} " * 8)) > 2 * len(speaker.say())
    marked = speaker.say("I am <going|G OW1 . IH0 NG> there now.")
    assert marked != speaker.say("I am going there now.")
    assert speaker.say("你好，世界。今天天气很好。", language="zh")


def test_a_recording_that_is_deleted_or_damaged_fails_its_own_unit(speaker: Speaker, voices: Path) -> None:
    alone = speaker.say(seed=4)
    names = ["c" * 64, "d" * 64]
    for name in names:
        (voices / f"{name}.wav").write_bytes((voices / f"{VOICE.removeprefix('ref:')}.wav").read_bytes())
    units = [speaker.begin(voice=f"ref:{name}") for name in names]
    beside = speaker.begin(seed=4)
    (voices / f"{names[0]}.wav").unlink()
    (voices / f"{names[1]}.wav").write_bytes(b"no sound")
    sound, wrong = speaker.finish([*units, beside])
    (voices / f"{names[1]}.wav").unlink()
    assert sound[beside] == alone
    assert [type(wrong[unit]) for unit in units] == [errors.UnknownVoice] * 2
    assert "no longer here" in str(wrong[units[0]])
    assert "cannot be read" in str(wrong[units[1]])


def test_a_request_does_not_have_a_grammar_built(speaker: Speaker) -> None:
    """It would hold up everybody for minutes; the operator's list says for which languages there is one."""
    plain = speaker.say("Son las 8:00.", language="es")
    assert speaker.say("Son las 8:00.", language="es", options={"text_normalization": True}) == plain


def test_japanese_is_read(speaker: Speaker) -> None:
    assert "ja" in speaker.engine.capabilities().languages
    assert len(speaker.say("こんにちは、今日はいい天気ですね。", language="ja")) > 22050


def same(one: bytes, other: bytes) -> bool:
    """Whether the samples are the same but for how sums of rows that are computed together are rounded."""
    first, second = (np.frombuffer(each, np.int16).astype(int) for each in (one, other))
    return len(first) == len(second) and int(np.abs(first - second).max()) <= 1


def test_a_cancelled_unit_is_forgotten(speaker: Speaker) -> None:
    wanted = speaker.say(seed=4)
    gone, kept = speaker.begin(seed=5), speaker.begin(seed=4)
    for _ in range(6):
        speaker.engine.step()
    speaker.engine.cancel(gone)
    sound, wrong = speaker.finish([kept])
    assert (sound, wrong) == ({kept: wanted}, {})


def test_a_search_with_beams_is_the_packages_own(speaker: Speaker, models: Path, voices: Path) -> None:
    serial = test_indextts25.make(models, voices, runtime="serial")
    beams = {"options": {"num_beams": 3}, "seed": 6}
    wanted = test_indextts25.say(serial, **beams)
    serial.close()
    assert speaker.say(**beams) == wanted
    # Beside others, one of whose recordings has not been heard yet, and one of which has a search of its own.
    others = [{"seed": 7, "emotion": {"sad": 0.3}}, {"seed": 8, "voice": OTHER, "emotion": {"angry": 0.3}}]
    alone = [speaker.say(**other) for other in others]
    speaker.engine._engine.conditioning.clear()
    first, second = speaker.begin(**beams), speaker.begin(options={"num_beams": 2})
    units = [speaker.begin(**other) for other in others]
    sound, wrong = speaker.finish([first, second, *units])
    assert not wrong
    assert sound[first] == wanted
    assert sound[second] != wanted
    assert all(same(sound[unit], each) for unit, each in zip(units, alone, strict=True))


@pytest.mark.parametrize("after", [0, 1, 40])
def test_a_search_with_beams_is_cancelled_between_two_passes(speaker: Speaker, after: int) -> None:
    gone, kept = speaker.begin(options={"num_beams": 3}, seed=5), speaker.begin(options={"num_beams": 3}, seed=4)
    for _ in range(after):
        assert not any(isinstance(event, Emitted | Ended) for event in speaker.engine.step())
    speaker.engine.cancel(gone)
    sound, wrong = speaker.finish([kept])
    assert (list(sound), wrong) == ([kept], {})
    assert len(speaker.engine._soloists) == 0


@pytest.mark.parametrize("beams", [1, 2])
def test_how_far_a_unit_is_is_told(speaker: Speaker, beams: int) -> None:
    """By the packages' own search as well; each unit's own, never less than before, and never all of it."""
    asked = [("One sentence that is said alone.", 5), ("Another sentence, which is longer than the other one was.", 6)]
    units = [speaker.begin(text, seed=seed, options={"num_beams": beams}) for text, seed in asked]
    speaker.finish(units)
    for unit in units:
        told = [fraction for number, fraction in speaker.told if number == unit]
        assert len(told) > 20
        assert told == sorted(set(told))
        assert told[0] < 0.2
        assert 0.8 < told[-1] <= 1


def test_whose_step_it_was_is_told(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = speaker.begin(options={"num_beams": 3})
    speaker.engine.step()
    assert speaker.engine.suspects() == {unit}
    speaker.engine.cancel(unit)
    speaker.finish([speaker.begin()])
    assert unit not in speaker.engine.suspects()


def test_it_speaks_in_half_the_precision(models: Path, voices: Path) -> None:
    """As on a GPU that has bfloat16: the code model's weights are halved, the other stages are not."""
    import torch

    halved = make(models, voices)
    package = halved._engine.model
    package.gpt.bfloat16()
    package.dtype = torch.bfloat16
    halved.prepare_runtime()
    speaker = Speaker(halved)
    units = [speaker.begin(f"Number {n} speaks to somebody.", seed=n, emotion={"happy": 0.2 * n}) for n in range(3)]
    sound, wrong = speaker.finish(units)
    assert not wrong
    assert all(len(sound[unit]) > 22050 for unit in units)
    halved.close()


def test_the_whole_way_is_the_packages(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Greedy codes, and the same noise for the flow: then both make the same samples, whoever shares the steps."""
    import torch

    from antiphon.engines.indextts.batch import draws

    package = speaker.engine._engine.model
    flow = package.s2mel.models["cfm"]
    monkeypatch.setattr(draws, "noise", lambda seed, channels, frames: torch.ones(channels, frames) * 0.5)

    def inference(mu: Any, lengths: Any, prompt: Any, style: Any, f0: Any, steps: int, **more: Any) -> Any:
        noise = torch.ones(1, 80, mu.shape[1]) * 0.5
        times = torch.linspace(0, 1, steps + 1)
        return flow.solve_euler(noise, lengths, prompt, mu, style, f0, times, more["inference_cfg_rate"])

    monkeypatch.setattr(flow, "inference", inference)
    texts = [f"Number {n} says {'a few words ' * n}to you." for n in range(3)]
    moods: list[dict[str, float]] = [{}, {"happy": 0.5}, {"sad": 0.3, "calm": 0.2}]
    engine = speaker.engine._engine
    wanted = []
    for text, mood in zip(texts, moods, strict=True):
        delivery = engine.delivery(SpeechParams(text, VOICE, "en", emotion=mood).as_params())
        with torch.no_grad():
            engine.model.listen(delivery.voice, None)
            arguments = engine._infer_arguments(text, delivery) | {"do_sample": False}
            wanted.append(engine._infer(text, delivery, arguments))
    monkeypatch.setattr(BatchedIndexTTS, "sampling", lambda self, given: Sampling(temperature=0.0))
    units = [speaker.begin(text, emotion=mood) for text, mood in zip(texts, moods, strict=True)]
    sound, wrong = speaker.finish(units)
    assert not wrong
    for unit, samples in zip(units, wanted, strict=True):
        got = np.frombuffer(sound[unit], np.int16).astype(int)
        assert len(got) == len(samples)
        assert int(np.abs(got - samples.astype(int)).max()) <= 1
