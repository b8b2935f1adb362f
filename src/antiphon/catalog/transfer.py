"""Transfer: copies a model to a machine without a network, as a folder with the files and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from antiphon.catalog import files, manifest
from antiphon.catalog.models import ModelSpec, missing
from antiphon.catalog.sources import FileSpec
from antiphon.domain import errors

#: Called with the bytes of the model that are copied so far.
Report = Callable[[int], None]


def listed(spec: ModelSpec, models_dir: Path) -> tuple[FileSpec, ...]:
    """The model's files. Raises `DownloadFailed` if there is no list of them yet, or the list is damaged."""
    try:
        found = manifest.read(models_dir / spec.name) if spec.repos else spec.files
    except manifest.Unsafe as e:
        raise errors.DownloadFailed(f"{models_dir / spec.name / manifest.NAME} {e}") from e
    if found is None:
        raise errors.DownloadFailed(
            f"{spec.name} was copied to {models_dir / spec.name} by hand, and the hashes of its files are not known; "
            f"antiphon pull {spec.name} looks them up"
        )
    return found


def export(spec: ModelSpec, models_dir: Path, to: Path, report: Report = lambda done: None) -> Path:
    """Copies a complete model below `to`; returns the new folder, which `take_in` reads on the other machine.

    Raises `DownloadFailed` for an incomplete model, `Conflict` if the folder exists."""
    lacking = [file.name for file in missing(spec, models_dir)]
    if lacking:
        raise errors.DownloadFailed(
            f"{spec.name} is not complete in {models_dir / spec.name} (missing or not verified: {', '.join(lacking)}); "
            f"first: antiphon pull {spec.name}"
        )
    known = listed(spec, models_dir)
    target = to / spec.name
    if target.exists():
        raise errors.Conflict(f"{target} exists already; choose another folder, or remove it")
    draft = _draft(target)
    _need(to, sum(file.size for file in known))
    _sweep(target)
    draft.mkdir(parents=True)
    try:
        _copy(known, models_dir / spec.name, draft, report)
        # The other machine needs the hashes, and no sources.
        (draft / manifest.NAME).write_text(manifest.render([replace(f, sources=()) for f in known]), "utf-8")
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def take_in(spec: ModelSpec, source: Path, models_dir: Path, report: Report = lambda done: None) -> Path:
    """Copies an exported model from `source` (its folder, or the folder above) into `models_dir` and hashes every byte.

    Raises `DownloadFailed`, and leaves nothing behind, for a file that is wrong, missing, a link or outside the folder.
    """
    folder = source / spec.name if (source / spec.name).is_dir() else source
    known = _promised(spec, folder)
    target = models_dir / spec.name
    draft = _draft(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    _need(models_dir, sum(file.size for file in known))
    draft.mkdir()
    try:
        _copy(known, folder, draft, report)
        target.mkdir(exist_ok=True)
        for file in known:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
            (draft / file.name).replace(target / file.name)
            files.record(target, file)
        if spec.repos:
            # Last: only a folder with a manifest counts as a model with known hashes.
            manifest.write(target, known)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _promised(spec: ModelSpec, folder: Path) -> Sequence[FileSpec]:
    """The files that the copy must hold: by the catalog, else by the copy's own manifest."""
    path = folder / manifest.NAME
    try:
        files_listed = manifest.parse(_regular(path).read_text("utf-8"))
    except OSError as e:
        raise errors.DownloadFailed(
            f"{folder} is no exported model: it has no {manifest.NAME}. Make one with: "
            f"antiphon pull {spec.name} --export DIR"
        ) from e
    except (manifest.Unsafe, UnicodeDecodeError) as e:
        raise errors.DownloadFailed(f"{path} {e}") from e
    if not spec.repos:
        return spec.files
    names = {file.name for file in files_listed}
    if lacking := [name for repo in spec.repos for name in repo.names() if name not in names]:
        raise errors.DownloadFailed(f"{path} is not of {spec.name}: it lacks {', '.join(lacking)}")
    return files_listed


def _copy(known: Sequence[FileSpec], source: Path, to: Path, report: Report) -> None:
    done = 0
    for file in known:
        target = to / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        try:
            with _regular(source, *Path(file.name).parts).open("rb") as read, target.open("wb") as out:
                while block := read.read(files.BLOCK):
                    size += len(block)
                    if size > file.size:
                        break
                    digest.update(block)
                    out.write(block)
                    report(done + size)
                out.flush()
                os.fsync(out.fileno())
        except FileNotFoundError as e:
            raise errors.DownloadFailed(f"{source} is not complete: {file.name} is missing") from e
        if size != file.size or digest.hexdigest() != file.sha256:
            raise errors.DownloadFailed(f"{source / file.name} is damaged: copy it again; nothing was changed here")
        done += size


def _regular(folder: Path, *parts: str) -> Path:
    """The path of a plain file, without links on the way. Raises `DownloadFailed`, `FileNotFoundError`."""
    path = folder
    for part in parts:
        path = path / part
        if stat.S_ISLNK(path.lstat().st_mode):
            raise errors.DownloadFailed(f"{path} is a link; a copy holds the files themselves")
    if not stat.S_ISREG(path.lstat().st_mode):
        raise errors.DownloadFailed(f"{path} is no file")
    return path


def _draft(target: Path) -> Path:
    """The folder that a copy is written to before it gets its name."""
    return target.with_name(f".{target.name}.{os.getpid()}")


def _sweep(target: Path) -> None:
    """Removes the incomplete copies of killed processes."""
    for draft in target.parent.glob(f".{target.name}.*"):
        pid = draft.suffix.removeprefix(".")
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(draft, ignore_errors=True)


def _need(folder: Path, count: int) -> None:
    at = folder
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free
    if free < count:
        raise errors.DownloadFailed(
            f"{folder} has {free / 1e6:,.0f} MB left, and the model takes {count / 1e6:,.0f} MB; free some first"
        )


def describe(path: Path) -> str:
    """One line about an exported folder, for the terminal."""
    known = json.loads((path / manifest.NAME).read_text("utf-8"))["files"]
    return f"{len(known)} files, {sum(f['size'] for f in known) / 1e6:,.0f} MB"
