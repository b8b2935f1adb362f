"""ModelSpec: what the catalog knows about a model before any of its code or files is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from antiphon.catalog.sources import FileSpec, Repo
from antiphon.domain.job import Kind

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the catalog."""

    #: The name in requests, and of the model's directory below the models directory.
    name: str
    #: The name of the plug-in that runs the model.
    engine: str
    kind: Kind
    title: str
    description: str
    #: BCP-47 primary tags, until the engine's own list replaces them.
    languages: tuple[str, ...]
    #: SPDX expression of the weights.
    licence: str
    #: The extra of this package that installs the model's libraries; None: there are none.
    extra: str | None = None
    #: Python modules that must be importable.
    modules: tuple[str, ...] = ()
    files: tuple[FileSpec, ...] = ()
    #: Repositories whose files only the hub can list; a pull writes the list down (`manifest.py`).
    repos: tuple[Repo, ...] = ()
    #: `auto` serves the highest rank that can run; 0: only when the operator names the model.
    rank: int = 0
    #: Bytes of memory that one worker needs, roughly; 0: too little to count.
    footprint: int = 0
    #: Bytes of GPU memory that one worker needs, roughly; 0: it uses no GPU.
    gpu_footprint: int = 0
    #: The same on a GPU that computes in bfloat16; 0: no less.
    gpu_footprint_bf16: int = 0
    #: The Python distribution without which its engine uses no GPU; "": there is none.
    gpu_distribution: str = ""
    #: Workers of it that `auto` puts on a GPU at most; 0: as many as its memory holds. One whose engine computes many
    #: units in the same steps needs no second.
    workers_per_gpu: int = 0
    #: Cores for each worker that `auto` runs on the CPU; 0: as many as a worker has threads. Threads that wait for each
    #: other leave cores unused, which a second worker takes.
    cores: int = 0
    #: Seconds that a unit takes before any was measured: a constant, and per character, on an ordinary machine.
    prior: tuple[float, float] = (0.1, 0.02)
    #: Whether this machine does the work, so that the model shares its processors or GPUs with others.
    local: bool = True
    #: Whether workers may run on the nodes of a cluster; else they always run beside the server.
    movable: bool = True
    #: A function (`module:name`) that says in words what fits on a GPU, of the model's name, the bytes that are free
    #: and whether the GPU computes in bfloat16. `antiphon doctor` calls it.
    fit: str | None = None
    #: Module that prints how the model computes on this machine, if it is run with the model's folder.
    teller: str = ""
    #: Whether its voices are pulled one by one, as `NAME:VOICE`; without one it cannot run.
    needs_voice: bool = False
    #: JSON values for the engine.
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all the model's files."""
        return sum(file.size for file in self.files)

    def as_installed(self) -> ModelSpec:
        """The model as it runs with the packages that are here: it has no place on a GPU without the one it needs."""
        if not self.gpu_distribution:
            return self
        try:
            distribution(self.gpu_distribution)
        except PackageNotFoundError:
            return replace(self, gpu_footprint=0, gpu_footprint_bf16=0)
        return self
