"""How many workers of a model this machine carries, and with how many threads each."""

from __future__ import annotations

import os

import psutil

from antiphon.catalog.models import ModelSpec


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(spec: ModelSpec) -> int:
    """Compute threads of one worker: neural models on a CPU gain from two, the others use one."""
    return 1 if spec.name in ("tone", "espeak") else min(2, cores())


def replicas(spec: ModelSpec, asked: int | str) -> int:
    """Workers of a model: as asked, or as many as the cores and the free memory carry, at least one."""
    if isinstance(asked, int):
        return max(1, asked)
    by_cores = max(1, cores() // threads(spec))
    footprint = spec.footprint
    if not footprint:
        return by_cores
    return max(1, min(by_cores, int(psutil.virtual_memory().available * 0.7) // footprint))
