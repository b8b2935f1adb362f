"""`antiphon pull`: downloads a model's files, verified and resumable; exports and imports them without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console

from antiphon.catalog import models as catalog
from antiphon.catalog import piper_voices, transfer
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.catalog.models import ModelSpec
from antiphon.catalog.sources import First
from antiphon.domain import errors


def main(names: list[str], folder: Path, first: First, export: Path | None, take_in: Path | None) -> None:
    specs = [_find(name) for name in names]
    if export is not None and take_in is not None:
        raise errors.InvalidRequest("--export and --import at the same time make no sense; choose one")
    console = Console(stderr=True, markup=False)
    for spec in specs:
        if not spec.files and not spec.repos:
            console.print(f"{spec.name}: nothing to fetch, it comes with the package")
        elif take_in is not None:
            _take_in(console, spec, take_in, folder)
        else:
            asyncio.run(_pull(console, spec, folder, first))
            if export is not None:
                _export(console, spec, folder, export)


def _find(name: str) -> ModelSpec:
    """The model, or the voice of Piper, of that name. Raises `UnknownModel`."""
    if piper_voices.is_asked(name):
        return piper_voices.find(name)
    if (spec := catalog.MODELS.get(name)) is None:
        known = ", ".join(catalog.MODELS)
        raise errors.UnknownModel(f"there is no model {name!r}; there are: {known}", param="model")
    if spec.needs_voice:
        why = f"name a voice of it, such as {name}:de_DE-thorsten-medium; antiphon voices --available lists them"
        raise errors.InvalidRequest(why, param="model")
    return spec


async def _pull(console: Console, spec: ModelSpec, folder: Path, first: First) -> None:
    if not catalog.missing(spec, folder) and _is_known(spec, folder):
        console.print(f"{spec.name}: already complete in {folder / spec.name}")
        return
    with _bar(console, spec.name) as (bar, task):

        def show(p: PullProgress) -> None:
            text = f"{spec.name}: {p.phase} {p.file}"
            bar.update(task, total=p.bytes_total or None, completed=p.bytes_done, description=text)

        path = await Downloader(folder, first=first).pull(spec, show)
    console.print(f"{spec.name}: complete and verified in {path}")
    if piper_voices.is_asked(spec.name):
        console.print(f"Its licence: {spec.licence}. A running server offers the voice once it has loaded Piper again.")


def _is_known(spec: ModelSpec, folder: Path) -> bool:
    """Whether checksums of the files are known, so that the files were verified."""
    try:
        transfer.listed(spec, folder)
    except errors.DownloadFailed:
        return False
    return True


def _export(console: Console, spec: ModelSpec, folder: Path, to: Path) -> None:
    total = sum(file.size for file in transfer.listed(spec, folder))
    with _bar(console, f"{spec.name}: copying") as (bar, task):
        path = transfer.export(spec, folder, to, lambda done: bar.update(task, total=total, completed=done))
    console.print(f"{spec.name}: {transfer.describe(path)} in {path}")
    console.print(f"Carry it over, and there: antiphon pull {spec.name} --import {to}")


def _take_in(console: Console, spec: ModelSpec, source: Path, folder: Path) -> None:
    with _bar(console, f"{spec.name}: copying and verifying") as (bar, task):
        path = transfer.take_in(spec, source, folder, lambda done: bar.update(task, completed=done))
    console.print(f"{spec.name}: complete and verified in {path}")


@contextmanager
def _bar(console: Console, text: str) -> Iterator[tuple[progress.Progress, progress.TaskID]]:
    amount, speed = progress.DownloadColumn(), progress.TransferSpeedColumn()
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), amount, speed)
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=console) as bar:
        yield bar, bar.add_task(text, total=None)
