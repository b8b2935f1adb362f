"""Typed client of the HTTP API: `Client` blocks, `AsyncClient` is awaited; both have the same methods.

It imports no room of the server except `antiphon.domain`.
"""

from antiphon.client.async_client import AsyncClient
from antiphon.client.errors import (
    ApiError,
    BadRequest,
    ClientError,
    Conflict,
    Forbidden,
    JobFailed,
    NotFound,
    RateLimited,
    ServerFailed,
    Unavailable,
    Unreachable,
    WaitTimeout,
)
from antiphon.client.retrying import RoomWait
from antiphon.client.sync_client import Client
from antiphon.client.types import Audio, Event, Job, JobResult, Model, UploadedVoice, Voice

__all__ = [
    "ApiError", "AsyncClient", "Audio", "BadRequest", "Client", "ClientError", "Conflict", "Event", "Forbidden",
    "Job", "JobFailed", "JobResult", "Model", "NotFound", "RateLimited", "RoomWait", "ServerFailed", "Unavailable",
    "Unreachable", "UploadedVoice", "Voice", "WaitTimeout", "errors",
]  # fmt: skip
