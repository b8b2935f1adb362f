"""API keys: who may use the server, with what right and for how much."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from antiphon.domain import errors
from antiphon.domain.job import Priority

#: Begins every key, so that one that lies around is recognised as such.
PREFIX = "ak_"
_NAME = re.compile(r"[^\W_][\w .@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Key:
    """What the server keeps of a key: never the key itself."""

    id: str
    #: Unique among those that are not revoked.
    name: str
    #: SHA-256 of the key, hexadecimal.
    digest: str
    #: The highest class that its requests may have.
    priority: Priority
    #: May look at and change everybody's work.
    admin: bool
    #: Seconds of audio per day (UTC); None: as much as it likes.
    quota: float | None
    created_at: float
    revoked_at: float | None = None


def new_token() -> str:
    """256 random bits behind a prefix; shown once, and kept by its owner only."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """By which a key is found. The key has 256 random bits, so that a quick hash cannot be turned round."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise errors.InvalidRequest(
            "A key's name begins with a letter or a digit and has at most 64 letters, digits, spaces or . @ _ -",
            param="name",
        )
