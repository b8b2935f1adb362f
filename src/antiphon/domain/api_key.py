"""API keys: who may use the server, with which rights and quota."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from antiphon.domain import errors
from antiphon.domain.job import Priority

#: Prefix of every key, by which secret scanners and people recognise one.
PREFIX = "ak_"
_NAME = re.compile(r"[^\W_][\w .@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Key:
    """What the server stores of a key; never the key itself."""

    id: str
    #: Unique among the keys that are not revoked.
    name: str
    #: SHA-256 of the key, hexadecimal.
    digest: str
    #: The highest priority that its requests may have.
    priority: Priority
    #: Whether it may see and change the work of all owners.
    admin: bool
    #: Seconds of audio per day (UTC); None: no limit.
    quota: float | None
    created_at: float
    revoked_at: float | None = None


def new_token() -> str:
    """A new key: the prefix and 256 random bits. It is shown once, and only its owner stores it."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """The digest under which a key is stored. A fast hash suffices, since the key has 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_name(name: str) -> None:
    """Raises `InvalidRequest` for a name that a key cannot have."""
    if not _NAME.fullmatch(name):
        raise errors.InvalidRequest(
            "A key's name begins with a letter or a digit and has at most 64 letters, digits, spaces or . @ _ -",
            param="name",
        )
