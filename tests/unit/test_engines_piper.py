"""Piper: which voices a folder has, and what the engine makes of them; the voices hum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antiphon.domain import errors
from antiphon.domain.engine import problems
from antiphon.domain.unit import SpeechParams
from tests import tiny_voice

pytest.importorskip("piper")
pytest.importorskip("onnx")

from antiphon.engines import prosody
from antiphon.engines.piper import Piper, network, noise, reading, voices
from antiphon.engines.piper.engine import RATE

ENGLISH, GERMAN = "en_US-hum-medium", "de_DE-brumm-medium"


class Watcher:
    """A context whose unit is cancelled after so many questions."""

    def __init__(self, questions: int | None = None) -> None:
        self.left = questions

    def cancelled(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0

    def progress(self, fraction: float) -> None:
        raise AssertionError("a unit of Piper takes a second")


def started(folder: Path) -> Piper:
    engine = Piper({"dir": str(folder)})
    engine.load(lambda name, fraction=None: None)
    engine.warm()
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an English and a German voice, each in its own folder, as a pull leaves them."""
    tiny_voice.make(tmp_path / ENGLISH, ENGLISH)
    tiny_voice.make(tmp_path / GERMAN, GERMAN, **tiny_voice.GERMAN)
    return tmp_path


def chunks(engine: Piper, text: str, voice: str = ENGLISH, language: str = "en", **more: Any) -> list[bytes]:
    params = SpeechParams(text, voice, language, **more).as_params()
    return [chunk.payload for chunk in engine.run(params, Watcher())]


def said(engine: Piper, text: str, voice: str = ENGLISH, language: str = "en", **more: Any) -> bytes:
    return b"".join(chunks(engine, text, voice, language, **more))


# The folder


def test_voices_lie_in_the_folder_or_in_folders_of_it(folder: Path) -> None:
    tiny_voice.make(folder, "mine")
    tiny_voice.make(folder / ".half-copied.7", "hidden")
    found = voices.find(folder)
    assert set(found.voices) == {ENGLISH, GERMAN, "mine"}
    assert not found.refused
    assert found.by_language == {"en": ENGLISH, "de": GERMAN}
    english = found.voices[ENGLISH].voice
    assert (english.name, english.languages) == ("Hum (English, United States, medium)", ("en",))


def test_a_medium_voice_of_one_speaker_goes_before_others(tmp_path: Path) -> None:
    for name, more in (("en_US-a-low", {}), ("en_US-b-high", {}), ("en_US-c-medium", {"num_speakers": 2})):
        tiny_voice.make(tmp_path, name, **more)
    tiny_voice.make(tmp_path, "en_US-d-medium")
    tiny_voice.make(tmp_path, "no_NO-e-low", language={"code": "no_NO", "family": "no"})
    found = voices.find(tmp_path)
    assert next(iter(found.voices)) == "en_US-d-medium"
    assert list(found.voices)[-1] == "en_US-c-medium"
    assert found.by_language["nb"] == found.by_language["no"] == "no_NO-e-low"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (None, "x.onnx.json, which belongs to it, is missing"),
        ("{", "does not describe a voice of Piper (JSONDecodeError"),
        ("\xff", "does not describe a voice of Piper"),
        ("[]", "does not describe a voice of Piper (AttributeError"),
        ('{"model_type": "bert"}', "does not describe a voice of Piper (KeyError: 'audio')"),
        ({"audio": {"sample_rate": 10**9}}, "a sample rate of 1000000000 Hz"),
        ({"num_speakers": []}, "does not describe a voice of Piper"),
        ({"language": "English"}, "language is no object"),
        ({"inference": {"length_scale": "long"}}, "does not describe a voice of Piper"),
        ({"inference": {"noise_scale": -1}}, "inference has a scale that is none"),
        ({"inference": {"noise_w": float("nan")}}, "inference has a scale that is none"),
        ({"phoneme_id_map": {}}, "phoneme_id_map is no table"),
        ({"phoneme_id_map": {"a": ["b"]}}, "phoneme_id_map is no table"),
        ({"phoneme_id_map": {"a": [1]}}, "phoneme_id_map lacks"),
        ({"espeak": {"voice": 3}}, "espeak.voice is no name"),
        ({"phoneme_type": "pinyin"}, "its text is read as pinyin, for which a package is missing"),
    ],
)
def test_what_is_no_voice_is_named_with_the_reason(tmp_path: Path, config: Any, why: str) -> None:
    path = tiny_voice.make(tmp_path, "x", **(config if isinstance(config, dict) else {}))
    about = path.with_name("x.onnx.json")
    if config is None:
        about.unlink()
    elif isinstance(config, str):
        about.write_bytes(config.encode("latin-1"))
    found = voices.find(tmp_path)
    assert not found.voices
    assert why in found.refused["x.onnx"]
    assert any(line.startswith("x.onnx cannot be used") for line in voices.describe(found))


