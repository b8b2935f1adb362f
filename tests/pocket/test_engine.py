"""The engine, with the real package on a small random model: what changes its samples, and what does not."""

from __future__ import annotations

import math
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.domain import errors
from antiphon.domain.unit import SpeechParams
from antiphon.engines.conditioning_cache import nbytes
from antiphon.engines.pocket.engine import PocketTTS
from antiphon.engines.pocket.utterance import GROUPS
from tests.pocket import checkpoint
from tests.pocket.conftest import HIGH, LOW, MODEL, RATE, buzz, write

TEXT = "Hello there, this is the number 2."
#: Samples of a frame.
FRAME = 1920
LONG = " ".join(f"This is sentence number {n}, and the next one is not shorter." for n in range(2))


class Patient:
    def __init__(self, asks: float = math.inf) -> None:
        self.asked, self.asks = 0, asks
        self.told: list[float] = []

    def cancelled(self) -> bool:
        self.asked += 1
        return self.asked > self.asks

    def progress(self, fraction: float) -> None:
        self.told.append(fraction)


def make(models: Path, voices: Path | None, **options: Any) -> PocketTTS:
    made = PocketTTS({"dir": str(models / MODEL), "voices": str(voices) if voices else None, **options})
    made.load(lambda name, fraction=None: None)
    return made


@pytest.fixture(scope="module")
def engine(models: Path, voices: Path) -> Iterator[PocketTTS]:
    made = make(models, voices)
    made.warm()
    yield made
    made.close()


@pytest.fixture
def own(models: Path, tmp_path: Path) -> Path:
    """A models directory that a test may change."""
    shutil.copytree(models / MODEL, tmp_path / MODEL)
    return tmp_path


def chunks(engine: PocketTTS, text: str = TEXT, context: Any = None, **more: Any) -> list[bytes]:
    params = SpeechParams(text, more.pop("voice", LOW), more.pop("language", "en"), **more).as_params()
    return [chunk.payload for chunk in engine.run(params, context or Patient())]


def say(engine: PocketTTS, text: str = TEXT, **more: Any) -> bytes:
    return b"".join(chunks(engine, text, **more))


def samples(data: bytes) -> array[int]:
    return array("h", data)


def test_the_same_recipe_gives_the_same_samples_whatever_was_said_before(
    engine: PocketTTS, models: Path, voices: Path
) -> None:
    first = say(engine, seed=3)
    assert len(first) >= 2 * 8 * FRAME
    say(engine, "Something else.", voice=HIGH, seed=9)
    assert say(engine, seed=3) == first
    # A fresh process, in which the voice is heard anew for every unit.
    fresh = make(models, voices, voice_cache=0)
    assert [say(fresh, seed=3), say(fresh, seed=3)] == [first, first]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"voice": HIGH},
        {"text": "Something else."},
        {"options": {"temperature": 0.9}},
        {"voice": "default"},
    ],
    ids=str,
)
def test_each_of_these_changes_the_samples(engine: PocketTTS, changed: dict[str, Any]) -> None:
    assert say(engine, **changed) != say(engine)


@pytest.mark.parametrize("text", [TEXT, "yes", LONG], ids=["sentence", "word", "parts"])
def test_it_says_what_the_package_itself_says(engine: PocketTTS, voices: Path, text: str) -> None:
    import torch

    package = engine.model
    # Frame by frame, since it decodes as many at once as it finds otherwise.
    package.max_decoder_frames_per_call = 1
    state = package.get_state_for_audio_prompt(voices / f"{LOW.removeprefix('ref:')}.wav")
    package.temp = 0.3
    torch.manual_seed(5)
    theirs = (package.generate_audio(state, text).clamp(-1, 1) * 32767).tolist()
    ours = samples(say(engine, text, seed=5))
    assert len(ours) == len(theirs)
    # Several frames at once differ from one in the last bits.
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 2
    assert max(map(abs, ours)) > 1000


