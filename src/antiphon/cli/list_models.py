"""`antiphon models` and `antiphon voices`: tables of the models and voices that are available."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from antiphon import plugins
from antiphon.catalog import models as catalog
from antiphon.catalog import piper_voices
from antiphon.cli import local, server_probe


def models(folder: Path) -> None:
    table = Table("Model", "Speaks", "Size", "Here", "Licence", "What it is", box=None, pad_edge=False)
    for spec in catalog.MODELS.values():
        languages, size = " ".join(spec.languages) or "any", sum(f.size for f in spec.files)
        megabytes = f"{size / 1e6:.0f} MB" if size else "-"
        table.add_row(spec.name, languages, megabytes, here(spec, folder), spec.licence, spec.description)
    Console(markup=False).print(table)


def here(spec: catalog.ModelSpec, folder: Path) -> str:
    """Whether a model can run here; if not, the next step to take."""
    if spec.engine not in plugins.engines():
        return "files only" if not catalog.missing(spec, folder) else "no"
    if catalog.missing_modules(spec):
        return f"no: pip install 'antiphon[{spec.extra}]'"
    if catalog.lacks_voice(spec, folder):
        return f"no: antiphon pull {spec.name}:VOICE"
    return "yes" if not catalog.missing(spec, folder) else f"no: antiphon pull {spec.name}"


def voices(model: str | None, language: str | None, server: str, data_dir: Path, models_dir: Path | None) -> None:
    if server_probe.answers(server):
        found = server_probe.get(f"{server}/v1/audio/voices", 10).json()["voices"]
    else:
        found = asyncio.run(_voices_alone(model, data_dir, models_dir))
    table = Table("Voice", "Name", "Speaks", "Gender", "Model", box=None, pad_edge=False)
    for v in found:
        if (model is None or v["model"] == model) and (language is None or language in v["languages"]):
            table.add_row(v["id"], v["name"], " ".join(v["languages"]), v["gender"] or "-", v["model"])
    Console(markup=False).print(table)


def available(language: str | None, folder: Path) -> None:
    """The voices that can be pulled. Not as a table, which would cut names short that are to be typed."""
    rows = [("Voice", "Speaks", "Quality", "Hz", "Speakers", "Size", "Here", "Licence")]
    for voice in piper_voices.voices().values():
        if language in (None, voice.tag):
            there = not catalog.missing(piper_voices.spec_of(voice), folder)
            rows.append((
                voice.name, f"{voice.language} ({voice.country})", voice.quality, str(voice.rate), str(voice.speakers),
                f"{voice.size / 1e6:.0f} MB", "yes" if there else "-", voice.licence,
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for row in rows:
        console.print("  ".join(map(str.ljust, row, widths)).rstrip())
    console.print(f"Fetch one with: antiphon pull {piper_voices.MODEL}:VOICE")


async def _voices_alone(model: str | None, data_dir: Path, models_dir: Path | None) -> list[dict[str, Any]]:
    async with local.antiphon(model, data_dir, models_dir) as antiphon:
        return antiphon.voices()
