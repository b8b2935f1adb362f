"""What a client raises: one tree, by what the caller can do about it; `code` is the server's own."""

from __future__ import annotations

import json
from collections.abc import Mapping


class ClientError(Exception):
    """Something went wrong between the client and the server, or in the server."""


class Unreachable(ClientError):
    """No server answers there, or the connection broke off and repeating would not be safe."""


class WaitTimeout(ClientError, TimeoutError):
    """The job had not ended in the time that `wait` was given. It goes on; wait again."""


class JobFailed(ClientError):
    """The job ended without a result; `code` and `message` are the job's, `job_id` says which."""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(f"job {job_id}: {message}")
        self.job_id, self.code, self.message = job_id, code, message


class ApiError(ClientError):
    """The server refused. Its codes are those of `antiphon.domain.errors`."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`param` names the field that is wrong; `retry_after` is in seconds."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after = param, retry_after


class BadRequest(ApiError):
    """The request is not valid (400, 413, 422); `param` names the field."""


class Forbidden(ApiError):
    """The key is missing, unknown, or may not do that (401, 403)."""


class NotFound(ApiError):
    """There is no such job, voice or model, or it is not yours (404)."""


class Conflict(ApiError):
    """Not in the state that it is in (409): a result before the end, a voice whose name is taken."""


class RateLimited(ApiError):
    """You have as much work waiting as one client may have (429); `retry_after` says when more fits."""


class Unavailable(ApiError):
    """The server cannot take it now (503): full, loading or shutting down; `retry_after` says when to ask again."""


class ServerFailed(ApiError):
    """The work failed, or the server did (500)."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 413: BadRequest, 422: BadRequest,
    429: RateLimited, 503: Unavailable,
}  # fmt: skip


def of(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error in an answer of 400 or more, whatever its shape."""
    kind = _BY_STATUS.get(status, BadRequest if status < 500 else ServerFailed)
    after = headers.get("retry-after", "")
    retry_after = float(after) if after.isdigit() else None
    code, message, param = "http_error", f"the server answered {status}: {body[:200].decode(errors='replace')}", None
    try:
        told = json.loads(body)["error"]
        if isinstance(told, dict):
            code, message, param = str(told["code"]), str(told["message"]), told.get("param")
        else:
            message = str(told)
    except (ValueError, KeyError, TypeError):
        pass
    return kind(status, code, message, param, retry_after)
