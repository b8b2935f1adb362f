"""Errors as HTTP: the status of each error class, and the two shapes in which clients expect errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.replies import reply
from antiphon.domain import errors


class UnknownField(errors.InvalidRequest, code="unknown_field"):
    """The body has a field that this route does not know."""


class TooLarge(errors.InvalidRequest, code="body_too_large"):
    """The body is too large."""


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    #: What the OpenAPI document says about it.
    description: str
    #: The errors that are answered with it; the nearest class of an error decides.
    classes: tuple[type[errors.AntiphonError], ...]
    #: OpenAI's `type`.
    openai_type: str = "invalid_request_error"


#: The one table of errors: statuses, shapes and the OpenAPI document are made from it.
STATUSES: Mapping[int, ErrorStatus] = {
    400: ErrorStatus(
        "The request cannot be done as it is; the error says why and names the field.", (errors.InvalidRequest,)
    ),
    401: ErrorStatus(
        "The server has API keys, and the request has no valid one.", (errors.Unauthorized,), "authentication_error"
    ),
    403: ErrorStatus("This key, this page or this host name may not do that.", (errors.Forbidden,), "permission_error"),
    404: ErrorStatus("What the request names does not exist, or is not yours.", (errors.NotFound, errors.UnknownModel)),
    409: ErrorStatus("The present state does not allow it; the error says why.", (errors.Conflict, errors.Cancelled)),
    413: ErrorStatus("The body, or the file in it, is too large.", (TooLarge,)),
    422: ErrorStatus(
        "An unknown field, or an Idempotency-Key that was used before with another body.",
        (UnknownField, errors.IdempotencyMismatch),
    ),
    429: ErrorStatus(
        "Too many requests or open streams, too much work of yours that waits, or too much of today's audio; see "
        "Retry-After.",
        (errors.OverShare, errors.RateLimited, errors.TooManyOpen, errors.OverQuota),
        "rate_limit_error",
    ),
    500: ErrorStatus("The model or the server failed.", (errors.AntiphonError,), "server_error"),
    503: ErrorStatus(
        "No model can do it now, the queue is full, or the storage does not answer; see Retry-After.",
        (errors.Busy, errors.StoreAway, errors.StoreFailed),
        "server_overloaded_error",
    ),
}
_STATUS_OF_CLASS: Mapping[type, int] = {
    class_: status for status, entry in STATUSES.items() for class_ in entry.classes
}


def status_of(error: errors.AntiphonError) -> int:
    return next(_STATUS_OF_CLASS[class_] for class_ in type(error).__mro__ if class_ in _STATUS_OF_CLASS)


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
        # The article has no 404 for what a body names: there, an unknown model is a bad request.
        status = 400 if isinstance(error, errors.UnknownModel) else status
        return reply({"error": error.public}, status, headers)
    return reply(body_of(error), status, headers)


def body_of(error: errors.AntiphonError) -> dict[str, Any]:
    """OpenAI's error object."""
    type_ = STATUSES[status_of(error)].openai_type
    return {"error": {"message": error.public, "type": type_, "param": error.param, "code": error.code}}


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.AntiphonError)
    request.scope["antiphon.log"]["code"] = error.code
    return response(error, request.scope["path"])
