"""Piper in a server: a voice is picked by name or by language, and what it cannot say is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import ear, tiny_voice
from tests.conftest import Server, Start, launch, wait_until

pytest.importorskip("piper")
pytest.importorskip("onnx")

ENGLISH, GERMAN, RUSSIAN = "en_US-hum-medium", "de_DE-brumm-medium", "ru_RU-gul-low"


def fill(folder: Path) -> Path:
    """Voices as pulls leave them, and a folder that is none."""
    tiny_voice.make(folder / "piper" / ENGLISH, ENGLISH, num_speakers=2, speaker_id_map={"ann": 0, "bob": 1})
    tiny_voice.make(folder / "piper" / GERMAN, GERMAN, **tiny_voice.GERMAN)
    russian = {"language": {"code": "ru_RU", "family": "ru"}, "espeak": {"voice": "ru"}}
    tiny_voice.make(folder / "piper" / RUSSIAN, RUSSIAN, audio={"sample_rate": 16000}, **russian)
    (folder / "piper" / "notes").mkdir()
    (folder / "piper" / "notes" / "model.onnx").write_text("no voice")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Piper with voices that hum, beside espeak."""
    folder = tmp_path_factory.mktemp("piper")
    options = ("--model", "piper", "--model", "espeak", "--workers", "1", "--offline")
    server = launch(folder / "data", *options, "--models-dir", str(fill(folder / "models")))
    server.wait_ready("piper")
    yield server
    server.stop()


def speak(server: Server, text: str, **more: Any) -> httpx.Response:
    return server.client.post("/v1/audio/speech", json={"input": text, "response_format": "wav", **more})


def spoken_by(server: Server, text: str, **more: Any) -> str:
    """The name of the model that has spoken a text that was never asked for before."""

    def units() -> Counter[str]:
        count: Counter[str] = Counter()
        for worker in server.workers():
            count[worker["model"]] += worker["units"]
        return count

    before = units()
    answer = speak(server, text, **more)
    assert answer.status_code == 200, answer.text
    return next(name for name, count in units().items() if count > before[name])


def test_a_voice_is_picked_by_its_name_whatever_the_model(server: Server) -> None:
    for day, more in enumerate(({}, {"model": "auto"}, {"model": "piper"}, {"model": "tts-1"})):
        assert spoken_by(server, f"Guten Tag, wie geht es Ihnen am {day}. Mai?", voice=GERMAN, **more) == "piper"


def test_a_language_that_only_piper_speaks_gets_one_of_its_voices(server: Server) -> None:
    assert spoken_by(server, "Ich habe heute leider keine Zeit für dich.") == "piper"
    assert spoken_by(server, "Вот так звучит мой голос.") == "piper"
    assert spoken_by(server, "Esta es mi voz, y no hay otra como ella.") == "espeak"


def test_every_listed_voice_and_speaker_speaks_its_own_language(server: Server) -> None:
    listed = [v for v in server.client.get("/v1/audio/voices").json()["voices"] if v["model"] == "piper"]
    assert {v["id"] for v in listed} == {ENGLISH, GERMAN, RUSSIAN}
    texts = {"en": "Hello there.", "de": "Guten Tag.", "ru": "Добрый день."}
    for voice in listed:
        for id in (voice["id"], *(f"{voice['id']}#{speaker}" for speaker in voice["speakers"])):
            for language in voice["languages"]:
                answer = speak(server, texts[language], voice=id, language=language, model="piper")
                assert answer.status_code == 200, answer.text
        assert server.client.get(voice["sample"]).status_code == 200


def test_speakers_of_a_voice_sound_and_are_cached_apart(server: Server) -> None:
    ann, bob = (speak(server, "Hello from one of us.", voice=f"{ENGLISH}#{name}") for name in ("ann", "bob"))
    assert ann.content != bob.content
    again = speak(server, "Hello from one of us.", voice=f"{ENGLISH}#ann")
    assert (again.headers["x-cache"], again.content) == ("hit", ann.content)


