"""Errors as HTTP: which status each gets, and the two shapes in which clients expect them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.domain import errors

#: First match wins, so a class stands before its parents.
STATUS: tuple[tuple[type[errors.AntiphonError], int], ...] = (
    (errors.UnknownModel, 404),
    (errors.InvalidRequest, 400),
    (errors.NotFound, 404),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.IdempotencyMismatch, 422),
    (errors.OverShare, 429),
    (errors.RateLimited, 429),
    (errors.OverQuota, 429),
    (errors.Busy, 503),
    (errors.StoreAway, 503),
    (errors.Cancelled, 409),
)
#: OpenAI's `type` by status.
TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "server_overloaded_error",
    500: "server_error",
}


class UnknownField(errors.InvalidRequest):
    """The body has a field that this route does not know."""

    code = "unknown_field"


class TooLarge(errors.InvalidRequest):
    """The body is too large."""

    code = "body_too_large"


def status_of(error: errors.AntiphonError) -> int:
    if isinstance(error, UnknownField):
        return 422
    if isinstance(error, TooLarge):
        return 413
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def is_openai(path: str) -> bool:
    return path.startswith("/v1/")


def response(error: errors.AntiphonError, path: str) -> Response:
    """`{"error": "…"}` on the article's routes, OpenAI's object under /v1."""
    status = status_of(error)
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if not is_openai(path):
        # The article knows no 404 for what a body names: an unknown model is a bad request there.
        status = 400 if isinstance(error, errors.UnknownModel) else status
        return reply({"error": error.message}, status, headers)
    return reply(body_of(error), status, headers)


def body_of(error: errors.AntiphonError) -> dict[str, Any]:
    """OpenAI's object."""
    status = status_of(error)
    body: dict[str, Any] = {
        "message": error.message,
        "type": TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": error.param,
        "code": error.code,
    }
    return {"error": body}


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, written by msgspec: quick, and it refuses NaN by writing null."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.AntiphonError)
    request.scope["antiphon.log"]["code"] = error.code
    return response(error, request.url.path)
