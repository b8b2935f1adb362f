"""Errors that the client raises: one tree, by what the caller can do about it. `code` is the server's error code."""

from __future__ import annotations

import json
from collections.abc import Mapping


class ClientError(Exception):
    """Base of all errors of the client."""


class Unreachable(ClientError):
    """No server answers, or the connection broke and a retry is not safe."""


class WaitTimeout(ClientError, TimeoutError):
    """The job did not end within the timeout of `wait`. It continues; wait again."""


class JobFailed(ClientError):
    """The job ended without a result. `code` and `message` come from the job `job_id`."""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(f"job {job_id}: {message}")
        self.job_id, self.code, self.message = job_id, code, message


class ApiError(ClientError):
    """The server refused the request. Codes: `antiphon.domain.errors`."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`param`: the invalid field. `retry_after`: seconds."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after = param, retry_after


class BadRequest(ApiError):
    """The request is invalid (400, 413, 422); `param` names the field."""


class Forbidden(ApiError):
    """The key is missing, unknown or not allowed to do this (401, 403)."""


class NotFound(ApiError):
    """The job, voice or model does not exist, or belongs to another client (404)."""


class Conflict(ApiError):
    """The present state does not allow this (409): a result before the end, a voice name that is taken."""


class RateLimited(ApiError):
    """The client has reached its limit of waiting work (429); `retry_after` says when to try again."""


class Unavailable(ApiError):
    """The server is full, loading or shutting down (503); `retry_after` says when to try again."""


class ServerFailed(ApiError):
    """The work or the server failed (500)."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 413: BadRequest, 422: BadRequest,
    429: RateLimited, 503: Unavailable,
}  # fmt: skip


def of(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for a response of status 400 or more, with any body."""
    kind = _BY_STATUS.get(status, BadRequest if status < 500 else ServerFailed)
    after = headers.get("retry-after", "")
    retry_after = float(after) if after.isdigit() else None
    code, message, param = "http_error", f"the server answered {status}: {body[:200].decode(errors='replace')}", None
    try:
        error = json.loads(body)["error"]
        if isinstance(error, dict):
            code, message, param = str(error["code"]), str(error["message"]), error.get("param")
        else:
            message = str(error)
    except (ValueError, KeyError, TypeError):
        pass
    return kind(status, code, message, param, retry_after)