def test_a_few_words_are_read_in_the_voices_language(server: Server) -> None:
    """Nobody can tell the language of one word; the voice can."""
    for voice in (GERMAN, RUSSIAN):
        answer = speak(server, "Hotel", voice=voice)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"voice": GERMAN, "language": "en"}, f"The voice {GERMAN} reads de, not 'en'"),
        ({"voice": GERMAN, "language": "fi"}, f"The voice {GERMAN} reads de, not 'fi'"),
        ({"model": "piper", "language": "fi"}, "piper does not speak 'fi'"),
        ({"model": "piper", "voice": "de_DE-thorsten-medium"}, "antiphon pull piper:de_DE-thorsten-medium"),
        ({"model": "piper", "voice": f"{ENGLISH}#carl"}, f"no voice '{ENGLISH}#carl'"),
        ({"model": "piper", "voice": "../../etc/passwd"}, "There is no voice"),
        ({"model": "piper", "input": "①"}, "no sounds for"),
        ({"model": "piper", "input": "\x00"}, ""),
    ],
)
def test_what_piper_cannot_do_is_refused_with_the_reason(server: Server, request_: dict[str, Any], says: str) -> None:
    answer = speak(server, request_.pop("input", "Hello there."), **request_)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "text", ["[[h@'loU]] hello", "a\x00b\x01c", "<speak>hi</speak>", "😀 hi", "hi\u202e", "[[[[ a"]
)
def test_strange_texts_are_spoken(server: Server, text: str) -> None:
    assert speak(server, text, model="piper", voice=ENGLISH).status_code == 200


def test_a_mood_of_the_article_is_spoken_and_another_is_left_out_with_a_warning(server: Server) -> None:
    asked = {"input": "What a day it was.", "voice": ENGLISH, "response_format": "pcm"}
    answers = [
        server.client.post("/v1/audio/speech", json=asked | {"emotion": mood}) for mood in ("sad", "happy", "afraid")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(answers[0].content) > len(answers[1].content)
    assert ["warning" in answer.headers for answer in answers] == [False, False, True]
    assert "piper cannot sound afraid" in answers[2].headers["warning"]


def test_health_names_the_folder_that_is_no_voice(server: Server) -> None:
    told = next(model for model in server.health()["models"] if model["name"] == "piper")
    assert "3 voices: de, en, ru" in told["computation"]
    assert "notes/model.onnx cannot be used: model.onnx.json, which belongs to it, is missing" in told["computation"]


def test_without_a_voice_piper_says_what_to_do_and_the_rest_runs(serve: Start, tmp_path: Path) -> None:
    server = serve("--model", "piper", "--model", "espeak", "--models-dir", str(tmp_path / "models"))
    server.wait_ready("espeak")
    told = next(model for model in server.health()["models"] if model["name"] == "piper")
    assert told["state"] == "unavailable"
    assert "has no voice" in told["error"]
    assert "antiphon pull piper:VOICE" in told["hint"]
    assert speak(server, "Hello.", model="piper").status_code == 503


def test_a_folder_of_ones_own_is_a_model(serve: Start, tmp_path: Path) -> None:
    tiny_voice.make(tmp_path / "mine", "me")
    server = serve("--model", str(tmp_path / "mine"), "--workers", "1")
    assert spoken_by(server, "Hello.", voice="me") == "mine"
    # A voice that comes later is offered once the model is loaded again.
    tiny_voice.make(tmp_path / "mine", "you", **tiny_voice.GERMAN)
    assert speak(server, "Guten Tag.", voice="you").status_code == 400
    for what, state in (("unload", "asleep"), ("load", "ready")):
        assert server.client.post(f"/v1/models/mine/{what}").status_code == 202
        wait_until(lambda state=state: server.health()["models"][0]["state"] == state, state)  # type: ignore[misc]
    wait_until(lambda: speak(server, "Guten Tag.", voice="you").status_code == 200, "the new voice speaks")


@pytest.mark.models
@pytest.mark.timeout(300)
def test_whisper_hears_a_real_voice_through_the_server(serve: Start) -> None:
    folder = ear.model("piper:en_US-joe-medium").parents[1]
    server = serve("--model", "piper", "--models-dir", str(folder), "--offline", ready=False)
    server.wait_ready("piper", 120)
    texts = [
        "Hello there, how are you today? The weather is nice, and we are going for a walk in the park.",
        "The train to the coast leaves in a few minutes from the last platform.",
    ]
    heard = [ear.hear(speak(server, text, voice="en_US-joe-medium").content) for text in texts]
    assert ear.wer(texts, heard) <= 0.1
