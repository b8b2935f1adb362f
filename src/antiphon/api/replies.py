"""Replies: JSON responses, the header for what the model could not do, and streams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping

import msgspec
from starlette.responses import Response

from antiphon.domain import client_values

NO_STORE = {"Cache-Control": "no-store"}


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response. msgspec writes it: it is quick, and it writes null for NaN, which JSON does not have."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def warning(warnings: Iterable[str]) -> dict[str, str]:
    """The header that says what the model could not do (RFC 7234, section 5.5, code 299); {} without warnings."""
    text = client_values.header_text("; ".join(warnings), 400)
    return {"Warning": f'299 antiphon "{text}"'} if text else {}


async def chain(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The first part, then the rest; closes the rest however it is left."""
    async with contextlib.aclosing(rest):
        yield first
        async for part in rest:
            yield part