def test_the_first_sound_comes_after_one_frame(engine: PocketTTS, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0
    step = engine.model._run_flow_lm_and_increment_step

    def counting(**given: Any) -> Any:
        nonlocal computed
        computed += 1
        return step(**given)

    monkeypatch.setattr(engine.model, "_run_flow_lm_and_increment_step", counting)
    running = engine.run(SpeechParams(LONG, LOW, "en").as_params(), Patient())
    first = next(running).payload
    # One step reads the text.
    assert (computed, len(first)) == (2, 2 * FRAME)
    lengths = [len(first), *(len(chunk.payload) for chunk in running)]
    assert [length // (2 * FRAME) for length in lengths[:4]] == list(GROUPS[:4])
    assert max(lengths) <= 2 * FRAME * max(GROUPS)


def test_a_cancelled_unit_ends_between_two_frames(engine: PocketTTS) -> None:
    whole = Patient()
    data = say(engine, LONG, context=whole)
    assert whole.asked > len(data) // (2 * FRAME)
    assert whole.told == sorted(whole.told)
    assert 0 < whole.told[0] < whole.told[-1] <= 1
    few = Patient(asks=12)
    cut = say(engine, LONG, context=few)
    assert len(cut) < 12 * 2 * FRAME
    assert data.startswith(cut)
    assert few.asked <= 12 + 3


def test_what_was_given_up_half_way_leaves_nothing_behind(engine: PocketTTS) -> None:
    first = say(engine)
    running = engine.run(SpeechParams(LONG, LOW, "en").as_params(), Patient())
    next(running)
    running.close()
    assert say(engine) == first


def test_a_voice_is_heard_once_and_only_its_best_seconds(own: Path, voices: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    write(folder / f"{'c' * 64}.wav", buzz(90.0, 1.5) + bytes(2 * RATE) + buzz(140.0, 3.5))
    made = make(own, folder, reference_seconds=3.0)
    heard = []
    hear = made.model.get_state_for_audio_prompt
    made.model.get_state_for_audio_prompt = lambda audio: heard.append(audio.shape[-1]) or hear(audio)
    voice = "ref:" + "c" * 64
    assert say(made, voice=voice) == say(made, voice=voice)
    assert heard == [3 * RATE]


def test_the_voices_that_are_kept_take_no_more_than_they_may(own: Path, voices: Path) -> None:
    one = make(own, voices)
    size = nbytes(one.voices.state(LOW))
    # Keys and values of two layers, for each 80 ms that were heard.
    assert size > 2 * 2 * 64 * 4 * 30
    budget = 2 * size
    made = make(own, voices, voice_cache=budget)
    for voice in (LOW, HIGH, "default", LOW, HIGH):
        made.voices.state(voice)
        assert made.cache.nbytes <= budget
    assert len(made.cache) == 2


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"voice": "ref:" + "c" * 64}, errors.UnknownVoice),
        ({"voice": "ref:" + "d" * 64}, errors.UnknownVoice),
        ({"voice": "ref:" + "e" * 64}, errors.UnknownVoice),
        ({"voice": "nobody"}, errors.UnknownVoice),
        ({"options": {"temperature": math.nan}}, errors.InvalidRequest),
        ({"options": {"temperature": "high"}}, errors.InvalidRequest),
        ({"speed": 1.5}, errors.InvalidRequest),
        ({"text": "今天天气很好。"}, errors.NothingToSay),
        ({"text": "…!?"}, errors.NothingToSay),
        ({"text": '"'}, errors.NothingToSay),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_told(
    engine: PocketTTS, voices: Path, changed: dict[str, Any], error: type[Exception]
) -> None:
    # One that was deleted, one that is no WAV file, and one without a sample.
    (voices / f"{'d' * 64}.wav").write_bytes(b"RIFF and then nothing of the kind")
    write(voices / f"{'e' * 64}.wav", b"")
    with pytest.raises(error):
        say(engine, **changed)
    assert say(engine)


def test_a_long_text_is_said_in_parts_and_one_that_does_not_end_is_cut_off(own: Path, voices: Path) -> None:
    made = make(own, voices)
    parts = made._parts(LONG)
    assert len(parts) == 2
    assert all(part.tokens.shape[1] <= 60 for part in parts)
    shutil.rmtree(own / MODEL)
    endless = make(checkpoint.build(own / MODEL, ends_at=1e9).parent, voices)
    (part,) = endless._parts("yes")
    # A third of a second for each token, and two more.
    most = math.ceil((part.tokens.shape[1] / 3 + 2) * 12.5)
    assert len(say(endless, "yes")) == 2 * FRAME * most


def test_a_model_of_other_people_has_another_tokenizer(tmp_path: Path) -> None:
    made = make(checkpoint.build(tmp_path / MODEL, tokenizer="tokenizer.model").parent, None)
    assert len(say(made, voice="")) > 6 * 2 * FRAME
    for text in ("今天天气很好。", "…"):
        with pytest.raises(errors.NothingToSay):
            say(made, text, voice="")
    made.close()


def test_a_text_is_not_quoted_in_the_log(engine: PocketTTS, caplog: pytest.LogCaptureFixture) -> None:
    assert len(engine._parts("x" * 150)[0].tokens[0]) > 100
    assert caplog.records == []


def test_a_computed_voice_is_one_of_the_models_own(own: Path, voices: Path) -> None:
    from pocket_tts import export_model_state

    recorded = make(own, voices)
    folder = own / MODEL / "embeddings"
    folder.mkdir()
    export_model_state(recorded.voices.state(LOW), folder / "alba.safetensors")
    export_model_state(recorded.voices.state(HIGH), folder / "adele.safetensors")
    made = make(own, voices)
    made.warm()
    can = made.capabilities()
    assert ([voice.id for voice in can.voices], can.default_voice) == (["alba", "adele"], "alba")
    assert say(made, voice="alba") == say(made, voice="") == say(recorded, voice=LOW)
    assert made._revision != recorded._revision


def test_a_computed_voice_of_another_model_is_refused(own: Path, voices: Path) -> None:
    import safetensors.torch
    import torch

    (own / MODEL / "embeddings").mkdir()
    path = own / MODEL / "embeddings" / "alba.safetensors"
    safetensors.torch.save_file({"transformer.layers.0.self_attn/cache": torch.zeros(2, 1, 5, 8, 16)}, path)
    with pytest.raises(ValueError, match=r"alba\.safetensors is no voice of this model"):
        make(own, voices)


def test_what_is_missing_or_wrong_in_a_folder_is_named(own: Path) -> None:
    (own / MODEL / "config.yaml").unlink()
    with pytest.raises(ValueError, match=r"no variant 'klingon'; there are .*english"):
        make(own, None, variant="klingon")
    (own / MODEL / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json; .* antiphon pull pocket-tts"):
        make(own, None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
def test_eight_bits_are_another_model(engine: PocketTTS, models: Path, voices: Path) -> None:
    made = make(models, voices, weights="int8")
    assert say(made) == say(made)
    assert say(made) != say(engine)
    assert made._revision != engine._revision


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "no option 'colour'"),
        ({"weights": "int4"}, "weights must be one of float32, int8"),
        ({"reference_seconds": 90}, "reference_seconds must be a number between 2 and 30"),
        ({"temperature": True}, "temperature must be a number"),
        ({"variant": "../english"}, "variant must be a name"),
    ],
    ids=str,
)
def test_a_wrong_option_is_told_to_the_operator(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PocketTTS({"dir": "/nowhere", **options})


def test_a_variant_says_its_language(tmp_path: Path) -> None:
    speaks = {
        name: PocketTTS({"dir": str(tmp_path), "variant": name}).options.speaks for name in ("german_24l", "my_own")
    }
    assert speaks == {"german_24l": ("de",), "my_own": ()}
    assert PocketTTS({"dir": str(tmp_path), "languages": ["zh", "en"]}).options.speaks == ("zh", "en")
