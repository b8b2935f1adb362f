"""Reading what came in: raw bodies within bounds, JSON with errors that name the field, and who is asking."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection, Request

from antiphon.api.errors import TooLarge, UnknownField
from antiphon.domain import errors

M = TypeVar("M", bound=BaseModel)


async def body(request: Request, limit: int) -> bytes:
    """The whole body; refuses as soon as it is known to be too large, before it is read to the end."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes")
        parts.append(part)
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


_TYPES = frozenset({"str", "int", "float", "bool", "VoiceId"})


def owner(connection: HTTPConnection) -> str:
    """Who is asking, as the queue and the store know them: the client's address."""
    return connection.client.host if connection.client else "local"
