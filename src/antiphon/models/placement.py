"""Placement: how many workers of a model this machine can run, where each runs, and with how many threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from antiphon.catalog.models import ModelSpec
from antiphon.worker.gpus import VISIBLE, Gpu

#: Part of a GPU's memory that stays free for the driver, the desktop and fragmentation.
SPARE = 0.05
#: Part of the free main memory that workers may take.
MAIN_MEMORY = 0.7


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one worker runs: on the CPU, or on a GPU of which it takes `bytes` of memory."""

    gpu: Gpu | None = None
    bytes: int = 0
    #: Whether the model could use a GPU: then the worker's process sees only `gpu`, or no GPU.
    restricted: bool = False

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables of the worker's process."""
        return {VISIBLE: self.gpu.id if self.gpu else ""} if self.restricted else {}


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(spec: ModelSpec) -> int:
    """Compute threads of one worker: neural models gain from a second one on a CPU, others use one."""
    return 1 if spec.name in ("tone", "espeak") else min(2, cores())


def replicas(spec: ModelSpec, asked: int | str) -> int:
    """Workers of a model on the CPU: the number asked for, else as many as cores and free memory allow; at least 1."""
    if isinstance(asked, int):
        return max(1, asked)
    by_cores = max(1, cores() // (spec.cores or threads(spec)))
    if not (footprint := spec.footprint):
        return by_cores
    return max(1, min(by_cores, int(psutil.virtual_memory().available * MAIN_MEMORY) // footprint))


def placements(
    spec: ModelSpec, asked: int | str, gpus: Sequence[Gpu], taken: Iterable[Placement] = ()
) -> list[Placement]:
    """The placement of each worker of a model: on a GPU if the model uses one and there is room, else on the CPU.
    `taken` holds the placements of other models, whose workers may not have filled their memory yet. `auto` fills each
    GPU with as many workers as its remaining memory holds, or as the model needs there. A number is obeyed: each worker
    goes to the GPU with the most memory left, even if that is too little."""
    on_cpu = Placement(restricted=bool(spec.gpu_footprint))
    room = _room(gpus, taken) if spec.gpu_footprint else {}
    if asked == "auto":
        most, found = spec.workers_per_gpu or sys.maxsize, list[Placement]()
        for gpu, free in room.items():
            need = _need(spec, gpu)
            found += [Placement(gpu, need, True)] * min(most, free // need)
        return found or [on_cpu] * replicas(spec, asked)
    if all(free < _need(spec, gpu) for gpu, free in room.items()):
        return [on_cpu] * replicas(spec, asked)
    found = []
    for _ in range(replicas(spec, asked)):
        gpu = max(room, key=lambda each: room[each] - _need(spec, each))
        room[gpu] -= _need(spec, gpu)
        found.append(Placement(gpu, _need(spec, gpu), True))
    return found


def too_small(spec: ModelSpec, placements: Sequence[Placement], gpus: Sequence[Gpu]) -> str | None:
    """A warning for the operator if a model that can use a GPU got none, or has too many workers on one; else None."""
    if not spec.gpu_footprint:
        return None
    least = min((_need(spec, gpu) for gpu in gpus), default=spec.gpu_footprint)
    need, here = f"{least / 2**30:.1f} GiB", ", ".join(f"{g.name}: {g.free / 2**30:.1f} GiB" for g in gpus)
    if all(placement.gpu is None for placement in placements):
        return f"it runs on the CPU, slowly: no GPU has {need} free ({here or 'there is none'})"
    if any(sum(s.bytes for s in placements if s.gpu == gpu) > gpu.free for gpu in gpus):
        return f"{len(placements)} workers of {need} each are more than the GPUs have free ({here})"
    return None


def _need(spec: ModelSpec, gpu: Gpu) -> int:
    """Bytes that one worker takes of a GPU."""
    return spec.gpu_footprint_bf16 if spec.gpu_footprint_bf16 and gpu.bf16 else spec.gpu_footprint


def _room(gpus: Sequence[Gpu], taken: Iterable[Placement]) -> dict[Gpu, int]:
    """Bytes left for workers on each GPU."""
    room = {gpu: max(0, gpu.free - int(gpu.total * SPARE)) for gpu in gpus}
    for placement in taken:
        if placement.gpu in room:
            room[placement.gpu] = max(0, room[placement.gpu] - placement.bytes)
    return room
