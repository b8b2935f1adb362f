"""Errors: one tree with stable codes, whose messages say what happened and what to do."""

from __future__ import annotations

from antiphon.domain.paths import shortened


class AntiphonError(Exception):
    """Something went wrong inside the server. The server's log has the details."""

    code = "internal_error"

    def __init__(
        self, message: str | None = None, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        """`param` names the wrong field; `retry_after` is in seconds and must be a sound prediction."""
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.param, self.retry_after = param, retry_after

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        """`code`: the stable name under which clients know the error; without it, that of the base class."""
        cls.code = code or cls.code

    @property
    def message(self) -> str:
        return str(self.args[0])

    @property
    def public(self) -> str:
        """The message as clients get it: without absolute paths of this machine."""
        return shortened(self.message)


# Wrong requests


class InvalidRequest(AntiphonError, code="invalid_request"):
    """The request is not valid."""


class InvalidText(InvalidRequest, code="invalid_text"):
    """The text cannot be spoken."""


class NothingToSay(InvalidText, code="nothing_to_say"):
    """The model has no sound for anything in this text."""


class UnknownModel(InvalidRequest, code="model_not_found"):
    """There is no such model. GET /v1/models lists those that exist."""


class UnknownVoice(InvalidRequest, code="voice_not_found"):
    """There is no such voice. GET /v1/audio/voices lists those that exist."""


class UnsupportedLanguage(InvalidRequest, code="unsupported_language"):
    """No model on this machine speaks that language."""


class NotFound(AntiphonError, code="not_found"):
    """There is no such thing here, or it is not yours."""


class Forbidden(AntiphonError, code="forbidden"):
    """You may not do that."""


class Unauthorized(AntiphonError, code="invalid_api_key"):
    """This server needs a key: send it as `Authorization: Bearer …`; commands take it from ANTIPHON_KEY."""


class Conflict(AntiphonError, code="conflict"):
    """That cannot be done in the state this job is in."""


class IdempotencyMismatch(AntiphonError, code="idempotency_mismatch"):
    """This Idempotency-Key was used before with another body. Use a new key for a new request."""


# Requests that the server cannot take now


class Busy(AntiphonError, code="busy"):
    """The server cannot take this now; `retry_after` says when it can."""


class OverShare(Busy, code="over_share"):
    """You have as much work waiting as one client may have."""


class RateLimited(Busy, code="rate_limited"):
    """Too many requests in a short time."""


class TooManyOpen(Busy, code="too_many_open"):
    """You have as many streams or requests open as one client may have."""


class OverQuota(Busy, code="over_quota"):
    """This key has used up its audio of today."""


class QueueFull(Busy, code="queue_full"):
    """The queue is full."""


class ModelLoading(Busy, code="model_loading"):
    """The model is still being fetched or loaded."""


class ModelUnavailable(Busy, code="model_unavailable"):
    """The model cannot run on this machine now; GET /health says why."""


class Draining(Busy, code="draining"):
    """The server is shutting down and takes no new work."""


class StorageFull(Busy, code="storage_full"):
    """The disk is full; accepted work is kept and goes on once there is space."""


class StorageDown(Busy, code="storage_down"):
    """The object storage does not answer; accepted work is kept and goes on once it does."""


# Failed work


class UnitFailed(AntiphonError, code="unit_failed"):
    """The model could not speak this segment."""


class WorkerDied(AntiphonError, code="worker_died"):
    """The worker process died while it held this unit; the unit is tried again elsewhere."""

    #: What would help, where that is known.
    hint: str | None = None


class Displaced(WorkerDied, code="displaced"):
    """The worker was ended, but not because of this unit: it is run elsewhere, and counts as untried."""


class Suspected(Displaced, code="suspected"):
    """The worker ended in a step of several units, one of which may be to blame: each is run again by itself."""


class Poison(AntiphonError, code="poison"):
    """This segment brought its worker down each time it was tried; it is not tried again."""


class Cancelled(AntiphonError, code="cancelled"):
    """The job was cancelled."""


class StoreError(AntiphonError, code="store_error"):
    """The job store failed; nothing was accepted."""


class StoreAway(StoreError, code="store_away"):
    """The job store does not answer for now; what was accepted is kept and goes on once it does."""


class StoreFailed(StoreError, code="store_failed"):
    """The job store failed; the server stops, and starts again without what was not accepted."""


class DatabaseDamaged(StoreFailed, code="database_damaged"):
    """The database is damaged; the server stops. The operator finds what to do in its log."""


class SchemaTooNew(StoreError, code="schema_too_new"):
    """The data directory was written by a newer Antiphon. Upgrade, or use another --data-dir."""


# Starts that are refused


class FolderUnusable(AntiphonError, code="folder_unusable"):
    """A folder or file of the data directory cannot be used as it is."""


class FolderInUse(Conflict, code="folder_in_use"):
    """Another Antiphon uses the data directory."""


class DatabaseMissing(AntiphonError, code="database_missing"):
    """The data directory was used before, and its database is gone."""


class CannotListen(InvalidRequest, code="cannot_listen"):
    """The address cannot be listened on."""


class ClockWrong(AntiphonError, code="clock_wrong"):
    """The clock of this machine is wrong."""


class DownloadFailed(AntiphonError, code="download_failed"):
    """A file could not be fetched from any of its sources."""


class Offline(DownloadFailed, code="offline"):
    """No source of this file can be reached from here."""


class FrameError(AntiphonError, code="bad_frame"):
    """What came over the pipe is no frame of ours: the process at the other end is not to be trusted."""
