"""Voice selection: the voice that a request gets."""

from __future__ import annotations

import pytest

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Voice
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
