"""Idempotency: the key of a request, and the result of the durable job that the key stands for."""

from __future__ import annotations

import hashlib

from starlette.requests import Request

from antiphon.domain import errors
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


async def result_of(jobs: JobService, job_id: str, owner: str) -> Result:
    """Waits for a durable job: the first caller and every repetition get its result. Raises what it failed with."""
    job = await jobs.ended(job_id, owner)
    if job.result is not None:
        return job.result
    if job.error is not None:
        raise errors.UnitFailed(job.error.message)
    raise errors.Cancelled
