"""Callers: who sends a request, and what they may see and do."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from antiphon.auth import Caller
from antiphon.domain import errors


def caller(connection: HTTPConnection) -> Caller:
    """The caller that the guard let in; without a guard, an address that has no rights."""
    found: Caller | None = connection.scope.get("antiphon.caller")
    return found or Caller(connection.client.host if connection.client else "local", admin=False)


def owner(connection: HTTPConnection) -> str:
    """The caller as the queue and the store know them: the API key, or without keys the client's address."""
    return caller(connection).owner


def visible_owner(connection: HTTPConnection) -> str | None:
    """Whose jobs the caller may see: with an API key the key's own, without one and for an admin every owner's (None).

    For the article's routes, which do not tell clients apart by their address."""
    found = caller(connection)
    return found.owner if found.key is not None and not found.admin else None


def require_admin(connection: HTTPConnection) -> None:
    """Raises `Forbidden` unless the caller may change every owner's work: with an admin's key, or, without keys, from
    the server's own machine."""
    found = caller(connection)
    if not found.admin:
        raise errors.Forbidden(
            "Only the operator may do that; use a key that was made with --admin"
            if found.key is not None
            else "Only the operator may do that; ask from the server's own machine"
        )