def test_a_damaged_file_of_a_pulled_voice_is_left_out_and_named(folder: Path) -> None:
    path = folder / GERMAN / f"{GERMAN}.onnx"
    (path.parent / voices.MARKER).write_text(json.dumps({path.name: ["0" * 64, 1]}))
    found = voices.find(folder)
    assert set(found.voices) == {ENGLISH}
    assert f"antiphon pull piper:{GERMAN}" in found.refused[f"{GERMAN}/{GERMAN}.onnx"]


def test_a_folder_without_a_voice_says_how_to_get_one(tmp_path: Path) -> None:
    for wrong in ((), ("notes.txt",), ("model.onnx",)):
        for name in wrong:
            (tmp_path / name).write_text("hello")
        with pytest.raises(FileNotFoundError, match=r"no voice in .*antiphon pull piper:VOICE"):
            started(tmp_path)


def test_a_graph_that_is_none_takes_no_other_voice_away(folder: Path) -> None:
    (folder / GERMAN / f"{GERMAN}.onnx").write_bytes(b"no graph at all")
    can = started(folder).capabilities()
    assert [voice.id for voice in can.voices] == [ENGLISH]
    assert f"{GERMAN}/{GERMAN}.onnx cannot be used: it is no ONNX file, or it is damaged" in can.computation
    (folder / ENGLISH / f"{ENGLISH}.onnx").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="it is no voice of Piper: its inputs are missing"):
        started(folder)


def test_a_default_voice_that_does_not_run_takes_no_other_away(folder: Path) -> None:
    import onnx

    path = folder / ENGLISH / f"{ENGLISH}.onnx"
    model = onnx.load(path)
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, path)
    can = started(folder).capabilities()
    assert [voice.id for voice in can.voices] == [GERMAN]
    assert f"{ENGLISH}.onnx cannot be used: The voice {ENGLISH} cannot be used" in can.computation
    tiny_voice.make(folder / GERMAN, GERMAN, **tiny_voice.GERMAN)
    onnx.save(model, folder / GERMAN / f"{GERMAN}.onnx")
    with pytest.raises(FileNotFoundError, match="no voice in"):
        started(folder)


def test_another_graph_is_no_voice(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / ENGLISH / f"{ENGLISH}.onnx")
    model.graph.input[2].name = "else"
    onnx.save(model, folder / ENGLISH / f"{ENGLISH}.onnx")
    assert (
        "it is no voice of Piper: its inputs are else, input, input_lengths"
        in started(folder).capabilities().computation
    )


# What it says of itself


def test_the_capabilities_are_whole(folder: Path) -> None:
    can = started(folder).capabilities()
    assert not problems(can)
    assert can.languages == ("de", "en") or can.languages == ("en", "de")
    assert can.default_voice == ENGLISH
    assert can.voice_by_language == {"en": ENGLISH, "de": GERMAN}
    assert can.emotions == ("happy", "angry", "sad")
    assert not can.tries_any_language
    assert can.voice_sets_language


def test_the_version_of_a_voice_changes_with_its_bytes(folder: Path) -> None:
    before = {voice.id: voice.revision for voice in voices.find(folder).voices.values() for voice in [voice.voice]}
    tiny_voice.make(folder / ENGLISH, ENGLISH, graph="shifted")
    tiny_voice.make(folder / GERMAN, GERMAN, **tiny_voice.GERMAN, inference={"length_scale": 2})
    after = {voice.id: voice.revision for voice in voices.find(folder).voices.values() for voice in [voice.voice]}
    assert all(before[id] != after[id] for id in (ENGLISH, GERMAN))


# What it says


