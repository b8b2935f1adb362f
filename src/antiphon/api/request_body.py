"""Request bodies: raw bytes within bounds, and JSON with errors that name the field."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from antiphon.api.errors import TooLarge, UnknownField
from antiphon.domain import client_values, errors

M = TypeVar("M", bound=BaseModel)

#: Bytes of bodies that have come in part, of all clients together; and seconds until there should be room again.
MOST_UNREAD, BUSY = 256 * 1024 * 1024, 5.0
#: Names that pydantic puts into an error's location for the alternatives of a union; the client's body has none.
_ALTERNATIVES = frozenset({"str", "int", "float", "bool", "VoiceId"})


#: Most values of a body: items of lists and members of objects. A dialogue of a thousand turns has some 15,000; an
#: error message for each of a million wrong ones took minutes.
MAX_VALUES = 20_000
#: What there is one of for each value, and the strings in which it means nothing. Runs are possessive, so that a string
#: without an end is read once.
_TOKEN = re.compile(rb'[,\[{]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_QUOTE = ord('"')


async def body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as the size is known, before the body is read to the end."""
    if client_values.content_length(request.headers.get("content-length")) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes")
    # It gives its bytes out without a copy.
    raw = io.BytesIO()
    with unread.growing() as grow:
        try:
            async for part in request.stream():
                grow(len(part))
                raw.write(part)
                if raw.tell() > limit:
                    raise TooLarge(f"The body is larger than {limit} bytes")
        except ClientDisconnect:
            raise errors.InvalidRequest("The connection ended before the whole body was here") from None
        return raw.getvalue()


class UnreadBodies:
    """Bounds the bytes of the bodies that have come in part, which slow clients could hold for as long as they like."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    @contextlib.contextmanager
    def growing(self) -> Iterator[Callable[[int], None]]:
        """Counts one body, part by part, until the block ends. The counting raises `Busy`."""
        counted = 0

        def grow(size: int) -> None:
            nonlocal counted
            # What came in one part waits for nobody.
            if size and counted and self.bytes + size > self.most:
                raise errors.Busy(f"Bodies of {self.most} bytes are being received; try again soon", retry_after=BUSY)
            counted += size
            self.bytes += size

        try:
            yield grow
        finally:
            self.bytes -= counted


#: Those of this server.
unread = UnreadBodies(MOST_UNREAD)


def parse(model: type[M], raw: bytes) -> M:
    """Validates JSON. Raises `InvalidRequest` with a message for the client that names the field."""
    check_values(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as e:
        raise _readable(e, model) from None


def validate(model: type[M], fields: Mapping[str, Any]) -> M:
    """As `parse`, of an object that was decoded before. Raises `InvalidRequest`."""
    try:
        return model.model_validate(fields)
    except ValidationError as e:
        raise _readable(e, model) from None


def members(raw: bytes) -> dict[str, Any]:
    """The members of a JSON object. Raises `InvalidRequest`, also for JSON that is nested too deep."""
    check_values(raw)
    try:
        found: Any = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as e:
        # msgspec's own error and that of UTF-8 are ValueErrors.
        raise errors.InvalidRequest("The body is not valid JSON") from e
    if not isinstance(found, dict):
        raise errors.InvalidRequest("The body must be a JSON object")
    return found


def check_values(raw: bytes) -> None:
    """Raises `InvalidRequest` for JSON of more than `MAX_VALUES` values. Reads no further than it must."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") <= MAX_VALUES:
        return
    values = strings = 0
    for token in _TOKEN.finditer(raw):
        if raw[token.start()] == _QUOTE:
            strings += 1
        else:
            values += 1
        # Valid JSON has at most two strings for each value: its name and itself.
        if values > MAX_VALUES or strings > 2 * MAX_VALUES + 2:
            raise errors.InvalidRequest(f"The body has more than {MAX_VALUES:,} values; a text is one value")


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
    return errors.InvalidRequest(where + first["msg"].removeprefix("Value error, "), param=field or None)


def member(raw: bytes, name: str) -> object:
    """One member of a JSON object; None if it is absent or `raw` is not an object (`parse` then says what is wrong)."""
    if name.encode() not in raw:
        return None
    try:
        return members(raw).get(name)
    except errors.InvalidRequest:
        return None
