"""Resolved references: which recording a request means, who may name it, and which models refuse it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.request import SpeechRequest, Turn
from antiphon.domain.voice import Reference
from antiphon.engines.tone import SAMPLE_RATE, Tone, frequency_of
from antiphon.references.library import Library
from antiphon.speech import resolve_references, voice_selection
from tests.unit.test_audio_pcm import pitch, tone
from tests.unit.test_speech_voice_selection import CAN

ANNA = Reference("0" * 26, "me", "Anna", "ab" * 32, 2.0, 100, "yes", 1.0, "audio/wav", languages=("en",))
MINE = {"Anna": ANNA, ANNA.id: ANNA, "nova": replace(ANNA, name="nova", digest="cd" * 32)}
CLONES = replace(CAN, cloning=True)
NO_REFERENCES: Any = None


def resolved(request: SpeechRequest, can: Capabilities, cloning: list[str] | None = None) -> SpeechRequest:
    return asyncio.run(resolve_references.resolve(request, MINE, can, cloning or [], NO_REFERENCES))


@pytest.mark.parametrize("asked", ["Anna", ANNA.id])
def test_an_uploaded_voice(asked: str) -> None:
    request = SpeechRequest("Hi", voice=asked, turns=(Turn("Hi", asked), Turn("Ho", "af_nova"), Turn("Hum")))
    assert resolve_references.needs_cloning(request, MINE)
    found = resolved(request, CLONES)
    assert found.voice == "ref:" + "ab" * 32
    assert [turn.voice for turn in found.turns] == ["ref:" + "ab" * 32, "af_nova", None]


def test_it_goes_before_the_models_own_of_that_name() -> None:
    assert resolved(SpeechRequest("Hi", voice="nova"), CLONES).voice == "ref:" + "cd" * 32
    assert resolved(SpeechRequest("Hi", voice="nova"), CAN).voice == "nova"


def test_models_that_cannot_clone_say_which_can() -> None:
    with pytest.raises(errors.UnknownVoice, match="indextts-2"):
        resolved(SpeechRequest("Hi", voice="Anna"), CAN, ["indextts-2"])
    with pytest.raises(errors.UnknownVoice, match="no model that is served here can"):
        resolved(SpeechRequest("Hi", voice="Anna"), CAN)


def test_the_mood_of_a_recording() -> None:
    found = resolved(SpeechRequest("Hi", options={"emotion_ref": "Anna"}), CAN)
    assert found.options == {"emotion_ref": "ab" * 32}
    with pytest.raises(errors.UnknownVoice, match="emotion_audio"):
        resolved(SpeechRequest("Hi", options={"emotion_ref": "Berta"}), CAN)


@pytest.mark.parametrize("asked", ["Berta", "1" * 26])
@pytest.mark.parametrize("can", [CAN, CLONES], ids=["plain", "clones"])
def test_the_voices_of_others_do_not_exist(asked: str, can: Capabilities) -> None:
    request = SpeechRequest("Hi", voice=asked)
    assert not resolve_references.needs_cloning(request, MINE)
    assert resolved(request, can).voice == asked
    with pytest.raises(errors.UnknownVoice):
        voice_selection.choose(asked, "en", can)


@pytest.mark.parametrize("asked", ["ref:" + "ab" * 32, "REF:" + "AB" * 32, "ab" * 32])
def test_a_digest_is_no_voice_even_for_its_owner(asked: str) -> None:
    for request in (
        SpeechRequest("Hi", voice=asked),
        SpeechRequest("Hi", options={"emotion_ref": asked}),
        SpeechRequest("Hi", turns=(Turn("Hi", asked),)),
    ):
        with pytest.raises(errors.UnknownVoice, match="digest"):
            resolve_references.check(request)


class Quiet:
    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None: ...


def speak(engine: Tone, voice: str, emotion: dict[str, float] | None = None) -> float:
    params = {"text": "A text that is long enough to be heard.", "voice": voice, "emotion": emotion or {}, "speed": 1.0}
    return pitch(b"".join(chunk.payload for chunk in engine.run(params, Quiet())), SAMPLE_RATE)


def test_tone_imitates_the_pitch_of_the_right_recording(tmp_path: Path) -> None:
    library = Library(tmp_path)
    audio = {hertz: bytes(4000) + tone(1.5, 16000, hertz) + bytes(4000) for hertz in (300.0, 523.0)}
    digests = {hertz: library.put(wav.header(16000, len(pcm)) + pcm) for hertz, pcm in audio.items()}
    engine = Tone({"voices": str(tmp_path)})
    engine.load(lambda name, fraction=None: None)
    for hertz, digest in digests.items():
        assert speak(engine, f"ref:{digest}") == pytest.approx(hertz, abs=3)
    assert speak(engine, f"ref:{digests[300.0]}", {"happy": 1.0}) == pytest.approx(336, abs=3)
    own = frequency_of("A text that is long enough to be heard.")
    assert speak(engine, "tone") == pytest.approx(own, abs=3)
    outside = tmp_path.parent / "outside.wav"
    outside.write_bytes(library.path(digests[300.0]).read_bytes())
    for missing in ("ref:" + "0" * 64, "ref:../outside"):
        with pytest.raises(errors.UnknownVoice):
            speak(engine, missing)
    with pytest.raises(errors.UnknownVoice):
        speak(Tone({}), f"ref:{digests[300.0]}")
