"""`antiphon say`: speaks a text into a file, with a running server or with the models on this disk."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from antiphon.cli import local, server_probe
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, parse_emotion
from antiphon.text import chapters


def main(
    text: str, output: Path | None, request: dict[str, Any], server: str, data_dir: Path, models_dir: Path | None
) -> None:
    target = output or Path("speech.wav")
    kind = format_of(target)
    if server_probe.answers(server):
        audio = through_server(server, text, kind, request)
    else:
        audio = asyncio.run(alone(text, kind, request, data_dir, models_dir))
    if str(target) == "-":
        sys.stdout.buffer.write(audio)
        return
    target.write_bytes(audio)
    print(f"{target} ({len(audio):,} bytes)")  # noqa: T201 - it is the command's answer


def text_of(text: str | None, file: Path | None) -> str:
    """The text to speak, from one source. Raises `InvalidRequest` unless exactly one is given."""
    if (text is None) == (file is None):
        raise errors.InvalidRequest("give a text, or --file; see antiphon say --help")
    if file is not None:
        return chapters.read_book(file)
    return sys.stdin.read() if text == "-" else str(text)


def book_of(file: Path | None, text: str | None) -> Path:
    if file is None or text is not None:
        raise errors.InvalidRequest("--chapters goes with --file BOOK and no other text")
    return file


def folder_of(file: Path | None) -> Path:
    """The default folder for chapters: beside the book, with its name."""
    assert file is not None
    return file.with_suffix("") if file.suffix else file.with_name(f"{file.name}-audio")


def checked(kind: str) -> str:
    if kind not in FORMATS or kind == "pcm":
        raise errors.InvalidRequest(f"there is no format {kind!r}; there are: mp3, opus, aac, flac, wav")
    return kind


def format_of(target: Path) -> str:
    ending = target.suffix.lower().lstrip(".")
    if str(target) == "-" or not ending:
        return "wav"
    ending = {"ogg": "opus", "m4a": "aac"}.get(ending, ending)
    if ending not in FORMATS:
        raise errors.InvalidRequest(f"cannot write {target.name}: the ending must be one of {', '.join(FORMATS)}")
    return ending


def through_server(server: str, text: str, kind: str, request: dict[str, Any]) -> bytes:
    body = {"input": text, "response_format": kind, **{k: v for k, v in request.items() if v is not None}}
    with server_probe.client(server) as client:
        answer = server_probe.checked(server_probe.admitted(lambda: client.post("/v1/audio/speech", json=body)))
        for warning in answer.headers.get_list("warning"):
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
        return answer.content


async def alone(text: str, kind: str, request: dict[str, Any], data_dir: Path, models_dir: Path | None) -> bytes:
    options = {k: v for k, v in request.items() if v is not None and k != "emotion"}
    options["emotion"] = parse_emotion(request.get("emotion"))
    async with local.antiphon(request.get("model"), data_dir, models_dir) as antiphon:
        return await antiphon.speak(text, format=kind, **options)
