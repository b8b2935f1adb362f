"""`antiphon doctor`: what this machine can run, why not the rest, and the command that would help."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from pathlib import Path

import psutil
from rich.console import Console

from antiphon import __version__, plugins
from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader
from antiphon.service.sizing import cores, replicas

GB = 1e9


def main(data_dir: Path, folder: Path) -> None:
    say = Console(highlight=False, soft_wrap=True).print
    memory = psutil.virtual_memory()
    say(f"Antiphon {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    say(f"  cores {cores()}, memory {memory.available / GB:.1f} GB free of {memory.total / GB:.1f} GB")
    say(f"  {gpu()}")
    say(f"  {disk(data_dir)}")
    network = asyncio.run(Downloader(folder).network_state())
    say(f"  model hubs: {network}" + ("" if network == "online" else " (a model can also be copied in by hand)"))
    say("Models")
    for spec in catalog.MODELS.values():
        good, text = verdict(spec, folder)
        say(f"  {'yes' if good else 'no '}  {spec.name}: {text}")


def verdict(spec: catalog.ModelSpec, folder: Path) -> tuple[bool, str]:
    if spec.engine not in plugins.engines():
        return False, "no engine for it is installed"
    modules = catalog.missing_modules(spec)
    if modules:
        return False, f"needs {', '.join(modules)}; fix: pip install 'antiphon[{spec.extra}]'"
    files = catalog.missing(spec, folder)
    if files:
        size = sum(f.size for f in files) / 1e6
        return (
            False,
            f"{len(files)} files ({size:.0f} MB) are missing; fix: antiphon pull {spec.name} --output {folder}",
        )
    count = replicas(spec, "auto")
    return True, f"{count} worker{'s' if count > 1 else ''} would run"


def gpu() -> str:
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return "GPU: none found; models run on the CPU"
    return "GPU: an NVIDIA driver is present; the engines of this version run on the CPU"


def disk(data_dir: Path) -> str:
    place = data_dir if data_dir.exists() else Path.cwd()
    free = shutil.disk_usage(place).free / GB
    if not os.access(place, os.W_OK):
        return f"data: {place} cannot be written by this user; choose another --data-dir"
    warning = "" if free > 2 else "; less than 2 GB: clean up before models are fetched"
    return f"data: {place.resolve()}, {free:.0f} GB free{warning}"
