"""Derived: the two graphs that `dividing` makes of Kokoro's, kept beside the model, and the choice between them and it.

They are made at the first start, in a process of its own (`rewriting`), checked there against the graph as it came, and
taken only as long as their digests and that of their source are right. Whatever is in the way, Kokoro runs on the graph
as it came, and says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: To be raised when the graphs are made in another way.
FORMAT = 2
#: The two graphs of a folder, and what is known of them.
ENCODER, DECODER, NOTE = "encoder.onnx", "decoder.onnx", "graph.json"
#: Seconds that making and checking them may take; some five on an idle machine.
PATIENCE = 300.0
MISSING = "the Python package onnx is missing; fix: pip install 'antiphon[kokoro]'"


@dataclass(frozen=True, slots=True)
class Form:
    """What is made of the graph, for what computes it."""

    #: The folder beside the model.
    folder: str
    says: str
    #: Whether its convolutions are of floats, and its decoder runs on a GPU.
    floats: bool = False
    gpu: bool = False


FOR_PROCESSORS = Form("rewritten", "rewritten graph")
#: ONNX Runtime has no integer convolutions for GPUs.
FOR_GPUS = Form("rewritten-gpu", "rewritten graph in floats, on a GPU", floats=True, gpu=True)
FORMS = {form.folder: form for form in (FOR_PROCESSORS, FOR_GPUS)}
FOLDER = FOR_PROCESSORS.folder


@dataclass(frozen=True, slots=True)
class Choice:
    """Which graph runs."""

    #: The folder of the two graphs; None: the graph as it came runs.
    folder: Path | None
    #: For people: what runs, and what would help.
    says: str
    form: Form = FOR_PROCESSORS
    #: Why a better one does not run; "": none would be better.
    why: str = ""

    @property
    def name(self) -> str:
        """Part of the revision: the samples of the graphs differ."""
        return "plain" if self.folder is None else f"{self.form.folder} {FORMAT}"


def best(model: Path, source: str, *, gpu: bool) -> Choice:
    """The graphs for a GPU if there is one (`gpu`) and they run on it, else those for processors."""
    if not gpu:
        return choose(model, source)
    chosen = choose(model, source, FOR_GPUS)
    return chosen if chosen.folder is not None else without_gpu(model, source, chosen.why)


def without_gpu(model: Path, source: str, why: str) -> Choice:
    """The graphs for processors, and why none runs on the GPU that is there."""
    chosen = choose(model, source)
    return replace(chosen, says=f"{chosen.says}; not on the GPU: {why}")


def choose(model: Path, source: str, form: Form = FOR_PROCESSORS) -> Choice:
    """The graphs of a model whose SHA-256 is `source`; makes them if they are not there or are damaged."""
    folder = model.parent / form.folder
    try:
        with _alone(folder):
            note = read(folder, source)
            if note is None:
                _make(model, source, form)
                note = read(folder, source)
    except (OSError, subprocess.SubprocessError) as e:
        return _plain(f"the rewritten one cannot be made here: {_why(e)}")
    if note is None:
        return _plain("the rewritten one was damaged while it was written")
    if refused := note["verdicts"][runtime()]:
        return _plain(refused)
    return Choice(folder, form.says, form)


def state(model: Path, form: Form = FOR_PROCESSORS) -> str:
    """What runs on this machine, without making anything; for `antiphon doctor`."""
    folder = model.parent / form.folder
    if (note := read(folder, digest(model))) is not None:
        refused = note["verdicts"][runtime()]
        return _plain(refused).says if refused else form.says
    if find_spec("onnx") is None:
        return _plain(MISSING).says
    return f"{form.says}, which is made at the first start"


def read(folder: Path, source: str) -> dict[str, Any] | None:
    """What is known of the graphs; None if they must be made: they are missing, damaged, or of another source."""
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        if (note["format"], note["source"]) != (FORMAT, source) or runtime() not in note["verdicts"]:
            return None
        if any(digest(folder / name) != note["files"][name] for name in (ENCODER, DECODER)):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(note)


def runtime() -> str:
    """What the check depends on: another version of ONNX Runtime is checked anew, and so is another processor, which
    may share the folder."""
    import platform

    import onnxruntime

    return f"{onnxruntime.__version__} {platform.machine()} {_processor()}"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _processor() -> str:
    """A digest of the processor's instructions; "" where the system does not tell them."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("flags", "features"):
                return hashlib.sha256(" ".join(sorted(value.split())).encode()).hexdigest()[:12]
    return ""


def _make(model: Path, source: str, form: Form) -> None:
    """In a process of its own: reading and writing graphs takes a third of a gigabyte that a worker would keep."""
    command = [sys.executable, "-m", "antiphon.engines.kokoro.rewriting", str(model), source, form.folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise OSError(lines[-1] if lines else f"the process ended with {done.returncode}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Several workers start at once, and one of them makes the graphs."""
    descriptor = os.open(folder.with_name(f".{folder.name}.lock"), os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _plain(why: str) -> Choice:
    return Choice(None, f"plain graph, half as quick: {why}", why=why)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
