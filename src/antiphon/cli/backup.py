"""`antiphon backup`: a consistent copy of the data directory, also while a server runs on it."""

from __future__ import annotations

from pathlib import Path

import typer

from antiphon.store import backup


def main(data: Path, to: Path, output: bool) -> None:
    copied = backup.copy(data, to, output=output)
    typer.echo(f"{to}: {copied.jobs} jobs, {copied.files} files, {copied.bytes} bytes; checked")
    typer.echo(f"To go on from it: antiphon serve --data-dir {to}")
