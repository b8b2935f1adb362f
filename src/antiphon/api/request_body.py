"""Request bodies: raw bytes within bounds, and JSON with errors that name the field."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from antiphon.api.errors import TooLarge, UnknownField
from antiphon.domain import errors

M = TypeVar("M", bound=BaseModel)

#: Names that pydantic puts into an error's location for the alternatives of a union; the client's body has none.
_ALTERNATIVES = frozenset({"str", "int", "float", "bool", "VoiceId"})


async def body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as the size is known, before the body is read to the end."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes")
    raw = bytearray()
    try:
        async for part in request.stream():
            raw += part
            if len(raw) > limit:
                raise TooLarge(f"The body is larger than {limit} bytes")
    except ClientDisconnect:
        raise errors.InvalidRequest("The connection ended before the whole body was here") from None
    return bytes(raw)


def parse(model: type[M], raw: bytes) -> M:
    """Validates JSON. Raises `InvalidRequest` with a message for the client that names the field."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as e:
        raise _readable(e, model) from None


def _readable(error: ValidationError, model: type[BaseModel]) -> errors.InvalidRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    names = [str(p) for p in first["loc"] if not (isinstance(p, str) and ("[" in p or p in _ALTERNATIVES))]
    field = ".".join(names)
    match first["type"]:
        case "json_invalid":
            return errors.InvalidRequest(f"The body is not valid JSON: {first['msg'].partition(': ')[2]}")
        case "extra_forbidden":
            known = ", ".join(model.model_fields)
            return UnknownField(f"There is no field {field!r} here; there are: {known}", param=field)
        case "missing":
            return errors.InvalidRequest(f"The field {field!r} is missing", param=field)
    where = f"{field}: " if field else "The body must be a JSON object: "
    return errors.InvalidRequest(where + first["msg"], param=field or None)


def member(raw: bytes, name: str) -> object:
    """One member of a JSON object; None if it is absent or `raw` is not an object (`parse` then says what is wrong)."""
    if name.encode() not in raw:
        return None
    try:
        found: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.get(name) if isinstance(found, dict) else None
