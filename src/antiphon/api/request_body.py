"""Reading what came in: raw bodies within bounds, JSON with errors that name the field, and who is asking."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from antiphon.api.errors import TooLarge, UnknownField
from antiphon.auth import Caller
from antiphon.domain import errors
from antiphon.store.base import Idempotency

M = TypeVar("M", bound=BaseModel)

#: Characters of an Idempotency-Key; a longer one is no key that a client library makes.
MAX_KEY = 255


async def body(request: Request, limit: int) -> bytes:
    """The whole body; refuses as soon as it is known to be too large, before it is read to the end."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise TooLarge(f"The body is larger than {limit} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise errors.InvalidRequest("The connection ended before the whole body was here") from None
    return b"".join(parts)


def parse(model: type[M], raw: bytes) -> M:
    """Validates JSON. The error is written for the person who sent it and names the field."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False)[0]
        # Alternatives of a union are no part of the path that the caller knows.
        names = [str(p) for p in first["loc"] if not (isinstance(p, str) and ("[" in p or p in _TYPES))]
        field = ".".join(names)
        if first["type"] == "json_invalid":
            raise errors.InvalidRequest(f"The body is not valid JSON: {first['msg'].partition(': ')[2]}") from None
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise UnknownField(f"There is no field {field!r} here; there are: {known}", param=field) from None
        if first["type"] == "missing":
            raise errors.InvalidRequest(f"The field {field!r} is missing", param=field) from None
        where = f"{field}: " if field else "The body must be a JSON object: "
        raise errors.InvalidRequest(where + first["msg"], param=field or None) from None


def member(raw: bytes, name: str) -> object:
    """One member of a JSON object; None if there is none, or if it is no object. `parse` then says what is wrong."""
    if name.encode() not in raw:
        return None
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.get(name) if isinstance(found, dict) else None


_TYPES = frozenset({"str", "int", "float", "bool", "VoiceId"})


def caller(connection: HTTPConnection) -> Caller:
    """Who was let in by the guard; an address without rights where none stands before the route."""
    found: Caller | None = connection.scope.get("antiphon.caller")
    return found or Caller(connection.client.host if connection.client else "local", admin=False)


def owner(connection: HTTPConnection) -> str:
    """Who is asking, as the queue and the store know them: the key, or without keys the client's address."""
    return caller(connection).owner


def whose(connection: HTTPConnection) -> str | None:
    """Whose things the caller may see on routes that an address alone never closed: with keys its own, else all."""
    asking = caller(connection)
    return asking.owner if asking.key is not None and not asking.admin else None


def admin(connection: HTTPConnection) -> None:
    """Raises `Forbidden` unless the caller may touch everybody's work: with an admin's key, or, without keys, from the
    server's own machine."""
    asking = caller(connection)
    if not asking.admin:
        raise errors.Forbidden(
            "Only the operator may do that; use a key that was made with --admin"
            if asking.key is not None
            else "Only the operator may do that; ask from the server's own machine"
        )


def idempotency(request: Request, owner: str, raw: bytes) -> Idempotency | None:
    """The caller's key with the digest of the whole body, so that a reused key is noticed."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY:
        raise errors.InvalidRequest(f"Idempotency-Key must be 1-{MAX_KEY} characters", param="Idempotency-Key")
    return Idempotency(owner, key, hashlib.sha256(request.url.path.encode() + b"\0" + raw).hexdigest())
