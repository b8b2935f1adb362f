"""The GPUs of this machine, as its driver reports them (NVML); none where there is no driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Names the GPUs that a process may use: numbers or beginnings of ids, by NVIDIA's CUDA C++ Programming Guide.
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment."""

    index: int
    #: As `nvidia-smi -L` prints it; stays the same when cards are added.
    id: str
    name: str
    #: Bytes.
    total: int
    used: int
    #: Share of the last moments in which it computed, 0 to 1; None where the driver does not report it.
    load: float | None = None
    #: Major and minor number of what CUDA can do on it; None where the driver does not report it.
    capability: tuple[int, int] | None = None

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16 itself: NVIDIA's do from Ampere (8.0) on."""
        return self.capability is not None and self.capability >= (8, 0)

    @property
    def free(self) -> int:
        return self.total - self.used


def gpus(visible: str | None = None) -> tuple[Gpu, ...]:
    """The GPUs that this process may use, in CUDA's order of `visible` (None: as the environment says).

    Blocks for some milliseconds. Never raises, since many machines have no GPU."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()
    wanted = os.environ.get(VISIBLE) if visible is None else visible
    return found if wanted is None else tuple(_chosen(found, wanted))


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        load = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except nvml.NVMLError:
        load = None
    names = (nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle))
    try:
        capability = tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle))
    except nvml.NVMLError:
        capability = None
    # Older drivers' bindings answer in bytes.
    uuid, name = (text.decode() if isinstance(text, bytes) else text for text in names)
    return Gpu(index, uuid, name, int(memory.total), int(memory.used), load, capability)


def _chosen(found: tuple[Gpu, ...], wanted: str) -> Iterator[Gpu]:
    """CUDA stops at the first entry that names no GPU; the entries after it are not used either."""
    for entry in (part.strip() for part in wanted.split(",")):
        if entry.isdecimal():
            match = [gpu for gpu in found if gpu.index == int(entry)]
        else:
            match = [gpu for gpu in found if entry and gpu.id.startswith(entry)]
        if len(match) != 1:
            return
        yield match[0]
