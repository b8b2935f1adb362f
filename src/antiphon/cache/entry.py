"""Entry: a cached result, and its file format, in which a damaged file or one of another key is detected.

    magic (12 bytes) | SHA-256 of all that follows (32) | length of the header (4, big-endian) | header | payload

The header is JSON, `{"key", "meta"}`. It contains the key, so that a file with a wrong name is detected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

MAGIC = b"antiphon-c1\n"
_DIGEST = len(MAGIC)
_LENGTH = _DIGEST + 32
_HEADER = _LENGTH + 4

_json = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Entry:
    """A result: a unit's audio, or a complete encoded answer."""

    payload: bytes
    #: What a reader of the payload needs, such as `sample_rate`; JSON values only.
    meta: Mapping[str, Any]


class CorruptEntry(Exception):
    """The file is not the one that was written for this key."""


class _Header(msgspec.Struct):
    key: str
    meta: dict[str, Any]


def pack(key: str, entry: Entry) -> tuple[bytes, bytes]:
    """The head of the file, and the payload that follows it. Raises `TypeError` if `meta` is not JSON."""
    header = _json.encode(_Header(key, dict(entry.meta)))
    rest = len(header).to_bytes(4, "big") + header
    digest = hashlib.sha256(rest)
    digest.update(entry.payload)
    return MAGIC + digest.digest() + rest, entry.payload


def unpack(key: str, data: bytes) -> Entry:
    """The entry of a file's bytes. Raises `CorruptEntry` for anything but what `pack` returned for this key."""
    if len(data) < _HEADER or not data.startswith(MAGIC):
        raise CorruptEntry("it is not a cache file")
    if hashlib.sha256(memoryview(data)[_LENGTH:]).digest() != data[_DIGEST:_LENGTH]:
        raise CorruptEntry("its digest does not match")
    end = _HEADER + int.from_bytes(data[_LENGTH:_HEADER], "big")
    try:
        header = msgspec.json.decode(data[_HEADER:end], type=_Header)
    except msgspec.DecodeError as e:
        raise CorruptEntry(f"its header cannot be read: {e}") from e
    if header.key != key:
        raise CorruptEntry(f"it belongs to {header.key}")
    return Entry(data[end:], header.meta)
