"""Downloader: fetches models from several sources; resumed, verified, and safe against a kill at any moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx
import psutil

from antiphon.catalog import files, manifest, repo_listing
from antiphon.catalog.fetch import Patience
from antiphon.catalog.models import ModelSpec, is_present
from antiphon.catalog.progress import Meter, PullProgress
from antiphon.catalog.pull import Pull, connect, disk_full, is_disk_full, remedy
from antiphon.catalog.sources import PACKAGE_INDEX, Endpoints, First, SourceFailed, Unreachable
from antiphon.domain import errors

Network = Literal["online", "offline", "unknown"]

#: Seconds for which a pull's experience with the package index counts.
MEMORY = 600.0

__all__ = ["Downloader", "Network", "PullProgress"]


class Downloader:
    """Puts models into one directory, each below its own name. Several processes may share the directory."""

    def __init__(
        self,
        models_dir: Path,
        *,
        offline: bool = False,
        endpoint: str | None = None,
        mirrors: tuple[str, ...] | None = None,
        modelscope: str | None = None,
        first: First = "hub",
        connect_timeout: float = 5.0,
        stall_timeout: float = 30.0,
    ) -> None:
        """`endpoint` is the first hub (default: `HF_ENDPOINT`, else Hugging Face), `mirrors` are the next ones; `first`
        says whether they or ModelScope are asked first.

        `connect_timeout` and `stall_timeout` are the seconds that a source has for its connection, and for its next
        bytes.
        """
        # Absolute, because pip runs in another directory.
        self._models_dir, self._offline = models_dir.absolute(), offline
        self._endpoints = Endpoints.of(endpoint, mirrors, modelscope, first)
        self._patience = Patience(connect_timeout, stall_timeout)
        #: Whether the package index answered, and when that was seen (monotonic seconds).
        self._index: tuple[bool, float] | None = None

    async def pull(self, spec: ModelSpec, on_progress: Callable[[PullProgress], None] | None = None) -> Path:
        """Fetches and verifies the model's files; returns their directory.

        Takes the first source that works for each file, goes on where an earlier pull stopped, and waits while
        another process pulls the same model. A cancel leaves what came so far. Works offline if the files exist and
        only have to be verified.

        Raises `DownloadFailed` with each source's reason and the remedy; `Offline` when no source was reached.
        """
        folder = self._models_dir / spec.name
        if is_present(spec, self._models_dir):
            return folder
        meter = Meter(spec.size, on_progress)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            async with files.locked(folder, lambda: meter.phase("waiting")):
                await self._pull(await self._listed(spec, meter), meter)
        except OSError as e:
            if is_disk_full(e):
                raise disk_full(spec, folder) from e
            raise errors.DownloadFailed(f"{spec.name}: cannot write to {folder}: {e.strerror or e}") from e
        meter.phase("done")
        return folder

    async def _pull(self, spec: ModelSpec, meter: Meter) -> None:
        pull = Pull(spec, self._models_dir, self._endpoints, self._patience, meter)
        wanted = await pull.adopt()
        meter.skip(spec.size - sum(file.size for file in wanted))
        if not wanted:
            return
        if self._offline:
            raise self._told_offline(spec, f": {', '.join(file.name for file in wanted)}")
        try:
            await pull.run(wanted)
        except errors.Offline:
            raise
        except errors.DownloadFailed:
            # The list may be outdated or wrong: the next pull asks for a new one and keeps the files that match.
            (self._models_dir / spec.name / manifest.NAME).unlink(missing_ok=True)
            raise
        finally:
            if PACKAGE_INDEX in pull.reached | pull.unreachable:
                self._index = (PACKAGE_INDEX in pull.reached, time.monotonic())

    async def _listed(self, spec: ModelSpec, meter: Meter) -> ModelSpec:
        """The model with the files that only the hub can list. The list is stored, so that a pull that goes on tomorrow
        fetches the same files as today."""
        if not spec.repos:
            return spec
        folder = self._models_dir / spec.name
        try:
            listed = manifest.read(folder)
        except manifest.Unsafe:
            listed = None
        if listed is None:
            meter.phase("listing")
            if self._offline:
                raise self._told_offline(spec, " is")
            async with await connect(self._patience, self._endpoints) as client:
                try:
                    listed = await repo_listing.files_of(client, spec.repos, self._endpoints, self._patience.stall)
                except SourceFailed as e:
                    kind = errors.Offline if isinstance(e, Unreachable) else errors.DownloadFailed
                    raise kind(f"{spec.name}: {e}\n{remedy(spec, self._models_dir)}") from e
            await files.in_thread(manifest.write, folder, listed)
        meter.expect(sum(file.size for file in listed))
        return replace(spec, files=listed, repos=())

    def _told_offline(self, spec: ModelSpec, what: str) -> errors.Offline:
        why = f"{spec.name}{what} missing, and this server was told to stay offline"
        return errors.Offline(f"{why}\n{remedy(spec, self._models_dir)}")

    async def network_state(self, timeout: float = 2.0) -> Network:
        """Whether anything could be fetched from here now; takes up to `timeout` seconds.

        Hubs are asked directly. The package index is not, because pip decides which one it uses: only what the last
        pull saw counts. When no hub answers and nothing is known about the index, the state is `unknown`, because
        the index may work. Without a network interface it is `offline`.
        """
        if self._offline:
            return "offline"
        if await self._any_hub_answers(timeout):
            return "online"
        if self._index is not None and time.monotonic() - self._index[1] < MEMORY:
            return "online" if self._index[0] else "offline"
        return "unknown" if _has_interface() else "offline"

    async def _any_hub_answers(self, timeout: float) -> bool:
        hosts = (*self._endpoints.hubs, self._endpoints.modelscope)
        context = await files.in_thread(httpx.create_ssl_context)
        async with httpx.AsyncClient(verify=context, timeout=timeout) as client:
            asked = [asyncio.create_task(_answers(client, host), name=f"ask {host}") for host in hosts]
            try:
                async with asyncio.timeout(timeout):
                    for answer in asyncio.as_completed(asked):
                        if await answer:
                            return True
            except TimeoutError:
                pass
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
        return False


async def _answers(client: httpx.AsyncClient, address: str) -> bool:
    """Whether the host answers at all, even with a refusal. Uses the environment's proxy, as a pull does."""
    try:
        await client.head(address)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True


def _has_interface() -> bool:
    """Whether an interface besides loopback is up."""
    return any(stats.isup and "loopback" not in stats.flags.split(",") for stats in psutil.net_if_stats().values())
