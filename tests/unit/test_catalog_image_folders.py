"""Image models that are folders: found by name, by path and by hub id, and their weights counted."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from antiphon.catalog import local_models


def pipeline(folder: Path, index: Any = None) -> Path:
    """The outside of a diffusers folder; of 100 numbers, twice in two precisions."""
    (folder / "unet").mkdir(parents=True)
    own = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "tagger": [None, None],
    }
    (folder / local_models.INDEX).write_text(json.dumps(own if index is None else index))
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [10, 10]}}).encode()
    for name in ("model.safetensors", "model.fp16.safetensors"):
        (folder / "unet" / name).write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def test_a_folder_is_a_model_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pipeline(tmp_path / "models" / "sd-tiny")
    by_name = local_models.find("sd-tiny", tmp_path / "models")
    by_path = local_models.find(str(folder), tmp_path / "elsewhere")
    assert by_name is not None
    assert by_name == by_path
    assert (by_name.name, by_name.kind, by_name.options) == ("sd-tiny", "image", {"folder": str(folder)})
    assert by_name.footprint == 4 * 100 + local_models.BASE
    assert by_name.gpu_footprint == 2 * 100 + local_models.GPU_BASE
    assert local_models.find("sd-other", tmp_path / "models") is None
    monkeypatch.chdir(tmp_path)
    assert local_models.find("models/sd-tiny", tmp_path / "elsewhere") == by_name


def test_a_hub_id_is_a_model_of_its_last_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = local_models.find("somebody/sd-none", tmp_path)
    assert spec is not None
    assert (spec.name, spec.options, spec.footprint) == ("sd-none", {"repo": "somebody/sd-none"}, 0)
    for invalid in ("../up", "a/b/c", "a/..", "a//b", "https://example.org/a"):
        assert local_models.find(invalid, tmp_path) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 20, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 9) + b'{"w":{}}   ']
)
def test_weights_that_cannot_be_read_weigh_nothing(tmp_path: Path, data: bytes) -> None:
    folder = pipeline(tmp_path / "m")
    (folder / "unet" / "model.safetensors").write_bytes(data)
    assert local_models.parameters(folder) == 0
