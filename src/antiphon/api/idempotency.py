"""Idempotency: the key of a request, and the result of the durable job that the key stands for."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request

from antiphon.api.disconnect import unless_disconnected
from antiphon.domain import client_values, errors, plan
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
    client_values.line(key, "Idempotency-Key", MAX_KEY)
    return Idempotency(owner, key, hashlib.sha256(request.scope["path"].encode() + b"\0" + raw).hexdigest())


async def once(
    request: Request, jobs: JobService, asked: plan.Request, key: Idempotency
) -> tuple[dict[str, Any], Result]:
    """The durable job of a key and its result, for which the first caller and every repetition wait. When all of them
    have gone, the job goes on as one that nobody waits for.

    Raises what the job failed with, and `ClientDisconnected`."""
    queued, _ = await jobs.submit(asked, key.owner, key, waiting=True)
    with jobs.attended(queued["id"]):
        job = await unless_disconnected(request, jobs.ended(queued["id"], key.owner))
    if job.result is not None:
        return {**queued, "warnings": list(job.result.warnings)}, job.result
    if job.error is not None:
        raise (
            errors.NothingToSay(job.error.message, param="text")
            if job.error.code == errors.NothingToSay.code
            else (errors.UnitFailed(job.error.message))
        )
    raise errors.Cancelled
