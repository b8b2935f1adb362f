"""Models that are folders: Whisper of any size, where somebody has put it."""

from __future__ import annotations

from pathlib import Path

from antiphon.catalog import local_models


def test_a_whisper_folder_is_a_model_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "faster-whisper-large-v3"
    folder.mkdir(parents=True)
    for name in local_models.WHISPER[1:]:
        (folder / name).write_text("{}")
    assert local_models.find(folder.name, tmp_path / "models") is None
    (folder / local_models.WHISPER[0]).write_bytes(bytes(1000))
    by_name = local_models.find(folder.name, tmp_path / "models")
    by_path = local_models.find(str(folder), tmp_path / "elsewhere")
    assert by_name is not None
    assert by_name == by_path
    assert (by_name.name, by_name.engine, by_name.kind) == (folder.name, "whisper", "transcription")
    assert by_name.options == {"folder": str(folder)}
    assert by_name.footprint > 1600
