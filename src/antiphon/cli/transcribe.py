"""`antiphon transcribe`: turns a recording into text or subtitles, with a server or with the models on this disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Literal

import httpx

from antiphon.cli import local, server_probe
from antiphon.domain import errors
from antiphon.domain.transcription import Format

#: Response format by file name suffix.
FORMATS: dict[str, Format] = {".txt": "text", ".srt": "srt", ".vtt": "vtt", ".json": "verbose_json"}


def main(
    file: Path, output: Path | None, request: dict[str, Any], server: str, data_dir: Path, models_dir: Path | None,
    *, translate: bool = False,
) -> None:  # fmt: skip
    """Prints or writes the transcript. `request`: the request fields that have a value."""
    if not file.is_file():
        raise errors.InvalidRequest(f"there is no file {file}")
    kind = format_of(output)
    if not server_probe.answers(server):
        text = asyncio.run(alone(file, kind, request, data_dir, models_dir, translate=translate))
    elif output is None:
        through_server_at_once(server, file, request, translate=translate)
        return
    else:
        text = through_server(server, file, kind, request, translate=translate)
    if output is None:
        print(text.rstrip("\n"))  # noqa: T201 - it is the command's answer
    else:
        output.write_text(text, "utf-8")
        print(f"{output} ({len(text.encode()):,} bytes)")  # noqa: T201


def format_of(output: Path | None) -> Format:
    if output is None:
        return "text"
    if output.suffix.lower() not in FORMATS:
        raise errors.InvalidRequest(f"cannot write {output.name}: the ending must be one of {', '.join(FORMATS)}")
    return FORMATS[output.suffix.lower()]


def path_of(*, translate: bool) -> str:
    return "/v1/audio/translations" if translate else "/v1/audio/transcriptions"


def through_server(server: str, file: Path, kind: Format, request: dict[str, Any], *, translate: bool) -> str:
    with server_probe.client(server) as http, file.open("rb") as opened:
        fields = {**request, "response_format": kind}

        def send() -> httpx.Response:
            opened.seek(0)
            return http.post(path_of(translate=translate), files={"file": (file.name, opened)}, data=fields)

        return server_probe.checked(server_probe.admitted(send)).text


def through_server_at_once(server: str, file: Path, request: dict[str, Any], *, translate: bool) -> None:
    """Prints each part of the transcript as soon as the server sends it."""
    with server_probe.client(server) as http, file.open("rb") as opened:
        fields = {**request, "stream": "true"}

        def send() -> httpx.Response:
            opened.seek(0)
            files = {"file": (file.name, opened)}
            request = http.build_request("POST", path_of(translate=translate), files=files, data=fields)
            return http.send(request, stream=True)

        with contextlib.closing(server_probe.admitted(send)) as answer:
            for line in server_probe.checked(answer).iter_lines():
                if not line.startswith("data: "):
                    continue
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    print(flush=True)  # noqa: T201
                    raise errors.AntiphonError(event["error"]["message"])
                if event["type"] == "transcript.text.delta":
                    sys.stdout.write(event["delta"])
                    sys.stdout.flush()
            print()  # noqa: T201


async def alone(
    file: Path, kind: Format, request: dict[str, Any], data_dir: Path, models_dir: Path | None, *, translate: bool
) -> str:
    from antiphon.catalog import models as catalog

    model = request.pop("model", None) or best(models_dir or data_dir / "cache_hub" / "models")
    if catalog.find(model) is None:
        raise errors.UnknownModel(f"there is no model {model!r}; there are: {', '.join(catalog.names())}")
    task: Literal["transcribe", "translate"] = "translate" if translate else "transcribe"
    async with local.antiphon(model, data_dir, models_dir) as antiphon:
        return await antiphon.transcribe(file, model=model, format=kind, task=task, **request)


def best(folder: Path) -> str:
    """The largest transcription model whose files are here. Raises `ModelUnavailable` with the command to fetch one."""
    from antiphon.catalog import models as catalog

    known = [spec for spec in catalog.MODELS.values() if spec.kind == "transcription"]
    for spec in sorted(known, key=lambda each: -each.size):
        if catalog.is_present(spec, folder) and not catalog.missing_modules(spec):
            return spec.name
    names = ", ".join(spec.name for spec in known)
    raise errors.ModelUnavailable(
        f"no model for recognition is here; fetch one ({names}): antiphon pull {known[0].name}, "
        f"after pip install 'antiphon[{known[0].extra}]'"
    )
