"""Diffusion engine: which folders it loads, where the weights go, and in which precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.catalog import local_models
from antiphon.engines import diffusion
from tests.unit.test_catalog_image_folders import pipeline


@pytest.mark.parametrize(
    "index",
    [
        {"_class_name": ["pipeline", "Own"]},
        {"_class_name": "X", "unet": ["my_unet", "Own"]},
        {"_class_name": "X", "unet": ["os", "system"]},
        {"unet": ["diffusers", "U"]},
    ],
)
def test_no_code_that_comes_with_weights_is_run(tmp_path: Path, index: Any) -> None:
    assert diffusion.read_index(pipeline(tmp_path / "good"))["_class_name"] == "StableDiffusionPipeline"
    with pytest.raises(ValueError, match="code of its own"):
        diffusion.read_index(pipeline(tmp_path / "bad", index))


def test_where_the_weights_go() -> None:
    gib = 1024**3
    assert diffusion.placing(24 * gib, [5 * gib, 2 * gib]) == "whole"
    assert diffusion.placing(9 * gib, [5 * gib, 2 * gib]) == "parts"
    assert diffusion.placing(6 * gib, [5 * gib, 2 * gib]) == "layers"


def test_precision_of_what_is_there(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "m")
    assert diffusion.variant_of(folder) is None
    (folder / "unet" / "model.safetensors").unlink()
    assert diffusion.variant_of(folder) == "fp16"
    assert local_models.parameters(folder) == 100


def test_missing_files_are_told_with_what_brings_them(tmp_path: Path) -> None:
    with pytest.raises(diffusion.Missing) as e:
        diffusion.folder_of({"dir": str(tmp_path)})
    assert "copy a diffusers pipeline" in e.value.hint
