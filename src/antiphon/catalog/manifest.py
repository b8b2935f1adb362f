"""Manifest: the files and hashes of a model that only the hub can list, stored in the model's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from antiphon.catalog.sources import FileSpec, Hub, ModelScope, Source, Url

NAME = "manifest.json"
FORMAT = 1
#: The size of a file must be below this; a larger number is a mistake.
LARGEST = 1 << 40


class Unsafe(ValueError):
    """A manifest or a listing has a forbidden value; the text says which."""


def read(folder: Path) -> tuple[FileSpec, ...] | None:
    """The files that belong into the folder; None if it has no manifest. Raises `Unsafe`."""
    try:
        text = (folder / NAME).read_text("utf-8")
    except FileNotFoundError:
        return None
    return parse(text)


def parse(text: str) -> tuple[FileSpec, ...]:
    """The files of a manifest's text. Raises `Unsafe` for anything but a manifest."""
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
        {"name": f.name, "size": f.size, "sha256": f.sha256, "sources": [*filter(None, map(_source_entry, f.sources))]}
        | ({"md5": f.md5} if f.md5 else {})
        for f in files
    ]
    return json.dumps({"format": FORMAT, "files": entries}, indent=1)


def safe(name: str) -> str:
    """The name of a file below a folder. Raises `Unsafe` for one that leads out of the folder, or is hidden."""
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
    return FileSpec(safe(entry["name"]), size, sha256, tuple(map(_source, entry["sources"])), str(entry.get("md5", "")))


def is_sha256(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


_KINDS: dict[str, type[Hub | ModelScope]] = {"hub": Hub, "modelscope": ModelScope}


def _source(entry: Any) -> Source:
    return _KINDS[entry["kind"]](str(entry["repo"]), safe(entry["path"]), str(entry["revision"]))


def _source_entry(source: Source) -> dict[str, str] | None:
    """A source as JSON; None for addresses and packages, which only the catalog names."""
    if isinstance(source, Url) or not isinstance(source, Hub | ModelScope):
        return None
    kind = "hub" if isinstance(source, Hub) else "modelscope"
    return {"kind": kind, "repo": source.repo, "path": source.path, "revision": source.revision}
