"""API keys: identify callers, limit what they may do, and count the audio that each key used today."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import api_key as api_keys
from antiphon.domain import errors, ids
from antiphon.domain.api_key import Key
from antiphon.domain.job import PRIORITIES, Priority
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.keys")

#: Seconds between reads of the keys: a running server notices within them a key that the operator created or revoked.
REFRESH = 0.5
#: Seconds after which a key may ask again whose quota is taken by requests that are being made.
RESERVED_RETRY = 5.0
#: Seconds; what is left of sums of this size is the rounding of floats.
ROUNDING = 1e-6
#: Addresses whose callers may administer a server without keys.
LOCAL = frozenset({"127.0.0.1", "::1", "local"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the owner of a key, or an address while the server has no keys."""

    owner: str
    admin: bool
    key: Key | None = None


class ApiKeys:
    """The keys and quotas of a server. Used in one event loop. A server without keys is open. Once the first key
    exists, every caller needs one, even after the last is revoked."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._by_digest: dict[str, Key] = {}
        self._by_id: dict[str, Key] = {}
        self._used: dict[str, float] = {}
        self._new_usage: dict[str, float] = {}
        #: Seconds of audio that are being made, by owner.
        self._reserved: dict[str, float] = {}
        self._day = today()
        self.open = True
        self._tasks = TaskSet("antiphon.keys")

    # Callers

    def caller(self, token: str | None, address: str) -> Caller:
        """The caller behind a token and an address. Raises `Unauthorized` for a missing or invalid key."""
        if self.open:
            return Caller(address, address in LOCAL)
        if token is None:
            raise errors.Unauthorized
        if (key := self._by_digest.get(api_keys.digest(token))) is None:
            raise errors.Unauthorized("This key is not valid here; it may have been revoked")
        return Caller(key.id, key.admin, key)

    def max_priority(self, owner: str) -> Priority:
        """The highest priority that an owner's work may have."""
        return key.priority if (key := self._by_id.get(owner)) is not None else PRIORITIES[0]

    def reserve(self, owner: str, seconds: float, *, admitted: bool = False) -> float:
        """Counts audio that is about to be made towards an owner's quota, and returns what is to be given back by
        `release` when it is made, or will never be. Raises `OverQuota` with the seconds after which there is room,
        unless the work was `admitted` by a previous process.

        Whoever has less than the quota left gets one more request, however long: so a quota is exceeded by no more than
        one request, also when many come at once."""
        key = self._by_id.get(owner)
        if key is None or key.quota is None:
            return 0.0
        self._turn_day()
        used, reserved = self._used.get(owner, 0.0), self._reserved.get(owner, 0.0)
        if used >= key.quota and not admitted:
            raise errors.OverQuota(
                f"This key has had {used:.0f} s of audio today, of {key.quota:.0f} s; it begins anew at midnight UTC",
                retry_after=until_midnight(),
            )
        if used + reserved >= key.quota and not admitted:
            raise errors.OverQuota(
                f"This key has had {used:.0f} s of audio today, of {key.quota:.0f} s, and its requests that are being "
                f"made need about {reserved:.0f} s more; try again when they are done",
                retry_after=RESERVED_RETRY,
            )
        self._reserved[owner] = reserved + seconds
        return seconds

    def release(self, owner: str, seconds: float) -> None:
        """Gives back what `reserve` counted."""
        left = self._reserved.get(owner, 0.0) - seconds
        if left > ROUNDING:
            self._reserved[owner] = left
        else:
            self._reserved.pop(owner, None)

    def count_audio(self, owner: str, seconds: float) -> None:
        """Adds seconds of audio to what an owner used today."""
        if owner not in self._by_id:
            return
        self._turn_day()
        self._used[owner] = self._used.get(owner, 0.0) + seconds
        self._new_usage[owner] = self._new_usage.get(owner, 0.0) + seconds

    def _turn_day(self) -> None:
        if self._day != today():
            self._day, self._used = today(), {}

    # Start, refresh, stop

    async def _refresh_forever(self) -> None:
        """Reads keys that the operator changed, and stores what they used."""
        while True:
            await asyncio.sleep(REFRESH)
            try:
                await self.refresh()
                await self.flush()
                if self._store.cluster is not None:
                    # What a key used on other servers counts as well.
                    self._used = await self._store.usage(self._day)
                    self._used |= {k: self._used.get(k, 0.0) + s for k, s in self._new_usage.items()}
            except errors.AntiphonError as e:
                log.warning("the keys could not be read, or their usage not stored", error=e.message)

    async def load(self) -> None:
        """Reads the keys, and what each used today."""
        await self.refresh()
        self._used = await self._store.usage(self._day)

    async def refresh(self) -> None:
        """Reads the keys again."""
        found = await self._store.keys()
        self.open = not found
        valid = [key for key in found if key.revoked_at is None]
        self._by_digest = {key.digest: key for key in valid}
        self._by_id = {key.id: key for key in valid}

    async def start(self) -> None:
        await self.load()
        self._tasks.spawn(self._refresh_forever(), "refresh the keys")

    async def stop(self) -> None:
        await self._tasks.stop()
        with contextlib.suppress(errors.StorageFull, errors.StoreError):
            await self.flush()

    async def flush(self) -> None:
        """Stores what the keys used. Raises `StoreAway`; usage that is not stored is kept for the next call."""
        for key in tuple(self._new_usage):
            seconds = self._new_usage.pop(key)
            try:
                await self._store.add_usage(key, self._day, seconds)
            except (errors.StorageFull, errors.StoreAway) as e:
                self._new_usage[key] = self._new_usage.get(key, 0.0) + seconds
                if isinstance(e, errors.StoreAway):
                    raise


def make(name: str, priority: Priority, *, admin: bool, quota: float | None) -> tuple[Key, str]:
    """A new key, and the token that its owner gets. Raises `InvalidRequest`."""
    api_keys.check_name(name)
    if priority not in PRIORITIES:
        raise errors.InvalidRequest(f"class must be one of {', '.join(PRIORITIES)}", param="class")
    if quota is not None and not 0 < quota < math.inf:
        raise errors.InvalidRequest("the quota must be a number of seconds a day, above 0", param="quota")
    token = api_keys.new_token()
    return Key(ids.new_id(), name, api_keys.digest(token), priority, admin, quota, time.time()), token


def today() -> str:
    """The date in UTC, such as 2026-12-24."""
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d")


def until_midnight() -> float:
    """Seconds until midnight UTC."""
    return 86400.0 - time.time() % 86400.0
