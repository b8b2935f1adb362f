"""`antiphon imagine`: turns a prompt into images, with a running server or with a model on this disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from antiphon.cli import jobs, local, server_probe
from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.image import parse_size

#: Output format by file name suffix.
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
#: Receives the progress of the whole request, 0 to 1, and a word about its state.
ReportProgress = Callable[[float, str], None]


def main(
    prompt: str, output: Path, request: dict[str, Any], server: str, data_dir: Path, models_dir: Path | None
) -> None:
    """Writes the images of a prompt. `request`: the request fields that have a value."""
    kind = format_of(output)
    with bar() as report:
        if server_probe.answers(server):
            images = through_server(server, {**request, "prompt": prompt, "output_format": kind}, report)
        else:
            images = asyncio.run(alone(prompt, kind, request, data_dir, models_dir, report))
    for path, data in zip(names(output, len(images)), images, strict=True):
        path.write_bytes(data)
        print(f"{path} ({len(data):,} bytes)")  # noqa: T201 - it is the command's answer


def format_of(output: Path) -> str:
    if output.suffix.lower() not in FORMATS:
        raise errors.InvalidRequest(f"cannot write {output.name}: the ending must be one of {', '.join(FORMATS)}")
    return FORMATS[output.suffix.lower()]


def names(output: Path, count: int) -> list[Path]:
    """The paths to write: the given one, or numbered ones for several images."""
    if count == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{number}") for number in range(1, count + 1)]


@contextlib.contextmanager
def bar() -> Iterator[ReportProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=1.0)
        yield lambda fraction, text: progress.update(task, completed=fraction, description=text)


def through_server(server: str, body: dict[str, Any], report: ReportProgress) -> list[bytes]:
    job = jobs.call(server, "POST", "/v1/jobs", json={"type": "image", **body})
    try:
        for event in jobs.events(server, job["id"]):
            report(float(event.get("progress", 0.0)), jobs.line(event))
    except KeyboardInterrupt:
        jobs.call(server, "DELETE", f"/v1/jobs/{job['id']}")
        raise
    job = jobs.call(server, "GET", f"/v1/jobs/{job['id']}")
    if job["status"] != "succeeded":
        raise errors.AntiphonError(jobs.outcome(job) if job["error"] else f"the job is {job['status']}")
    return [server_probe.get(server + image["path"], 60).content for image in job["result"]["images"]]


async def alone(
    prompt: str, kind: str, request: dict[str, Any], data_dir: Path, models_dir: Path | None, report: ReportProgress
) -> list[bytes]:
    options = dict(request)
    model = options.pop("model", None)
    if model is None:
        raise errors.ModelUnavailable(
            "no server answers, so name a model: --model FOLDER of a diffusers pipeline, or start a server with one"
        )
    options["width"], options["height"] = parse_size(options.pop("size", None))

    def receive(event: Event) -> None:
        if event.job is not None:
            report(float(event.data.get("progress", 0.0)), str(event.data.get("status", "")))

    async with local.antiphon(model, data_dir, models_dir, receive) as antiphon:
        return await antiphon.imagine(prompt, format=kind, **options)
