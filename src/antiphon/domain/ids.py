"""Names that the server gives: sortable by time, not to be guessed, safe in paths and URLs."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_LENGTH = 26
#: Two letters at a time: every request is given a name or two.
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS = range(10 * (_LENGTH // 2 - 1), -1, -10)


#: Bytes of randomness fetched at a time: the system call was measured at 20 µs, whatever its size.
_POOL = 2560


class _Chance:
    """Random bytes of the system's, each given out once. For one process: nothing here forks."""

    def __init__(self) -> None:
        self._pool, self._at = b"", 0

    def ten(self) -> bytes:
        if self._at == len(self._pool):
            self._pool, self._at = os.urandom(_POOL), 0
        self._at += 10
        return self._pool[self._at - 10 : self._at]


_chance = _Chance()


def new_id() -> str:
    """26 characters: 48 bits of milliseconds since the epoch, then 80 random bits (the layout of a ULID)."""
    number = int.from_bytes(int(time.time() * 1000).to_bytes(6, "big") + _chance.ten(), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def is_id(text: str) -> bool:
    return len(text) == _LENGTH and all(ch in _ALPHABET for ch in text)
