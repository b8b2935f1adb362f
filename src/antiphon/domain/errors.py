"""Errors: one tree with stable codes, whose messages say what happened and what to do."""

from __future__ import annotations


class AntiphonError(Exception):
    """Something went wrong inside the server. The server's log has the details."""

    code = "internal_error"

    def __init__(
        self, message: str | None = None, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`param` names the wrong field; `retry_after` is in seconds and must be a sound prediction."""
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.param = param
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        return str(self.args[0])


# Wrong requests


class InvalidRequest(AntiphonError):
    """The request is not valid."""

    code = "invalid_request"


class InvalidText(InvalidRequest):
    """The text cannot be spoken."""

    code = "invalid_text"


class UnknownModel(InvalidRequest):
    """There is no such model. GET /v1/models lists those that exist."""

    code = "model_not_found"


class UnknownVoice(InvalidRequest):
    """There is no such voice. GET /v1/audio/voices lists those that exist."""

    code = "voice_not_found"


class UnsupportedLanguage(InvalidRequest):
    """No model on this machine speaks that language."""

    code = "unsupported_language"


class NotFound(AntiphonError):
    """There is no such thing here, or it is not yours."""

    code = "not_found"


class Forbidden(AntiphonError):
    """You may not do that."""

    code = "forbidden"


class Unauthorized(AntiphonError):
    """This server needs a key: send it as `Authorization: Bearer …`."""

    code = "invalid_api_key"


class Conflict(AntiphonError):
    """That cannot be done in the state this job is in."""

    code = "conflict"


class IdempotencyMismatch(AntiphonError):
    """This Idempotency-Key was used before with another body. Use a new key for a new request."""

    code = "idempotency_mismatch"


# Requests that the server cannot take now


class Busy(AntiphonError):
    """The server cannot take this now; `retry_after` says when it can."""

    code = "busy"


class OverShare(Busy):
    """You have as much work waiting as one client may have."""

    code = "over_share"


class RateLimited(Busy):
    """Too many requests in a short time."""

    code = "rate_limited"


class OverQuota(Busy):
    """This key has used up its audio of today."""

    code = "over_quota"


class QueueFull(Busy):
    """The queue is full."""

    code = "queue_full"


class ModelLoading(Busy):
    """The model is still being fetched or loaded."""

    code = "model_loading"


class ModelUnavailable(Busy):
    """The model cannot run on this machine now; GET /health says why."""

    code = "model_unavailable"


class Draining(Busy):
    """The server is shutting down and takes no new work."""

    code = "draining"


class StorageFull(Busy):
    """The disk is full; accepted work is kept and goes on once there is space."""

    code = "storage_full"


class StorageDown(Busy):
    """The object storage does not answer; accepted work is kept and goes on once it does."""

    code = "storage_down"


# Failed work


class UnitFailed(AntiphonError):
    """The model could not speak this segment."""

    code = "unit_failed"


class WorkerDied(AntiphonError):
    """The worker process died while it held this unit; the unit is tried again elsewhere."""

    code = "worker_died"
    #: What would help, where that is known.
    hint: str | None = None


class Displaced(WorkerDied):
    """The worker was ended, but not because of this unit: it is run elsewhere, and counts as untried."""

    code = "displaced"


class Poison(AntiphonError):
    """This segment brought its worker down each time it was tried; it is not tried again."""

    code = "poison"


class Cancelled(AntiphonError):
    """The job was cancelled."""

    code = "cancelled"


class StoreError(AntiphonError):
    """The job store failed; nothing was accepted."""

    code = "store_error"


class StoreAway(StoreError):
    """The job store does not answer for now; what was accepted is kept and goes on once it does."""

    code = "store_away"


class SchemaTooNew(StoreError):
    """The data directory was written by a newer Antiphon. Upgrade, or use another --data-dir."""

    code = "schema_too_new"


# Files of models


class DownloadFailed(AntiphonError):
    """A file could not be fetched from any of its sources."""

    code = "download_failed"


class Offline(DownloadFailed):
    """No source of this file can be reached from here."""

    code = "offline"


# Between processes


class FrameError(AntiphonError):
    """What came over the pipe is no frame of ours: the process at the other end is not to be trusted."""

    code = "bad_frame"
