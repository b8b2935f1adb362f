"""`antiphon models` and `antiphon voices`: tables of the models and voices that are available."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from antiphon import plugins
from antiphon.catalog import models as catalog
from antiphon.cli import server_probe
from antiphon.domain import errors


def models(folder: Path) -> None:
    table = Table("Model", "Speaks", "Size", "Here", "Licence", "What it is", box=None, pad_edge=False)
    for spec in catalog.MODELS.values():
        size = sum(f.size for f in spec.files)
        table.add_row(
            spec.name,
            " ".join(spec.languages) or "any",
            f"{size / 1e6:.0f} MB" if size else "-",
            here(spec, folder),
            spec.licence,
            spec.description,
        )
    Console(markup=False).print(table)


def here(spec: catalog.ModelSpec, folder: Path) -> str:
    """Whether a model can run here; if not, the next step to take."""
    if spec.engine not in plugins.engines():
        return "files only" if not catalog.missing(spec, folder) else "no"
    if catalog.missing_modules(spec):
        return f"no: pip install 'antiphon[{spec.extra}]'"
    return "yes" if not catalog.missing(spec, folder) else f"no: antiphon pull {spec.name}"


def voices(model: str | None, language: str | None, server: str, data_dir: Path, models_dir: Path | None) -> None:
    if server_probe.answers(server):
        answer = httpx.get(f"{server}/v1/audio/voices", timeout=10, trust_env=False, headers=server_probe.headers())
        if answer.status_code != 200:
            raise errors.AntiphonError(server_probe.reason(answer))
        found = answer.json()["voices"]
    else:
        found = asyncio.run(_voices_alone(model, data_dir, models_dir))
    table = Table("Voice", "Name", "Speaks", "Gender", "Model", box=None, pad_edge=False)
    for v in found:
        if (model is None or v["model"] == model) and (language is None or language in v["languages"]):
            table.add_row(v["id"], v["name"], " ".join(v["languages"]), v["gender"] or "-", v["model"])
    Console(markup=False).print(table)


async def _voices_alone(model: str | None, data_dir: Path, models_dir: Path | None) -> list[dict[str, Any]]:
    from antiphon.app.antiphon import Antiphon

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    flags: dict[str, Any] = {"data_dir": data_dir, "download": False, "model": (model,) if model else ("auto",)}
    if models_dir is not None:
        flags["models_dir"] = models_dir
    async with Antiphon(**flags) as antiphon:
        await antiphon.settled()
        return antiphon.voices()
