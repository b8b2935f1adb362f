"""Voice selection: the voice that a request gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Voice, has_voice, revision_of
from antiphon.domain.request import SpeechRequest
from antiphon.speech import plan as plans
from antiphon.speech import voice_selection

CAN = Capabilities(
    kind="speech",
    sample_rate=24000,
    revision="1",
    languages=("en", "zh"),
    voices=(
        Voice("af_heart", "Heart", ("en",), "female"),
        Voice("af_nova", "Nova", ("en",), "female"),
        Voice("am_echo", "Echo", ("en",), "male"),
        Voice("zf_xiaobei", "Xiaobei", ("zh",), "female"),
        Voice("zm_yunxi", "Yunxi", ("zh",), "male"),
    ),
    default_voice="af_heart",
    voice_by_language={"en": "af_heart", "zh": "zf_xiaobei"},
    mixing=True,
)


@pytest.mark.parametrize(
    ("asked", "language", "voice"),
    [
        (None, "en", "af_heart"),
        (None, "zh", "zf_xiaobei"),
        ("default", "zh", "zf_xiaobei"),
        ("am_echo", "en", "am_echo"),
        ("nova", "en", "af_nova"),
        ("echo", "en", "am_echo"),
        ("onyx", "en", "am_echo"),
        ("onyx", "zh", "zm_yunxi"),
        ("nova", "zh", "zf_xiaobei"),
        ("NOVA", "en", "af_nova"),
        ("af_heart(2)+af_nova", "en", "af_heart(2)+af_nova"),
    ],
)
def test_choice(asked: str | None, language: str, voice: str) -> None:
    assert voice_selection.choose(asked, language, CAN) == (voice, None)


@pytest.mark.parametrize("name", voice_selection.OPENAI)
@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_openais_names_always_give_a_voice_of_the_model(name: str, language: str) -> None:
    voice, _ = voice_selection.choose(name, language, CAN)
    assert voice in {v.id for v in CAN.voices}


def test_a_voice_of_another_language_is_used_and_said() -> None:
    voice, warning = voice_selection.choose("af_heart", "zh", CAN)
    assert voice == "af_heart"
    assert warning is not None
    assert "zh" in warning


@pytest.mark.parametrize("asked", ["nobody", "../af_heart", "af_heart+nobody", "af_heart(2", "+", "(2)", "a" * 1000])
def test_voices_that_do_not_exist(asked: str) -> None:
    with pytest.raises(errors.UnknownVoice):
        voice_selection.choose(asked, "en", CAN)


#: A model whose voices read their own languages only, and one of whose has speakers.
BOUND = Capabilities(
    kind="speech",
    sample_rate=22050,
    revision="1",
    languages=("de", "en"),
    voices=(
        Voice("de_DE-a", "A", ("de",), revision="7"),
        Voice("en_US-b", "B", ("en",), revision="8", speakers=("0", "ann")),
        Voice("en_US-c", "C", ("en",)),
    ),
    default_voice="en_US-b",
    voice_by_language={"de": "de_DE-a", "en": "en_US-b"},
    tries_any_language=False,
    voice_sets_language=True,
)


@pytest.mark.parametrize(
    ("asked", "named", "guessed", "language"),
    [
        (None, None, "en", "en"),
        (None, "de", "de", "de"),
        # Few words of German look like English.
        ("de_DE-a", None, "en", "de"),
        ("de_DE-a", None, "fi", "de"),
        ("de_DE-a", "de", "de", "de"),
        ("en_US-b#ann", None, "de", "en"),
        ("nobody", None, "fi", "fi"),
        ("default", None, "en", "en"),
    ],
)
def test_a_voice_of_one_language_sets_that_of_the_text(
    asked: str | None, named: str | None, guessed: str, language: str
) -> None:
    assert voice_selection.language_of(asked, named, guessed, BOUND) == language
    assert voice_selection.language_of(asked, named, guessed, CAN) == guessed


def test_a_voice_for_another_language_than_was_named_is_refused() -> None:
    with pytest.raises(errors.UnsupportedLanguage, match="The voice de_DE-a reads de, not 'en'"):
        voice_selection.language_of("de_DE-a", "en", "en", BOUND)


def test_a_speaker_is_a_voice_and_an_unknown_one_is_none() -> None:
    assert voice_selection.choose("en_US-b#ann", "en", BOUND) == ("en_US-b#ann", None)
    assert has_voice(BOUND, "en_US-b#ann")
    for asked in ("en_US-b#bob", "en_US-b#", "de_DE-a#0", "#ann"):
        assert not has_voice(BOUND, asked)
        with pytest.raises(errors.UnknownVoice):
            voice_selection.choose(asked, "en", BOUND)


def test_the_version_of_a_voice_is_part_of_what_it_says() -> None:
    assert revision_of(BOUND, "de_DE-a") == "1+7"
    assert revision_of(BOUND, "en_US-b#ann") == "1+8"
    assert revision_of(BOUND, "en_US-c") == revision_of(BOUND, "ref:1234") == "1"
    exchanged = replace(BOUND, voices=(replace(BOUND.voices[0], revision="9"), *BOUND.voices[1:]))
    for voice, same in (("de_DE-a", False), ("en_US-b", True), ("en_US-b#ann", True)):
        request = SpeechRequest("Hotel", voice=voice)
        assert (plans.make(request, "m", BOUND).keys == plans.make(request, "m", exchanged).keys) is same
