"""Local models: a folder of diffusers, Whisper or Piper in the models directory, elsewhere, or in the hub's cache."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.catalog.built_in import MODELS
from antiphon.catalog.spec import MIB, ModelSpec

INDEX = "model_index.json"
WHISPER = ("model.bin", "config.json", "tokenizer.json")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
#: The most bytes of a file's header (safetensors' own bound).
MAX_HEADER = 100 * MIB
#: Bytes that a worker needs besides the weights, for libraries and activations: in memory, and on a GPU.
BASE, GPU_BASE = 700 * MIB, 1536 * MIB


def find(name: str, models_dir: Path) -> ModelSpec | None:
    """The model that is named by a folder of the models directory, a path to a folder, or a hub id (`owner/name`).

    Its name is the last part of that. Files of a hub are never fetched here: they must be in the hub's cache.
    """
    for folder in (models_dir / name, Path(name).expanduser()):
        if (folder / INDEX).is_file():
            return _spec(folder.resolve().name, folder, {"folder": str(folder.resolve())})
        if is_whisper(folder):
            return _whisper(folder.resolve().name, folder.resolve())
        if has_voice(folder):
            return _piper(folder.resolve().name, folder.resolve())
    if _HUB_ID.fullmatch(name) and not name.endswith((".", "..")):
        cached, short = _cached(name), name.rpartition("/")[2]
        if cached is not None and is_whisper(cached):
            return _whisper(short, cached)
        return _spec(short, cached, {"repo": name})
    return None


def is_whisper(folder: Path) -> bool:
    """Whether the folder holds a Whisper model of any size in CTranslate2's format."""
    return all((folder / name).is_file() for name in WHISPER)


def has_voice(folder: Path) -> bool:
    """Whether the folder, or a folder in it, holds a voice of Piper."""
    models = (path for pattern in ("*.onnx", "[!.]*/*.onnx") for path in folder.glob(pattern))
    return any(path.with_name(f"{path.name}.json").is_file() for path in models)


def _piper(name: str, folder: Path) -> ModelSpec:
    return replace(
        MODELS["piper"], name=name, title=name, needs_voice=False, licence="see its model card",
        options={"folder": str(folder)},
    )  # fmt: skip


def _whisper(name: str, folder: Path) -> ModelSpec:
    nbytes = (folder / WHISPER[0]).stat().st_size
    return ModelSpec(
        name=name,
        engine="whisper",
        kind="transcription",
        title=name,
        description="Turns speech into text, through faster-whisper.",
        languages=(),
        licence="see its model card",
        extra="whisper",
        modules=("faster_whisper",),
        # Larger models are more accurate.
        rank=10 + int(nbytes / (100 * MIB)),
        footprint=int(1.6 * nbytes) + 150 * MIB,
        options={"folder": str(folder)},
    )


def _spec(name: str, folder: Path | None, options: dict[str, Any]) -> ModelSpec:
    numbers = parameters(folder) if folder is not None else 0
    return ModelSpec(
        name=name,
        engine="diffusion",
        kind="image",
        title=name,
        description="Draws images of a prompt, through diffusers.",
        languages=(),
        licence="see its model card",
        extra="diffusion",
        modules=("torch", "diffusers", "transformers", "accelerate"),
        footprint=4 * numbers + BASE if numbers else 0,
        gpu_footprint=2 * numbers + GPU_BASE if numbers else 0,
        prior=(1.0, 0.5),
        options=options,
    )


def parameters(folder: Path) -> int:
    """The number of parameters, by the headers of the weights' files; 0 if they cannot be read."""
    total = 0
    for file in weights(folder):
        try:
            with file.open("rb") as opened:
                length = int.from_bytes(opened.read(8), "little")
                header = json.loads(opened.read(length)) if length <= MAX_HEADER else {}
            total += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return 0
    return total


def weights(folder: Path) -> Iterator[Path]:
    """The files of the weights: of each component one precision."""
    for component in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(component.glob("*.safetensors"))
        plain = [file for file in files if ".fp16" not in file.name]
        yield from plain or files


def _cached(repo: str) -> Path | None:
    """The folder of a repository in the hub's cache; None if it is not there, or the library is not installed."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        return None
    try:
        return Path(snapshot_download(repo, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None
