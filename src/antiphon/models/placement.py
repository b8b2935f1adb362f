"""How many workers of a model this machine carries, where each runs, and with how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from antiphon.catalog.models import ModelSpec
from antiphon.worker.gpus import VISIBLE, Gpu

#: Part of a GPU's memory that is left to the driver, the desktop and fragmentation.
SPARE = 0.05
#: Part of the free main memory that workers may take.
MAIN_MEMORY = 0.7


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one worker runs: on a GPU, of which it takes so many bytes, or on the CPU."""

    gpu: Gpu | None = None
    bytes: int = 0
    #: Whether it could use a GPU, and is told which: its process sees that one alone, or none.
    restricted: bool = False

    @property
    def environment(self) -> Mapping[str, str]:
        """What its process finds in its environment."""
        return {VISIBLE: self.gpu.id if self.gpu else ""} if self.restricted else {}


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(spec: ModelSpec) -> int:
    """Compute threads of one worker: neural models on a CPU gain from two, the others use one."""
    return 1 if spec.name in ("tone", "espeak") else min(2, cores())


def replicas(spec: ModelSpec, asked: int | str) -> int:
    """Workers of a model on the CPU: as asked, or as many as the cores and the free memory carry, at least one."""
    if isinstance(asked, int):
        return max(1, asked)
    by_cores = max(1, cores() // threads(spec))
    footprint = spec.footprint
    if not footprint:
        return by_cores
    return max(1, min(by_cores, int(psutil.virtual_memory().available * MAIN_MEMORY) // footprint))


def placements(
    spec: ModelSpec, asked: int | str, gpus: Sequence[Gpu], taken: Iterable[Placement] = ()
) -> list[Placement]:
    """The workers of a model: on GPUs where it uses them and one of them has the room, else on the CPU.

    `auto` fills each GPU with as many as its free memory holds beside `taken`, the seats of other models that may
    not have filled theirs yet; a number is kept to, each worker where most is left, even if that is too little.
    """
    need = spec.gpu_footprint
    room = _room(gpus, taken) if need else {}
    if asked == "auto":
        on_gpus = [Placement(gpu, need, True) for gpu, free in room.items() for _ in range(free // need)]
        return on_gpus or [Placement(restricted=bool(need))] * replicas(spec, asked)
    if not room or max(room.values()) < need:
        return [Placement(restricted=bool(need))] * replicas(spec, asked)
    found: list[Placement] = []
    for _ in range(replicas(spec, asked)):
        gpu = max(room, key=lambda each: room[each])
        room[gpu] -= need
        found.append(Placement(gpu, need, True))
    return found


def too_small(spec: ModelSpec, placements: Sequence[Placement], gpus: Sequence[Gpu]) -> str | None:
    """What to tell the operator when a model that wants a GPU did not get one, or shares one with too many."""
    if not spec.gpu_footprint:
        return None
    need, here = f"{spec.gpu_footprint / 2**30:.1f} GiB", ", ".join(f"{g.name}: {g.free / 2**30:.1f} GiB" for g in gpus)
    if all(placement.gpu is None for placement in placements):
        return f"it runs on the CPU, slowly: no GPU has {need} free ({here or 'there is none'})"
    if any(sum(s.bytes for s in placements if s.gpu == gpu) > gpu.free for gpu in gpus):
        return f"{len(placements)} workers of {need} each are more than the GPUs have free ({here})"
    return None


def _room(gpus: Sequence[Gpu], taken: Iterable[Placement]) -> dict[Gpu, int]:
    """Bytes for workers on each GPU."""
    room = {gpu: max(0, gpu.free - int(gpu.total * SPARE)) for gpu in gpus}
    for placement in taken:
        if placement.gpu in room:
            room[placement.gpu] = max(0, room[placement.gpu] - placement.bytes)
    return room
