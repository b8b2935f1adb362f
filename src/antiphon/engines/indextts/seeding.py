"""Seeds: torch and Python draw from generators of the whole process, which are set anew for every piece of speech."""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, path: tuple[int, ...], attempt: int) -> int:
    """The seed of one attempt at one piece; that of the first attempt at a unit's first piece is the request's own."""
    if not any(path) and not attempt:
        return seed
    form = ",".join(map(str, (seed, *path, attempt)))
    return int.from_bytes(hashlib.sha256(form.encode()).digest()[:4], "big")


def sow(seed: int) -> None:
    """To be called when everything that a voice needs is computed or cached: else a cached voice would sound different
    from a fresh one."""
    import torch

    random.seed(seed)
    torch.manual_seed(seed)
