"""References: recordings whose voices are cloned, read within limits, kept by digest, each its owner's alone."""

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

#: Children that decode at the same time, and uploads that wait for one: each holds its file in memory.
CHILDREN, WAITING = 2, 8
#: Voices of one owner.
MAX_VOICES = 200
#: Seconds for which a recording that came inside a request stays whatever the quota says: its job may be waiting.
UNNAMED_GRACE = 86400.0
#: Owners whose voices, and recordings whose digests, are remembered between requests.
REMEMBERED = 1000
#: Seconds after which a recording that is sent again and again is shared anew, so that it does not grow too old there.
SHARED = 86400.0

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
        """`max_bytes`: of all recordings. `on_change` receives the owner whose voices changed here, and the digest of a
        recording that belongs to no voice any more."""
        self._store, self._threads, self._files = store, threads, files
        self._space, self._max_bytes, self._on_change = space, max_bytes, on_change
        #: Bytes of the recordings at the last `trim`, and of those that came since.
        self._bytes = 0
        self.library = library
        self._children = asyncio.Semaphore(CHILDREN)
        self._reading = 0
        #: Seconds that a child took of late.
        self._took = 1.0
        # A file is removed when no row names it: no row may come in between.
        self._changing = asyncio.Lock()
        self._known: dict[str, Mapping[str, Reference]] = {}
        #: Digest of what was sent → digest of what is kept, and when it was shared last (monotonic).
        self._sent: dict[str, tuple[str, float]] = {}

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
        """Takes a voice. `data` is a file of any audio format.

        Raises `InvalidRequest` saying what is wrong with which of them, `Conflict` for a name that is taken,
        `QueueFull` while too many recordings are being read.
        """
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
                id=ids.new_id(),
                owner=owner,
                name=name,
                digest=digest,
                seconds=pcm.duration(len(audio), rate),
                bytes=len(recording),
                consent=consent.strip(),
                created_at=time.time(),
                media_type="audio/wav",
                ref_text=ref_text or None,
                description=description or None,
            )
            try:
                await self._store.add_voice(reference)
            except BaseException:
                await self._remove_unused(digest)
                raise
            self._known.pop(owner, None)
            with contextlib.suppress(errors.StorageDown):
                # Another server may just have removed the last other voice with this recording, and the recording.
                if not await self._files.has("voices", f"{digest}.wav"):
                    await self._files.put("voices", self.library.path(digest))
        await self._on_change(owner, None)
        return reference

    async def once(self, data: bytes) -> str:
        """Keeps a recording that was given inside a request, without a name; returns its digest.

        Raises as `upload` does for the recording. The same bytes are read once, for clients send them with every
        sentence. `sweep` removes what nobody sent of late.
        """
        sent = await self._threads.run(lambda: hashlib.sha256(data).hexdigest())
        digest, shared = self._sent.get(sent, ("", 0.0))
        if digest and time.monotonic() - shared < SHARED and await self._threads.run(self.library.touch, digest):
            return digest
        recording = await self._read(data)
        async with self._changing:
            digest = await self._threads.run(self.library.put, recording)
            # A job that another server goes on with needs it there.
            await self._files.put("voices", self.library.path(digest))
        if len(self._sent) >= REMEMBERED:
            self._sent.clear()
        self._sent[sent] = digest, time.monotonic()
        return digest

    async def need(self, digest: str) -> bool:
        """Brings a recording here if another server took it in; False if nobody has it. Raises `StorageDown`.

        It counts as used now."""
        if await self._threads.run(lambda: self.library.has(digest) and self.library.touch(digest)):
            return True
        return await self._files.fetch("voices", self.library.path(digest))

    async def delete(self, owner: str, id_or_name: str) -> Reference | None:
        """Forgets a voice, and its recording unless another voice is the same; None if there is none."""
        async with self._changing:
            gone = await self._store.remove_voice(owner, id_or_name)
            self._known.pop(owner, None)
            unused = gone is not None and await self._remove_unused(gone.digest)
        if gone is not None:
            await self._on_change(owner, gone.digest if unused else None)
        return gone

    def forget(self, owner: str) -> None:
        """Another server changed the owner's voices."""
        self._known.pop(owner, None)

    def forget_all(self) -> None:
        """Others may have changed anything."""
        self._known.clear()

    async def drop(self, digest: str) -> None:
        """Another server removed the last voice with this recording."""
        async with self._changing:
            if not await self._store.digest_used(digest):
                await self._threads.run(self.library.remove, digest)

    async def sweep(self, seconds: float) -> None:
        """Removes recordings that are older than that and belong to no voice."""
        for digest in await self._threads.run(lambda: builtins.list(self.library.older(seconds))):
            async with self._changing:
                if not await self._store.digest_used(digest):
                    await self._threads.run(self.library.remove, digest)

    async def trim(self, seconds: float) -> None:
        """Brings the recordings under `max_bytes` by removing those without a voice, the oldest first; `seconds` is the
        age at which they go anyhow. Voices are never removed for room."""
        while await self._threads.run(self.library.size) > self._max_bytes and seconds > UNNAMED_GRACE:
            seconds = max(seconds / 2, UNNAMED_GRACE)
            await self.sweep(seconds)
        self._bytes = await self._threads.run(self.library.size)

    # Questions

    async def find(self, owner: str, id_or_name: str) -> Reference | None:
        """The owner's voice of that id or name; the voices of others do not exist."""
        return (await self.known(owner)).get(id_or_name)

    async def list(self, owner: str) -> builtins.list[Reference]:
        """One owner's, oldest first."""
        return await self._store.voices(owner)

    @property
    def shared(self) -> bool:
        """Whether other servers change voices, too."""
        return self._store.cluster is not None

    async def known(self, owner: str, *, refresh: bool = False) -> Mapping[str, Reference]:
        """One owner's voices by id and by name, as `voices.choose` takes them; cheap when asked again.

        `refresh`: with what other servers changed since."""
        found = None if refresh else self._known.get(owner)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            async with self._changing:
                listed = await self._store.voices(owner)
                by_name = {each.name: each for each in listed}
                found = MappingProxyType(by_name | {each.id: each for each in listed}) if listed else _NONE
                self._known[owner] = found
        return found

    # Reading

    def _check_room(self) -> None:
        """Raises `StorageFull` or `Conflict` while no recording can be kept."""
        self._space.check()
        if self._bytes >= self._max_bytes:
            raise errors.Conflict(
                f"The voices take all of the {self._max_bytes} bytes that they may (--voices-bytes); delete some first"
            )

    async def _read(self, data: bytes) -> bytes:
        self._check_room()
        if self._reading >= CHILDREN + WAITING:
            after = self._took * (self._reading - CHILDREN) / CHILDREN
            raise errors.QueueFull("Too many recordings are being read; send it again soon", retry_after=after)
        self._reading += 1
        try:
            async with self._children:
                began = time.monotonic()
                recording = await client.read(data)
                self._took += 0.3 * (time.monotonic() - began - self._took)
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

    async def _remove_unused(self, digest: str) -> bool:
        """Whether it was; here and where it is shared."""
        if await self._store.digest_used(digest):
            return False
        try:
            await self._files.delete("voices", f"{digest}.wav")
            if await self._store.digest_used(digest):
                # Another server took the same recording in meanwhile.
                await self._files.put("voices", self.library.path(digest))
                return False
        except errors.StorageDown as e:
            log.warning("a recording that nobody has any more stays in the storage until it is old", error=e.message)
        await self._threads.run(self.library.remove, digest)
        return True
