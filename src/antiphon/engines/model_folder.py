"""Model folder: checks that it is complete, computes its revision, and keeps the process off the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

#: Bytes to hash at either end of a file.
ENDS = 1024 * 1024
#: The allocator's options where the operator set none: segments of every length fragment the memory of a GPU otherwise.
ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
#: Variables in which an operator may have set them.
_ALLOCATOR_NAMES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
#: Environment variables that libraries read when they are imported.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Waiting threads sleep. On busy cores spinning threads took ten times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A .pth file is a pickle, which can run code: torch reads only tensors from it, whatever the package asks.
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
}


def seal(more: dict[str, str] | None = None) -> None:
    """Keeps this process off the network and from unpickling code. Call it before torch is imported."""
    os.environ.update(_ENVIRONMENT | (more or {}))
    if not any(name in os.environ for name in _ALLOCATOR_NAMES):
        os.environ.update([ALLOCATOR])


def check(folder: Path, names: Iterable[str], model: str) -> None:
    """Raises `FileNotFoundError` that names the missing files and the command that fetches them."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}; fetch what is missing with: antiphon pull {model}, "
            "or copy the folder from a machine that has it"
        )


def fingerprint(folder: Path, names: Iterable[str], more: Iterable[str]) -> str:
    """Twelve digits that change with the files and with the lines `more`, without reading gigabytes at every start.

    It hashes the size and both ends of each file. torch's files end with a directory that has a checksum of every
    tensor, and every byte was verified when the file was fetched.
    """
    digest = hashlib.sha256()
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{name} {size}\n".encode())
            digest.update(file.read(ENDS))
            file.seek(max(0, size - ENDS))
            digest.update(file.read(ENDS))
    for line in more:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:12]
