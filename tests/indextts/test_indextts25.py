"""The engine, with the real package on a small random checkpoint: what changes its samples, and what does not."""

from __future__ import annotations

import json
import math
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.domain.unit import SpeechParams
from antiphon.engines.indextts import pieces
from antiphon.engines.indextts.indextts25 import IndexTTS25
from tests.indextts import checkpoint
from tests.indextts.conftest import MODEL

TEXT = "Hello world, this is a test."
VOICE = "ref:" + "a" * 64
OTHER = "ref:" + "b" * 64


class Patient:
    def __init__(self, steps: float = math.inf) -> None:
        self.asked, self.steps = 0, steps
        self.told: list[float] = []

    def cancelled(self) -> bool:
        self.asked += 1
        return self.asked > self.steps

    def progress(self, fraction: float) -> None:
        self.told.append(fraction)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings as the library keeps them."""
    folder = tmp_path_factory.mktemp("voices")
    for name, pitch in ((VOICE, 110.0), (OTHER, 230.0)):
        rate = 24_000
        wave = [sum(math.sin(2 * math.pi * pitch * k * n / rate) / k for k in range(1, 12)) for n in range(3 * rate)]
        data = struct.pack(f"<{len(wave)}h", *(int(4000 * w * (1 + math.sin(n / 3000))) for n, w in enumerate(wave)))
        (folder / f"{name.removeprefix('ref:')}.wav").write_bytes(wav.header(rate, len(data)) + data)
    return folder


def make(models: Path, voices: Path, **options: Any) -> IndexTTS25:
    made = IndexTTS25({"dir": str(models / MODEL), "voices": str(voices), "normalise": [], "threads": 1, **options})
    made.load(lambda name, fraction=None: None)
    return made


@pytest.fixture(scope="module")
def engine(models: Path, voices: Path) -> Iterator[IndexTTS25]:
    made = make(models, voices)
    yield made
    made.close()


def say(engine: IndexTTS25, text: str = TEXT, context: Any = None, **more: Any) -> bytes:
    params = SpeechParams(text, more.pop("voice", VOICE), more.pop("language", "en"), **more).as_params()
    return b"".join(chunk.payload for chunk in engine.run(params, context or Patient()))


def test_the_same_recipe_gives_the_same_samples_whatever_was_said_before(
    engine: IndexTTS25, models: Path, voices: Path
) -> None:
    first = say(engine, seed=3)
    assert len(first) > 22050
    say(engine, "Something else.", voice=OTHER, emotion={"sad": 0.5}, seed=9)
    assert say(engine, seed=3) == first
    # A fresh instance, which computes the voice anew for every unit.
    fresh = make(models, voices, voice_cache=0)
    assert say(fresh, seed=3) == first
    fresh.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"speed": 1.5},
        {"voice": OTHER},
        {"emotion": {"happy": 0.8}},
        {"emotion": {"angry": 0.8}},
        {"emotion": {"sad": 0.8}},
        {"options": {"emotion_ref": "b" * 64}},
        {"options": {"num_beams": 3}},
        {"text": "Something else is said here now."},
        {"language": "es"},
    ],
    ids=str,
)
def test_each_of_these_changes_the_samples(engine: IndexTTS25, changed: dict[str, Any]) -> None:
    assert say(engine, **changed) != say(engine)


def test_no_emotion_is_that_of_the_recording_and_weights_are_scaled_together(engine: IndexTTS25) -> None:
    assert len({say(engine, emotion=asked) for asked in ({"neutral": 1.0}, {"calm": 0.8}, {})}) == 3
    assert say(engine, emotion={"afraid": 1.0, "sad": 1.0}) == say(engine, emotion={"afraid": 0.5, "sad": 0.5})


def test_speed_is_the_length(engine: IndexTTS25) -> None:
    slow, fast = len(say(engine, speed=0.5)), len(say(engine, speed=2.0))
    assert slow / fast == pytest.approx(4, rel=0.05)


def test_a_cancelled_unit_ends_inside_a_segment(engine: IndexTTS25) -> None:
    whole = Patient()
    say(engine, context=whole)
    assert whole.asked > 30
    assert len(whole.told) > 30
    assert whole.told == sorted(whole.told)
    assert 0 < whole.told[0] < 0.1
    assert whole.told[-1] == pytest.approx(1.0)
    few = Patient(steps=5)
    assert say(engine, context=few) == b""
    assert few.asked <= 7
    assert say(engine) == say(engine)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"voice": "ref:" + "c" * 64}, errors.UnknownVoice),
        ({"voice": "nobody"}, errors.UnknownVoice),
        ({"options": {"emotion_ref": "d" * 64}}, errors.UnknownVoice),
        ({"options": {"temperature": math.nan}}, errors.InvalidRequest),
        ({"options": {"num_beams": 99}}, errors.InvalidRequest),
        ({"options": {"top_k": "many"}}, errors.InvalidRequest),
        ({"emotion": {"happy": math.nan}}, errors.InvalidRequest),
        ({"language": "fr"}, errors.InvalidRequest),
    ],
    ids=str,
)
def test_what_is_out_of_bounds_never_reaches_the_model(
    engine: IndexTTS25, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        say(engine, **changed)
    assert say(engine)


def test_long_texts_and_pronunciation_marks(engine: IndexTTS25) -> None:
    assert len(say(engine, f"{TEXT} " * 8)) > 2 * len(say(engine))
    assert say(engine, "I am <going|G OW1 . IH0 NG> there now.") != say(engine, "I am going there now.")
    assert say(engine, "你好，世界。今天天气很好。", language="zh")


@pytest.mark.parametrize(("stop_at", "why"), [(-400, "no sound|broke off"), (5000, "did not come to an end")])
def test_what_is_no_speech_is_told(
    tmp_path: Path, voices: Path, models: Path, stop_at: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "TRIES", 2)
    shutil.copytree(models / MODEL, tmp_path / MODEL)
    checkpoint._gpt(tmp_path / MODEL, json.loads((tmp_path / MODEL / "config.yaml").read_text()), stop_at)
    broken = make(tmp_path, voices, num_beams=1)
    with pytest.raises(errors.UnitFailed, match=rf"{why}"):
        say(broken, "Hello there.")
    broken.close()


def test_a_start_without_normalisation_builds_no_grammar(
    models: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(models, voices)
    asked: list[bool] = []
    prepare = made.model._prepare_text

    def spy(text: str, language: str, normalise: bool, *more: Any) -> Any:
        asked.append(normalise)
        return prepare(text, language, normalise, *more)

    monkeypatch.setattr(made.model, "_prepare_text", spy)
    made.warm()
    made.close()
    assert asked
    assert not any(asked)


def test_missing_files_are_named(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / MODEL, tmp_path / MODEL)
    (tmp_path / MODEL / "codec.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"codec\.pth; .* antiphon pull indextts-2\.5"):
        make(tmp_path, tmp_path)
    assert "codec.pth" in IndexTTS25.FILES


def test_a_pickle_with_code_in_it_is_not_run(models: Path, voices: Path, tmp_path: Path) -> None:
    import torch

    shutil.copytree(models / MODEL, tmp_path / MODEL)
    mark = tmp_path / "ran"

    class Bad:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (mark,)

    torch.save({"model": Bad()}, tmp_path / MODEL / "gpt.pth")
    with pytest.raises(Exception, match=r"weights_only|Unsupported|Weights only"):
        make(tmp_path, voices)
    assert not mark.exists()


def test_the_bare_package_mixes_what_threads_ask_it(models: Path, voices: Path) -> None:
    """Why one thread uses a model: three that share an instance get sound that none of them asked for."""
    from indextts25 import IndexTTS25 as Bare

    bare = Bare(model_dir=str(models / MODEL), device="cpu")._tts
    texts = [f"Sentence number {n} is said by a thread." for n in range(3)]
    reference = str(voices / f"{VOICE.removeprefix('ref:')}.wav")

    def ask(text: str) -> bytes:
        import torch

        torch.manual_seed(1)
        try:
            _, audio = bare.infer(reference, text, None, "en", text_normalization=False, max_mel_tokens=120)
        except Exception as e:  # it fails in many ways
            return repr(e).encode()
        return bytes(audio.tobytes())

    def keep(found: dict[str, bytes], text: str) -> None:
        found[text] = ask(text)

    alone = {text: ask(text) for text in texts}
    wrong = 0
    for _ in range(5):
        found: dict[str, bytes] = {}
        threads = [threading.Thread(target=partial(keep, found, text)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong += sum(found[text] != alone[text] for text in texts)
    assert wrong > 0
