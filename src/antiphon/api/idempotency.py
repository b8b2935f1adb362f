"""Idempotency: the key of a request, and the result of the durable job that the key stands for."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request

from antiphon.api.disconnect import unless_disconnected
from antiphon.domain import errors, plan
from antiphon.domain.job import Result
from antiphon.jobs.service import JobService
from antiphon.store.base import Idempotency

#: Characters of an Idempotency-Key; client libraries make shorter ones.
MAX_KEY = 255


def key_of(request: Request, owner: str, raw: bytes) -> Idempotency | None:
    """The caller's key with the digest of the whole body, so that the store notices a key that is used twice."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY:
        raise errors.InvalidRequest(f"Idempotency-Key must be 1-{MAX_KEY} characters", param="Idempotency-Key")
    return Idempotency(owner, key, hashlib.sha256(request.url.path.encode() + b"\0" + raw).hexdigest())


async def once(
    request: Request, jobs: JobService, asked: plan.Request, key: Idempotency
) -> tuple[dict[str, Any], Result]:
    """The durable job of a key and its result, for which the first caller and every repetition wait.

    Raises what the job failed with, and `ClientDisconnected`."""
    queued, _ = await jobs.submit(asked, key.owner, key)
    job = await unless_disconnected(request, jobs.ended(queued["id"], key.owner))
    if job.result is not None:
        return queued, job.result
    if job.error is not None:
        raise errors.UnitFailed(job.error.message)
    raise errors.Cancelled
