"""`antiphon say --file book.txt --chapters`: renders a book as one file per chapter, as durable jobs of a server.

A repeated command skips finished chapters and continues the others: a ledger in the folder stores the recipe of each
file, and an idempotency key identifies each chapter's job on the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from antiphon.cli import server_probe
from antiphon.client import AsyncClient, RoomWait, errors
from antiphon.domain.errors import AntiphonError, InvalidRequest
from antiphon.domain.request import MAX_TEXT
from antiphon.text.chapters import Chapter, read_book, split

#: File in the folder that stores the recipe of each finished chapter.
LEDGER = ".antiphon-book.json"
#: Chapters that are submitted at the same time, so that several workers are busy.
AT_ONCE = 4
#: Seconds that a chapter waits for room in line: a shelf of books may be in front of it.
ROOM_PATIENCE = 30 * 86_400.0
#: Seconds between two polls of a job.
POLL_SECONDS = 0.3
#: Characters of a title that may become a file's name: Unicode normalisation sorts marks in quadratic time.
MAX_TITLE = 400
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')

console = Console(stderr=True, markup=False)


@dataclass(slots=True)
class Part:
    """One audio file of the book."""

    number: int
    title: str
    text: str
    path: Path
    #: Digest of the text and of every option that changes the audio.
    recipe: str
    error: str | None = None


def main(
    file: Path, folder: Path, kind: str, request: dict[str, Any], server: str, data_dir: Path, models_dir: Path | None
) -> None:
    """Renders the book and prints its folder. Raises `AntiphonError` if a chapter failed."""
    options = {name: value for name, value in request.items() if value is not None} | {"format": kind}
    parts = plan(read_book(file), folder, options)
    if not parts:
        raise InvalidRequest(f"{file} has nothing to say")
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / LEDGER)
    todo = [part for part in parts if not ledger.has(part)]
    skipped = f", {len(parts) - len(todo)} of them done before" if len(todo) < len(parts) else ""
    console.print(f"{file.name}: {len(parts)} chapters{skipped}", highlight=False)
    if todo:
        with _server(server, data_dir, models_dir, request.get("model")) as base:
            try:
                asyncio.run(Rendering(base, options, ledger, len(parts)).run(todo))
            except KeyboardInterrupt:
                console.print(
                    "Stopped. A server goes on with the chapters it has; the same command collects them and the rest."
                )
                sys.exit(130)
    failed = [part for part in todo if part.error]
    for part in failed:
        console.print(f"{part.path.name}: {part.error}", style="red", highlight=False)
    if failed:
        raise AntiphonError(f"{len(failed)} of {len(parts)} chapters could not be made; the same command tries again")
    print(folder)  # noqa: T201 - it is the command's answer


def plan(text: str, folder: Path, options: Mapping[str, Any]) -> list[Part]:
    """The files of a book. A chapter that is too long for one job becomes several files."""
    pieces = [piece for chapter in split(text) for piece in _pieces(chapter) if re.search(r"[^\W_]", piece[1])]
    width = max(2, len(str(len(pieces))))
    parts = []
    for number, (title, body) in enumerate(pieces, 1):
        path = folder / f"{number:0{width}} - {safe_name(title)}.{options['format']}"
        form = json.dumps([body, sorted(options.items())], ensure_ascii=False)
        parts.append(Part(number, title, body, path, hashlib.sha256(form.encode("utf-8", "replace")).hexdigest()))
    return parts


def _pieces(chapter: Chapter) -> Iterator[tuple[str, str]]:
    text, start, count = chapter.text, 0, 1
    while len(text) - start > MAX_TEXT:
        most = start + MAX_TEXT
        end = max(text.rfind(mark, start, most) for mark in ("\n", "。", " ")) + 1 or most
        yield f"{chapter.title} ({count})", text[start:end]
        start, count = end, count + 1
    yield (f"{chapter.title} ({count})" if count > 1 else chapter.title), text[start:]


def safe_name(title: str) -> str:
    """A title as a file name that is valid on every file system; at most 100 bytes of UTF-8."""
    plain = _UNSAFE.sub(" ", unicodedata.normalize("NFC", title[:MAX_TITLE]))
    plain = " ".join("".join(c for c in plain if unicodedata.category(c)[0] != "C").split()).strip(". ")
    return plain.encode("utf-8", "replace")[:100].decode("utf-8", "ignore").strip() or "chapter"


class Ledger:
    """Ledger of the finished files with their recipes. A removed file counts as unfinished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recipes: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            self._recipes = {str(k): str(v) for k, v in json.loads(path.read_text("utf-8"))["made"].items()}

    def has(self, part: Part) -> bool:
        return self._recipes.get(part.path.name) == part.recipe and part.path.is_file()

    def add(self, part: Part, data: bytes) -> None:
        """Writes the file, then the ledger, each atomically."""
        _replace(part.path, data)
        self._recipes[part.path.name] = part.recipe
        _replace(self._path, json.dumps({"made": self._recipes}, ensure_ascii=False, indent=1).encode())


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data)
    os.replace(partial, path)


