"""A model's folder: whether it is whole, which revision it is, and that nothing else is fetched at run time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

#: Bytes at either end of a file that are hashed.
ENDS = 1024 * 1024
#: What every library has to find in its environment before it is imported.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait for each other sleep: on busy cores, spinning took ten times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A .pth is a pickle: nothing but tensors is read from it, whatever the package asks for.
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
}


def seal(more: dict[str, str] | None = None) -> None:
    """Keeps this process off the network and from unpickling code. To be called before torch is imported."""
    os.environ.update(_ENVIRONMENT | (more or {}))


def check(folder: Path, names: Iterable[str], model: str) -> None:
    """Raises `FileNotFoundError` that names what is missing and the command that fetches it."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}; fetch what is missing with: antiphon pull {model}, "
            "or copy the folder from a machine that has it"
        )


def fingerprint(folder: Path, names: Iterable[str], more: Iterable[str]) -> str:
    """Twelve digits that change with the files and with `more`, without reading gigabytes at every start.

    Both ends of a file are hashed, and its size. torch's files end with a directory that has a checksum of every
    tensor; whether each byte is right was looked at when the file was fetched.
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
