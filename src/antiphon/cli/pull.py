"""`antiphon pull`: a model's files, verified and resumable, with a progress bar."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.domain import errors


def main(names: list[str], folder: Path) -> None:
    unknown = [name for name in names if name not in catalog.MODELS]
    if unknown:
        raise errors.UnknownModel(
            f"there is no model {unknown[0]!r}; there are: {', '.join(catalog.MODELS)}", param="model"
        )
    asyncio.run(pull(names, folder))


async def pull(names: list[str], folder: Path) -> None:
    console = Console(stderr=True)
    downloader = Downloader(folder)
    for name in names:
        spec = catalog.MODELS[name]
        if not spec.files:
            console.print(f"{name}: nothing to fetch, it comes with the package")
            continue
        if not catalog.missing(spec, folder):
            console.print(f"{name}: already complete in {folder / name}")
            continue
        shown = TextColumn("{task.description}")
        columns = (shown, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(name, total=None)

            def show(p: PullProgress, bar: Progress = bar, task: TaskID = task, name: str = name) -> None:
                text = f"{name}: {p.phase} {p.file}"
                bar.update(task, total=p.bytes_total or None, completed=p.bytes_done, description=text)

            path = await downloader.pull(spec, show)
        console.print(f"{name}: complete and verified in {path}")
