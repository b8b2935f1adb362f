"""Seeds: derives one for every attempt at a piece, and seeds the random generators of torch and Python."""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, path: tuple[int, ...], attempt: int) -> int:
    """The seed of one attempt at a piece. `path` says which half of which half the piece is; the first attempt at the
    whole text has the request's own seed."""
    if not any(path) and not attempt:
        return seed
    form = ",".join(map(str, (seed, *path, attempt)))
    return int.from_bytes(hashlib.sha256(form.encode()).digest()[:4], "big")


def set_seed(seed: int) -> None:
    import torch

    random.seed(seed)
    torch.manual_seed(seed)
