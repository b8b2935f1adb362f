"""Memory: how much a process holds, and how much is left. Light, since worker processes import it first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUP = Path("/sys/fs/cgroup")


def rss() -> int:
    """Bytes of main memory that this process holds."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE


def vram() -> int | None:
    """Bytes of GPU memory that torch reserved in this process; None while no engine uses torch on a GPU.

    Torch is asked, where the engine imported it: inside a container the driver does not know which process holds what.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    # While another thread is still importing torch, its parts appear one by one.
    initialised = getattr(cuda, "is_initialized", None)
    if cuda is None or initialised is None or not initialised():
        return None
    return sum(int(cuda.memory_reserved(device)) for device in range(cuda.device_count()))


def available() -> int:
    """Bytes of main memory that a new process can have without swapping, within the container's limit."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = int((_CGROUP / "memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - used))
