"""Names that the server gives: sortable by time, not to be guessed, safe in paths and URLs."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_LENGTH = 26
#: Two letters at a time: every request is given a name or two.
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS = range(10 * (_LENGTH // 2 - 1), -1, -10)


def new_id() -> str:
    """26 characters: 48 bits of milliseconds since the epoch, then 80 random bits (the layout of a ULID)."""
    number = int.from_bytes(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def is_id(text: str) -> bool:
    return len(text) == _LENGTH and all(ch in _ALPHABET for ch in text)