def test_a_seed_gives_the_same_samples_whatever_was_said_before(folder: Path) -> None:
    engine = started(folder)
    first = said(engine, "Hello there.", seed=7)
    assert said(engine, "Hello there.", seed=8) != first
    assert said(engine, "Hello there.", seed=7) == first
    assert said(started(folder), "Hello there.", seed=7) == first


@pytest.mark.parametrize("drawn", ["RandomUniformLike", "shifted"])
def test_a_graph_that_draws_in_another_way_is_run_without_noise(tmp_path: Path, drawn: str) -> None:
    tiny_voice.make(tmp_path, ENGLISH, graph=drawn)
    engine = started(tmp_path)
    assert said(engine, "Hello there.") == said(engine, "Hello there.") == said(engine, "Hello there.", seed=9)


def test_the_noise_of_a_graph_has_the_spread_that_it_asked_for() -> None:
    numbers = noise.numbers(0)
    assert len(numbers) == noise.COUNT
    assert abs(float(numbers.mean())) < 0.01
    assert abs(float(numbers.std()) - 1) < 0.01


def test_every_voice_speaks_at_the_rate_that_is_promised(tmp_path: Path) -> None:
    lengths = {}
    for rate in (16_000, 22_050, 44_100):
        tiny_voice.make(tmp_path, f"en_US-x{rate}-medium", audio={"sample_rate": rate})
    engine = started(tmp_path)
    assert engine.capabilities().sample_rate == RATE
    for rate in (16_000, 22_050, 44_100):
        lengths[rate] = len(said(engine, "Hello, how are you?", f"en_US-x{rate}-medium"))
    assert lengths[16_000] / lengths[22_050] == pytest.approx(22_050 / 16_000, rel=0.05)
    assert lengths[44_100] / lengths[22_050] == pytest.approx(0.5, rel=0.05)


def test_a_chunk_comes_for_each_sentence(folder: Path) -> None:
    assert len(chunks(started(folder), "One thing. Another thing. A third.")) == 3


def test_twice_the_speed_is_half_the_length(folder: Path) -> None:
    engine = started(folder)
    slow, fast = (len(said(engine, "Hello, how are you today?", speed=speed)) for speed in (1.0, 2.0))
    assert slow / fast == pytest.approx(2, rel=0.1)
    with pytest.raises(errors.InvalidRequest):
        said(engine, "Hello.", speed=9)


def test_a_mood_changes_tempo_and_level(folder: Path) -> None:
    engine = started(folder)
    plain, *moods = (
        said(engine, "One two three four five six.", emotion=mood) for mood in ({}, {"happy": 1}, {"sad": 1})
    )
    assert len(plain) / len(moods[0]) == pytest.approx(prosody.EMOTIONS["happy"].tempo, abs=0.02)
    assert len(plain) / len(moods[1]) == pytest.approx(prosody.EMOTIONS["sad"].tempo, abs=0.04)
    loud = [float(np.std(np.frombuffer(audio, "<i2").astype(float))) for audio in moods]
    assert loud[0] > loud[1]


def test_a_cancelled_unit_ends_before_the_next_sentence(folder: Path) -> None:
    engine = started(folder)
    params = SpeechParams("One. Two. Three. Four.", ENGLISH, "en").as_params()
    assert len(list(engine.run(params, Watcher(0)))) == 1


def test_a_voice_reads_its_own_language_only(folder: Path) -> None:
    engine = started(folder)
    assert said(engine, "Guten Tag.", GERMAN, "de")
    with pytest.raises(errors.UnsupportedLanguage, match=f"{GERMAN} reads de, not 'en'"):
        said(engine, "Good day.", GERMAN, "en")


@pytest.mark.parametrize("name", ["nobody", "", "../../etc/passwd", "a\0b", f"{ENGLISH}#nobody", f"{ENGLISH}#", "#0"])
def test_an_unknown_voice_or_speaker_is_an_error(folder: Path, name: str) -> None:
    engine = started(folder)
    if name in ("", f"{ENGLISH}#"):
        assert said(engine, "Hello.", name)
        return
    with pytest.raises(errors.UnknownVoice):
        said(engine, "Hello.", name)