@dataclass(slots=True)
class Rendering:
    """Renders the chapters with one server, a few at a time."""

    base: str
    options: dict[str, Any]
    ledger: Ledger
    total: int
    progress: Progress = field(init=False)
    overall: TaskID = field(init=False)
    #: Held while a chapter is recorded: all writers of the ledger share one temporary file.
    ledger_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: The chapters that are submitted and their bars, by the idempotency key of their jobs.
    bars: dict[str, tuple[str, TaskID]] = field(default_factory=dict)
    told: bool = False

    async def run(self, todo: list[Part]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console)
        with self.progress:
            self.overall = self.progress.add_task("all", total=self.total, completed=self.total - len(todo))
            slots = asyncio.Semaphore(AT_ONCE)
            client = AsyncClient(self.base, patience=600.0, retries=20, room_patience=ROOM_PATIENCE, on_wait=self._wait)
            async with client, asyncio.TaskGroup() as tasks:
                for part in todo:
                    await slots.acquire()
                    task = tasks.create_task(self._render(client, part), name=part.path.name)
                    task.add_done_callback(lambda _: slots.release())

    def _wait(self, wait: RoomWait) -> None:
        """Says that a chapter waits, and why; the book goes on with the others."""
        if not self.told:
            self.told = True
            self.progress.console.print(f"{wait.reason}. The book waits and goes on by itself.", highlight=False)
        title, bar = self.bars[wait.key or ""]
        self.progress.update(bar, description=f"{title} waits for room, {wait.seconds:.0f} s")

    async def _render(self, client: AsyncClient, part: Part) -> None:
        title = part.title if len(part.title) <= 24 else part.title[:23] + "…"
        bar = self.progress.add_task(title, total=None)
        key = f"book-{part.recipe}"
        self.bars[key] = title, bar
        try:
            job = await client.submit(part.text, **self.options, priority="bulk", idempotency_key=key)
            self.progress.update(bar, description=title)
            if job.ended and job.status != "succeeded":
                job = await client.retry(job)
            while not job.ended:
                self.progress.update(bar, total=job.units.total, completed=job.units.done)
                await asyncio.sleep(POLL_SECONDS)
                job = await client.job(job)
            if job.error is not None or job.status != "succeeded":
                part.error = job.error.message if job.error else f"its job was {job.status}"
                return
            audio = await client.result(job)
            async with self.ledger_lock:
                await asyncio.to_thread(self.ledger.add, part, audio.data)
            self.progress.advance(self.overall)
        except errors.ClientError as e:
            part.error = str(e)
        finally:
            self.progress.remove_task(bar)
            self.bars.pop(key, None)


@contextlib.contextmanager
def _server(server: str, data_dir: Path, models_dir: Path | None, model: str | None) -> Iterator[str]:
    """The address of the server; starts one for the length of the book if none answers there."""
    if server_probe.answers(server):
        yield server
        return
    command = [sys.executable, "-m", "antiphon.cli.main", "serve", "--port", "0", "--data-dir", str(data_dir)]
    command += ["--no-download", "--log-level", "error", "--drain-seconds", "0"]
    command += ["--models-dir", str(models_dir)] if models_dir else []
    command += ["--model", model] if model else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if "listens on" not in line:
            raise AntiphonError("could not start a server for the book; its message is above")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
