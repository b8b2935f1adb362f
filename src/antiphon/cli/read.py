"""`antiphon read`: prints what would be said for a text, with a running server or with the models on this disk."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from antiphon.cli import local, server_probe
from antiphon.domain.request import SpeechRequest


def main(
    text: str, request: dict[str, Any], server: str, data_dir: Path, models_dir: Path | None, *, as_json: bool
) -> None:
    given = {name: value for name, value in request.items() if value is not None}
    if server_probe.answers(server):
        found = through_server(server, text, given)
    else:
        found = asyncio.run(alone(text, given, data_dir, models_dir))
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))  # noqa: T201 - it is the command's answer
        return
    for segment in found["segments"]:
        print(segment.get("phonemes", segment["reading"]))  # noqa: T201 - it is the command's answer


def through_server(server: str, text: str, request: dict[str, Any]) -> dict[str, Any]:
    with server_probe.client(server) as client:
        answer = server_probe.checked(client.post("/v1/audio/reading", json={"input": text, **request}))
        found: dict[str, Any] = answer.json()
        return found


async def alone(text: str, request: dict[str, Any], data_dir: Path, models_dir: Path | None) -> dict[str, Any]:
    async with local.antiphon(request.get("model"), data_dir, models_dir) as antiphon:
        phonemes = request.pop("phonemes")
        return await antiphon.speech.reading(SpeechRequest(text, **request), "local", phonemes=phonemes)