def test_a_speaker_of_several_is_picked_by_name(tmp_path: Path) -> None:
    tiny_voice.make(tmp_path, ENGLISH, num_speakers=3, speaker_id_map={"ann": 2, "bob": 0, "nobody": 3})
    engine = started(tmp_path)
    assert engine.capabilities().voices[0].speakers == ("bob", "ann")
    default, bob, ann = (said(engine, "Hello.", name) for name in (ENGLISH, f"{ENGLISH}#bob", f"{ENGLISH}#ann"))
    assert default == bob != ann
    tiny_voice.make(tmp_path, "en_US-some-medium", num_speakers=2)
    assert voices.find(tmp_path).voices["en_US-some-medium"].voice.speakers == ("0", "1")


def test_a_voice_that_was_pulled_later_speaks_at_once(folder: Path) -> None:
    engine = started(folder)
    tiny_voice.make(folder / "new", "en_US-new-medium")
    assert said(engine, "Hello.", "en_US-new-medium")


def test_a_file_that_was_changed_is_not_used_under_its_old_version(folder: Path) -> None:
    engine = started(folder)
    tiny_voice.make(folder / GERMAN, GERMAN, **tiny_voice.GERMAN, graph="shifted")
    with pytest.raises(errors.UnitFailed, match="was changed while the server runs; start the server again"):
        said(engine, "Guten Tag.", GERMAN, "de")


def test_the_voices_that_were_used_last_stay_in_memory(tmp_path: Path) -> None:
    size = tiny_voice.make(tmp_path, "a").stat().st_size
    for name in "bcd":
        tiny_voice.make(tmp_path, name)
    found = voices.find(tmp_path).voices
    kept_voices = network.LoadedVoices(1, network.Interruption(), kept=2 * size)
    loaded = [kept_voices.get(found[name]) for name in "abac"]
    assert kept_voices.names() == ["a", "c"]
    assert loaded[0] is loaded[2] is kept_voices.get(found["a"])
    kept_voices = network.LoadedVoices(1, network.Interruption(), kept=1)
    assert [kept_voices.get(found[name]) and kept_voices.names() for name in "ab"] == [["a"], ["b"]]


# Texts


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\x00b\x01c\n", "a b c "),
        ("[[h@'loU]]", "((h@'loU))"),
        ("[" * 3 + "]" * 3, "(((" + ")))"),
        ("\ud800a\u202eb\ufeff", "ab"),
        ("می‌خواهم", "می‌خواهم"),
    ],
)
def test_commands_to_the_reader_are_taken_out(text: str, plain: str) -> None:
    assert reading.plain(text) == plain


def test_brackets_are_no_phonemes(folder: Path) -> None:
    engine = started(folder)
    assert said(engine, "[[aaa]] hello") == said(engine, "((aaa)) hello")


@pytest.mark.parametrize("text", ["\x00", "\x01", "...", " ", "…", "( )", "—", ","])
def test_what_has_no_letters_is_a_short_silence(folder: Path, text: str) -> None:
    assert set(said(started(folder), text)) == {0}


def test_a_voice_of_letters_says_those_that_it_knows(tmp_path: Path) -> None:
    """Its phonemes are the text itself: marks are known, and make no sound."""
    tiny_voice.make(tmp_path, ENGLISH, phoneme_type="text")
    engine = started(tmp_path)
    assert set(said(engine, "...")) == {0}
    assert any(said(engine, "hello..."))
    with pytest.raises(errors.NothingToSay, match="no sounds for '日本!'"):
        said(engine, "日本!")


def test_letters_without_a_sound_are_told(folder: Path) -> None:
    with pytest.raises(errors.NothingToSay, match="no sounds for '①'"):
        said(started(folder), "①")


@pytest.mark.parametrize("text", ["word " * 20_000, "a" * 100_000, "9" * 20_000, "[[" * 50_000])
def test_a_hundred_thousand_characters_are_computed_piece_by_piece(folder: Path, text: str) -> None:
    engine = started(folder)
    longest = (2 * reading.MOST + 4) * tiny_voice.PHONEME * 2 + 2 * RATE
    for chunk in engine.run(SpeechParams(text, ENGLISH, "en").as_params(), Watcher(3)):
        assert len(chunk.payload) < longest


@pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
def test_a_sentence_is_split_between_words(most: int) -> None:
    phonemes = list("ab cd efg h ijklmnopq rs")
    parts = list(reading.pieces(phonemes, most))
    assert [phoneme for part in parts for phoneme in part] == phonemes
    assert all(1 <= len(part) <= most for part in parts)
    if most == 5:
        assert "".join(parts[0]) == "ab cd"
