"""What a model's folder must hold where no hash is known beforehand: learnt from the hub once, then kept beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from antiphon.catalog.sources import FileSpec, Hub, ModelScope, Source, Url

NAME = "manifest.json"
FORMAT = 1
#: Bytes of a file that a manifest may name; more is a mistake, or somebody's joke.
LARGEST = 1 << 40


class Unsafe(ValueError):
    """A manifest or a listing that names what it must not; the text says what."""


def read(folder: Path) -> tuple[FileSpec, ...] | None:
    """The files that belong into the folder; None if nobody knows. Raises `Unsafe`."""
    try:
        text = (folder / NAME).read_text("utf-8")
    except FileNotFoundError:
        return None
    return parse(text)


def parse(text: str) -> tuple[FileSpec, ...]:
    """Raises `Unsafe` for anything that is not a manifest of ours."""
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise Unsafe(f"has format {found['format']!r}, and this Antiphon reads {FORMAT}; upgrade it")
        files = tuple(_file(entry) for entry in found["files"])
    except (ValueError, TypeError, KeyError) as e:
        raise e if isinstance(e, Unsafe) else Unsafe(f"is not a manifest ({type(e).__name__}: {e})") from e
    if len({file.name for file in files}) != len(files):
        raise Unsafe("names a file twice")
    return files


def write(folder: Path, files: Sequence[FileSpec]) -> None:
    """Replaces the folder's manifest; a crash leaves the old one or the new one."""
    fresh = folder / f"{NAME}.new"
    with fresh.open("w", encoding="utf-8") as out:
        out.write(render(files))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(folder / NAME)


def render(files: Sequence[FileSpec]) -> str:
    entries = [
        {"name": f.name, "size": f.size, "sha256": f.sha256, "sources": [*filter(None, map(_told, f.sources))]}
        for f in files
    ]
    return json.dumps({"format": FORMAT, "files": entries}, indent=1)


def safe(name: str) -> str:
    """The name of a file below a folder. Raises `Unsafe` for one that leads out of it, or hides."""
    parts = PurePosixPath(name).parts
    odd = not parts or name.startswith("/") or "\\" in name or not name.isprintable() or len(name) > 300
    if odd or any(part.startswith(".") or part.endswith(".part") for part in parts):
        raise Unsafe(f"names the path {name[:100]!r}, which is no file below a folder")
    return "/".join(parts)


def _file(entry: Any) -> FileSpec:
    size, sha256 = entry["size"], entry["sha256"]
    if not isinstance(size, int) or not 0 <= size < LARGEST:
        raise Unsafe(f"says that a file has {size!r} bytes")
    if not is_sha256(sha256):
        raise Unsafe(f"has {sha256!r} for a SHA-256")
    return FileSpec(safe(entry["name"]), size, sha256, tuple(map(_source, entry["sources"])))


def is_sha256(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


_KINDS: dict[str, type[Hub | ModelScope]] = {"hub": Hub, "modelscope": ModelScope}


def _source(told: Any) -> Source:
    return _KINDS[told["kind"]](str(told["repo"]), safe(told["path"]), str(told["revision"]))


def _told(source: Source) -> dict[str, str] | None:
    """Addresses and packages are the catalog's to know."""
    if isinstance(source, Url) or not isinstance(source, Hub | ModelScope):
        return None
    kind = "hub" if isinstance(source, Hub) else "modelscope"
    return {"kind": kind, "repo": source.repo, "path": source.path, "revision": source.revision}
