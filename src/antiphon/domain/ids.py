"""Ids: made by the server, sortable by time, impossible to guess, safe in paths and URLs."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_LENGTH = 26
#: All pairs of letters; ids are encoded two letters at a time for speed, since every request needs one or two.
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS = range(10 * (_LENGTH // 2 - 1), -1, -10)

#: Random bytes read at a time: the system call takes about 20 µs, whatever its size.
_POOL = 2560


class _RandomBytes:
    """Random bytes of the operating system, each used once. Not safe after a fork, which the server never does."""

    def __init__(self) -> None:
        self._pool, self._at = b"", 0

    def ten(self) -> bytes:
        if self._at == len(self._pool):
            self._pool, self._at = os.urandom(_POOL), 0
        self._at += 10
        return self._pool[self._at - 10 : self._at]


_random = _RandomBytes()


def new_id() -> str:
    """26 characters: 48 bits of milliseconds since the epoch, then 80 random bits (the layout of a ULID)."""
    number = int.from_bytes(int(time.time() * 1000).to_bytes(6, "big") + _random.ten(), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return len(text) == _LENGTH and all(ch in _ALPHABET for ch in text)
