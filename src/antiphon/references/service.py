"""Reference service: takes, finds and deletes the recordings whose voices models clone."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import structlog

from antiphon.audio import pcm, wav
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors, ids
from antiphon.domain import voice as voices
from antiphon.domain.voice import Reference
from antiphon.files.disk_space import DiskSpace
from antiphon.files.store import FileStore
from antiphon.references.library import Library
from antiphon.sandbox import client
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.voices")

#: Child processes that decode at the same time, and uploads that may wait for one: each holds its file in memory.
CHILDREN, WAITING = 2, 8
#: Voices that one owner may have.
MAX_VOICES = 200
#: Seconds for which a recording from a request is stored even over the quota: its job may still be waiting.
UNNAMED_GRACE = 86400.0
#: Owners whose voices, and recordings whose digests, are cached between requests.
REMEMBERED = 1000
#: Seconds after which a recording that clients keep sending is published again, before the shared copy expires.
REPUBLISH_AFTER = 86400.0

_NONE: Mapping[str, Reference] = MappingProxyType({})


class References:
    """Used in one event loop; the only writer of the voices in the store and of the library."""

    def __init__(
        self,
        store: JobStore,
        library: Library,
        threads: Threads,
        files: FileStore,
        space: DiskSpace,
        max_bytes: int,
        on_change: Callable[[str, str | None], Awaitable[None]],
    ) -> None:
        """`max_bytes`: quota for all recordings together. `on_change` receives the owner whose voices changed, and the
        digest of the recording that no voice uses any more, if there is one."""
        self._store, self._threads, self._files = store, threads, files
        self._space, self._max_bytes, self._on_change = space, max_bytes, on_change
        #: Bytes of all recordings: counted by the last `trim`, plus those read since.
        self._bytes = 0
        self.library = library
        self._children = asyncio.Semaphore(CHILDREN)
        self._reading = 0
        #: Seconds that a child process takes for one recording: a moving average.
        self._decode_seconds = 1.0
        # A file is removed when no row names it; the lock keeps a row from being added between check and removal.
        self._changing = asyncio.Lock()
        self._cached: dict[str, Mapping[str, Reference]] = {}
        #: Digest of the bytes received → digest of the stored recording, and when it was last published (monotonic).
        self._stored_as: dict[str, tuple[str, float]] = {}

    # Change

    async def upload(
        self,
        owner: str,
        name: str,
        data: bytes,
        *,
        consent: str,
        ref_text: str | None = None,
        description: str | None = None,
    ) -> Reference:
        """Stores a voice. `data` is a file of any audio format. Raises `InvalidRequest` with the parameter that is
        wrong, `Conflict` for a name that is taken or a full quota, `QueueFull` while too many recordings are being
        read."""
        voices.check_name(name)
        voices.check_consent(consent)
        voices.check_length("ref_text", ref_text, voices.MAX_REF_TEXT)
        voices.check_length("speaker_description", description, voices.MAX_DESCRIPTION)
        await self._check_free(owner, name)
        recording = await self._read(data)
        audio, rate = wav.read(recording)
        async with self._changing:
            await self._check_free(owner, name)
            digest = await self._threads.run(self.library.put, recording)
            await self._files.put("voices", self.library.path(digest))
            reference = Reference(
                id=ids.new_id(), owner=owner, name=name, digest=digest, seconds=pcm.duration(len(audio), rate),
                bytes=len(recording), consent=consent.strip(), created_at=time.time(), media_type="audio/wav",
                ref_text=ref_text or None, description=description or None,
            )  # fmt: skip
            try:
                await self._store.add_voice(reference)
            except BaseException:
                await self._remove_recording(digest)
                raise
            self._cached.pop(owner, None)
            with contextlib.suppress(errors.StorageDown):
                # Another server may have removed the last other voice with this recording, and with it the shared file.
                if not await self._files.has("voices", f"{digest}.wav"):
                    await self._files.put("voices", self.library.path(digest))
        await self._on_change(owner, None)
        return reference

    async def put_unnamed(self, data: bytes) -> str:
        """Stores a recording that came inside a request; returns its digest. Raises as `upload` does for the recording.
        The same bytes are decoded once, since clients send them with every sentence. `sweep` removes recordings that no
        request used lately."""
        received = await self._threads.run(lambda: hashlib.sha256(data).hexdigest())
        digest, shared = self._stored_as.get(received, ("", 0.0))
        fresh = digest and time.monotonic() - shared < REPUBLISH_AFTER
        if fresh and await self._threads.run(self.library.touch, digest):
            return digest
        recording = await self._read(data)
        async with self._changing:
            digest = await self._threads.run(self.library.put, recording)
            # Another server may take over the job and needs the recording then.
            await self._files.put("voices", self.library.path(digest))
        if len(self._stored_as) >= REMEMBERED:
            self._stored_as.clear()
        self._stored_as[received] = digest, time.monotonic()
        return digest

    async def ensure_local(self, digest: str) -> bool:
        """Fetches a recording from the shared storage if it is not here; False if no server has it. Its time of last
        use becomes now. Raises `StorageDown`."""
        if await self._threads.run(lambda: self.library.has(digest) and self.library.touch(digest)):
            return True
        return await self._files.fetch("voices", self.library.path(digest))

    async def delete(self, owner: str, id_or_name: str) -> Reference | None:
        """Deletes a voice, and its recording unless another voice uses it; None if there is no such voice."""
        if not id_or_name.isprintable():
            return None  # No voice has such a name, and a store may refuse it.
        async with self._changing:
            deleted = await self._store.remove_voice(owner, id_or_name)
            self._cached.pop(owner, None)
            unused = deleted is not None and await self._remove_recording(deleted.digest)
        if deleted is not None:
            await self._on_change(owner, deleted.digest if unused else None)
        return deleted

    def forget(self, owner: str) -> None:
        """Drops an owner's cached voices, after another server changed them."""
        self._cached.pop(owner, None)

    def forget_all(self) -> None:
        """Drops all cached voices, after changes by other servers may have been missed."""
        self._cached.clear()

    async def remove_unused(self, digest: str) -> None:
        """Removes the local file of a recording that no voice uses, after another server deleted its last voice."""
        async with self._changing:
            if not await self._store.digest_used(digest):
                await self._threads.run(self.library.remove, digest)

    async def sweep(self, seconds: float) -> None:
        """Removes recordings that were last used more than `seconds` ago and belong to no voice."""
        for digest in await self._threads.run(lambda: builtins.list(self.library.older_than(seconds))):
            async with self._changing:
                if not await self._store.digest_used(digest):
                    await self._threads.run(self.library.remove, digest)

    async def trim(self, seconds: float) -> None:
        """Removes recordings without a voice, oldest first, until all recordings fit into `max_bytes`. `seconds` is the
        age at which `sweep` removes them anyway. A recording with a voice is never removed for room."""
        while await self._threads.run(self.library.size) > self._max_bytes and seconds > UNNAMED_GRACE:
            seconds = max(seconds / 2, UNNAMED_GRACE)
            await self.sweep(seconds)
        self._bytes = await self._threads.run(self.library.size)

    # Look up

    async def find(self, owner: str, id_or_name: str) -> Reference | None:
        """The owner's voice with that id or name; None also for a voice of another owner."""
        return (await self.by_name(owner)).get(id_or_name)

    async def list(self, owner: str) -> builtins.list[Reference]:
        """An owner's voices, oldest first."""
        return await self._store.voices(owner)

    @property
    def shared(self) -> bool:
        """Whether other servers may change voices, too."""
        return self._store.cluster is not None

    async def by_name(self, owner: str, *, refresh: bool = False) -> Mapping[str, Reference]:
        """An owner's voices by id and by name, from the cache if they are there. `refresh` reads them from the store,
        with the changes of other servers."""
        found = None if refresh else self._cached.get(owner)
        if found is None:
            if len(self._cached) >= REMEMBERED:
                self._cached.clear()
            async with self._changing:
                listed = await self._store.voices(owner)
                names = {each.name: each for each in listed}
                found = MappingProxyType(names | {each.id: each for each in listed}) if listed else _NONE
                self._cached[owner] = found
        return found

    # Reading

    def _check_room(self) -> None:
        """Raises `StorageFull` while the disk is nearly full, `Conflict` while the recordings fill their quota."""
        self._space.check()
        if self._bytes >= self._max_bytes:
            taken = f"The voices take all of the {self._max_bytes} bytes that they may (--voices-bytes)"
            raise errors.Conflict(f"{taken}; delete some first")

    async def _read(self, data: bytes) -> bytes:
        self._check_room()
        if self._reading >= CHILDREN + WAITING:
            after = self._decode_seconds * (self._reading - CHILDREN) / CHILDREN
            raise errors.QueueFull("Too many recordings are being read; send it again soon", retry_after=after)
        self._reading += 1
        try:
            async with self._children:
                started = time.monotonic()
                recording = await client.read(data)
                self._decode_seconds += 0.3 * (time.monotonic() - started - self._decode_seconds)
                self._bytes += len(recording)
                return recording
        except errors.InvalidRequest as e:
            raise errors.InvalidRequest(e.message, param="audio_sample") from e
        finally:
            self._reading -= 1

    async def _check_free(self, owner: str, name: str) -> None:
        if await self._store.voice(owner, name) is not None:
            raise errors.Conflict(f"You have a voice {name!r} already; delete it, or choose another name", param="name")
        if len(await self._store.voices(owner)) >= MAX_VOICES:
            raise errors.Conflict(f"You have {MAX_VOICES} voices; delete one before you add another")

    async def _remove_recording(self, digest: str) -> bool:
        """Removes a recording, here and in the shared storage, unless a voice uses it; True if it was removed."""
        if await self._store.digest_used(digest):
            return False
        try:
            await self._files.delete("voices", f"{digest}.wav")
            if await self._store.digest_used(digest):
                # Another server stored the same recording in the meantime.
                await self._files.put("voices", self.library.path(digest))
                return False
        except errors.StorageDown as e:
            log.warning("a deleted recording stays in the shared storage until it expires", error=e.message)
        await self._threads.run(self.library.remove, digest)
        return True
