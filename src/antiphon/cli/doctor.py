"""`antiphon doctor`: reports what this machine can run, and the fix for what it cannot."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import psutil
from rich.console import Console

from antiphon import plugins
from antiphon.app import stores
from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader
from antiphon.domain import errors
from antiphon.domain.job import State
from antiphon.files.bucket import Bucket
from antiphon.models.placement import cores, placements, replicas
from antiphon.settings import Settings, load
from antiphon.version import __version__
from antiphon.worker.gpus import Gpu, gpus
from antiphon.worker.ray import node_join

GB = 1e9
#: Seconds that a shared service gets to answer.
PATIENCE = 10.0


def main(data_dir: Path, folder: Path) -> None:
    settings = load(flags={"data_dir": data_dir})
    # Names of extras have brackets, which rich would read as markup.
    say = Console(highlight=False, soft_wrap=True, markup=False).print
    memory = psutil.virtual_memory()
    say(f"Antiphon {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    say(f"  cores {cores()}, memory {memory.available / GB:.1f} GB free of {memory.total / GB:.1f} GB")
    say(f"  {gpu()}")
    say(f"  {disk(data_dir)}")
    network = asyncio.run(Downloader(folder).network_state())
    say(f"  model hubs: {network}" + ("" if network == "online" else " (a model can also be copied in by hand)"))
    for line in asyncio.run(shared(settings)):
        say(f"  {line}")
    say("Models")
    cards = gpus()
    for spec in catalog.MODELS.values():
        good, text = verdict(spec, folder)
        say(f"  {'yes' if good else 'no '}  {spec.name}: {text}")
        for line in fits(spec, cards):
            say(f"       {line}")


async def shared(settings: Settings) -> list[str]:
    """The state of shared services that the settings name: database, object storage, Ray cluster."""
    looks = [store_of(settings)] if settings.store != "sqlite" else []
    looks += [objects_of(settings)] if settings.objects is not None else []
    looks += [ray_of(settings)] if settings.executor == "ray" else []
    return [*await asyncio.gather(*looks)]


async def store_of(settings: Settings) -> str:
    try:
        store = stores.job_store(settings, guest=True)
        async with asyncio.timeout(PATIENCE):
            await store.open()
            try:
                counts = await store.counts()
            finally:
                await store.close()
    except (errors.AntiphonError, TimeoutError) as e:
        return f"store: {e or 'PostgreSQL does not answer'}"
    return f"store: PostgreSQL answers; {counts[State.QUEUED]} jobs queued, {counts[State.RUNNING]} running"


async def objects_of(settings: Settings) -> str:
    try:
        bucket = Bucket(settings.objects or "", endpoint=settings.objects_endpoint, public=settings.objects_public)
        async with asyncio.timeout(PATIENCE):
            await bucket.check()
    except (errors.AntiphonError, TimeoutError) as e:
        return f"objects: {e or 'the storage does not answer'}"
    if bucket.last_error is not None:
        return f"objects: {settings.objects} does not answer: {bucket.last_error}"
    return f"objects: {settings.objects} can be written"


async def ray_of(settings: Settings) -> str:
    if find_spec("ray") is None:
        return "ray: not installed; fix: pip install 'antiphon[ray]'"
    if settings.ray_address is None:
        return "ray: the cluster that this machine belongs to, or one of its own"
    try:
        await asyncio.to_thread(node_join.reach, settings.ray_address)
    except OSError as e:
        return f"ray: nobody answers at {settings.ray_address}: {e.strerror or e}"
    return f"ray: a cluster's head answers at {settings.ray_address}"


def verdict(spec: catalog.ModelSpec, folder: Path) -> tuple[bool, str]:
    if spec.engine not in plugins.engines():
        return False, "no engine for it is installed"
    if modules := catalog.missing_modules(spec):
        return False, f"needs {', '.join(modules)}; fix: pip install 'antiphon[{spec.extra}]'"
    if files := catalog.missing(spec, folder):
        size = f"{sum(f.size for f in files) / 1e6:.0f} MB"
        return False, f"{len(files)} files ({size}) are missing; fix: antiphon pull {spec.name} --output {folder}"
    if catalog.lacks_voice(spec, folder):
        return (
            False,
            f"no voice yet; fix: antiphon voices --available, antiphon pull {spec.name}:VOICE --output {folder}",
        )
    count = replicas(spec, "auto")
    told = told_by(spec.teller, folder / spec.name) if spec.teller else ""
    return True, f"{count} worker{'s' if count > 1 else ''} would run" + (f"; {told}" if told else "")


def told_by(module: str, folder: Path) -> str:
    """How a model computes here, as its engine says, in a process of its own like everything of an engine."""
    command = [sys.executable, "-m", module, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def fits(spec: catalog.ModelSpec, cards: Sequence[Gpu]) -> list[str]:
    """What of a model fits on each GPU by what is free now, where the model's engine can say it. Nothing is loaded."""
    if spec.fit is None or spec.engine not in plugins.engines():
        return []
    if not cards:
        return ["no GPU is seen here; docs/indextts2.md says what fits on which"]
    module, _, name = spec.fit.partition(":")
    describe = getattr(import_module(module), name)
    lines = []
    for card in cards:
        text = describe(spec.name, card.free, card.bf16)
        if placements(spec, "auto", [card])[0].gpu is None:
            text = "too little is free for a worker of it, so the server runs it on another GPU or on the CPU, slowly"
        lines.append(f"on {card.name}, {card.free / 2**30:.1f} of {card.total / 2**30:.1f} GiB free: {text}")
    return lines


def gpu() -> str:
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return "GPU: none found; models run on the CPU"
    return "GPU: an NVIDIA driver is present; IndexTTS and diffusion models use it"


def disk(data_dir: Path) -> str:
    place = data_dir if data_dir.exists() else Path.cwd()
    free = shutil.disk_usage(place).free / GB
    if not os.access(place, os.W_OK):
        return f"data: {place} cannot be written by this user; choose another --data-dir"
    warning = "" if free > 2 else "; less than 2 GB: clean up before models are fetched"
    return f"data: {place.resolve()}, {free:.0f} GB free{warning}"
