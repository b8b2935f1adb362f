"""The catalog of Piper's voices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.catalog import local_models, piper_voices
from antiphon.catalog.models import MODELS, lacks_voice
from antiphon.cli import doctor, list_models, pull
from antiphon.domain import errors
from antiphon.models.registry import recommended
from tests import tiny_voice


def test_every_voice_of_the_table_is_whole() -> None:
    voices = piper_voices.voices()
    assert len(voices) > 150
    assert len({voice.tag for voice in voices.values()}) > 40
    for name, voice in voices.items():
        assert re.fullmatch(r"[a-z]{2}_[A-Z]{2}-\w+-(x_low|low|medium|high)", name), name
        assert re.fullmatch("[0-9a-f]{32}", voice.md5)
        assert 15_000_000 < voice.size < 150_000_000
        assert voice.rate in (16_000, 22_050, 44_100)
        assert voice.speakers >= 1
        assert voice.licence
        assert voice.language
    # One model speaks English and Persian, under two names.
    assert len({voice.md5 for voice in voices.values()}) == len(voices) - 1


def test_a_voice_is_found_by_its_name_and_by_its_folder() -> None:
    thorsten = piper_voices.find("piper:de_DE-thorsten-medium")
    assert thorsten == piper_voices.find("piper/de_DE-thorsten-medium")
    (repo,) = thorsten.repos
    assert repo.names() == ["de_DE-thorsten-medium.onnx", "de_DE-thorsten-medium.onnx.json", "MODEL_CARD"]
    assert repo.take[0] == "de/de_DE/thorsten/medium/de_DE-thorsten-medium.onnx"
    assert (thorsten.licence, thorsten.languages) == ("CC0-1.0", ("de",))


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("piper:de", "de_DE-thorsten-medium"),
        ("piper:pt_PT", "pt_PT-tugão-medium"),
        ("piper:de_DE-torsten-medium", "de_DE-thorsten-medium"),
        ("piper:", "antiphon voices --available"),
        ("piper:../../etc/passwd", "antiphon voices --available"),
        ("piper:zh_CN-xiao_ya-medium", "antiphon voices --available"),
    ],
)
def test_an_unknown_voice_is_answered_with_those_that_may_be_meant(asked: str, hint: str) -> None:
    with pytest.raises(errors.UnknownModel, match=re.escape(hint)):
        piper_voices.find(asked)


def voice_in(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("x.onnx", "x.onnx.json"):
        (folder / name).write_text("{}")


def test_auto_serves_piper_once_a_voice_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.plugins.engines", lambda: {name: name for name in MODELS} | {"piper": "piper"})
    monkeypatch.setattr("antiphon.catalog.models.missing_modules", lambda spec: [])
    assert "piper" not in {spec.name for spec in recommended(tmp_path)}
    voice_in(tmp_path / "piper" / ".half-copied.1")
    (tmp_path / "piper" / "x.onnx").write_text("")
    assert lacks_voice(MODELS["piper"], tmp_path)
    voice_in(tmp_path / "piper" / "x")
    names = [spec.name for spec in recommended(tmp_path)]
    assert names.index("kokoro") < names.index("piper") < names.index("espeak")


def test_a_folder_of_voices_is_a_model_of_its_name(tmp_path: Path) -> None:
    assert local_models.find(str(tmp_path), tmp_path) is None
    voice_in(tmp_path / "mine")
    spec = local_models.find(str(tmp_path / "mine"), tmp_path / "elsewhere")
    assert spec is not None
    assert spec == local_models.find("mine", tmp_path)
    assert (spec.name, spec.engine, spec.options) == ("mine", "piper", {"folder": str(tmp_path / "mine")})
    assert not lacks_voice(spec, tmp_path)


def test_the_commands_know_its_voices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_models.available("de", tmp_path)
    listed = capsys.readouterr().out
    assert "de_DE-thorsten-medium" in listed
    assert "CC0-1.0" in listed
    assert "en_US" not in listed
    with pytest.raises(errors.InvalidRequest, match="name a voice of it, such as piper:de_DE-thorsten-medium"):
        pull.main(["piper"], tmp_path, "hub", None, None)
    with pytest.raises(errors.UnknownModel, match="de_DE-thorsten-medium"):
        pull.main(["espeak", "piper:de_DE-torsten-medium"], tmp_path, "hub", None, None)


def test_doctor_and_models_say_what_piper_lacks(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    pytest.importorskip("onnx")
    piper = MODELS["piper"]
    assert list_models.here(piper, tmp_path) == "no: antiphon pull piper:VOICE"
    assert doctor.verdict(piper, tmp_path)[1].startswith("no voice yet; fix: antiphon voices --available")
    tiny_voice.make(tmp_path / "piper" / "x", "en_US-x-medium")
    (tmp_path / "piper" / "y.onnx").write_text("no voice")
    assert list_models.here(piper, tmp_path) == "yes"
    good, text = doctor.verdict(piper, tmp_path)
    assert good
    assert "1 voice: en; y.onnx cannot be used" in text
