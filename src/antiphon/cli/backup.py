"""`antiphon backup`: copies the data directory consistently, also while a server uses it."""

from __future__ import annotations

from pathlib import Path

import typer

from antiphon.domain import errors
from antiphon.settings import load
from antiphon.store import backup


def main(data: Path, to: Path, output: bool) -> None:
    if load(flags={"data_dir": data}).store != "sqlite":
        raise errors.InvalidRequest(
            "The jobs are in PostgreSQL (ANTIPHON_STORE): back it up with pg_dump, and object storage by its own means",
            param="store",
        )
    copied = backup.copy(data, to, output=output)
    typer.echo(f"{to}: {copied.jobs} jobs, {copied.files} files, {copied.bytes} bytes; checked")
    typer.echo(f"To go on from it: antiphon serve --data-dir {to}")
