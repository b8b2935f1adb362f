"""A disk that is full, or that fails: what is refused, what is kept, and when the server has to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from antiphon.domain import errors
from antiphon.domain.job import Job, State
from antiphon.store import writer as writers
from antiphon.store.sqlite import SqliteStore

VFS = "failing"


def job(id: str, text: str = "Hello") -> Job:
    return Job(id, "speech", State.QUEUED, "me", "normal", {"text": text}, 100.0)


def failure(kind: type[apsw.Error], extended: int) -> apsw.Error:
    e = kind("injected")
    # How a VFS written in Python tells SQLite the code.
    vars(e).update(result=extended & 0xFF, extendedresult=extended)
    return e


FSYNC = (apsw.IOError, apsw.SQLITE_IOERR_FSYNC)
WRITE = (apsw.IOError, apsw.SQLITE_IOERR_WRITE)
FULL = (apsw.FullError, apsw.SQLITE_FULL)


class FailingDisk(apsw.VFS):
    """Fails the named calls (`xSync`, `xWrite`) on files whose name ends so, and counts the calls."""

    def __init__(self) -> None:
        self.fails: dict[tuple[str, str], tuple[type[apsw.Error], int]] = {}
        self.calls: list[tuple[str, str]] = []
        super().__init__(VFS, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FailingFile(self, name, flags)

    def called(self, call: str, name: str) -> None:
        suffix = name.rpartition(".")[2]
        self.calls.append((call, suffix))
        if (call, suffix) in self.fails:
            raise failure(*self.fails[call, suffix])


class FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.name = (name.filename() if isinstance(name, apsw.URIFilename) else name) or "temporary"
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.called("xWrite", self.name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.called("xSync", self.name)
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    made = FailingDisk()
    yield made
    made.unregister()


@pytest.fixture
def fatal() -> list[BaseException]:
    return []


@pytest.fixture
async def store(tmp_path: Path, disk: FailingDisk, fatal: list[BaseException]) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path / "a.db", on_fatal=fatal.append, vfs=VFS)
    await made.open()
    yield made
    disk.fails.clear()
    await made.close()


@pytest.mark.parametrize("fails", [FSYNC, WRITE])
async def test_a_commit_that_fails_on_the_disk_ends_the_store(
    tmp_path: Path,
    store: SqliteStore,
    disk: FailingDisk,
    fatal: list[BaseException],
    fails: tuple[type[apsw.Error], int],
) -> None:
    await store.add(job("a"))
    disk.fails["xSync" if fails is FSYNC else "xWrite", "db-wal"] = fails
    said = await asyncio.gather(*(store.add(job(f"b{i}")) for i in range(10)), return_exceptions=True)
    assert {type(each) for each in said} == {errors.StoreFailed}
    assert [type(each) for each in fatal] == [apsw.IOError]
    assert store.broken is fatal[0]
    # The disk is well again, and is not believed.
    disk.fails.clear()
    disk.calls.clear()
    with pytest.raises(errors.StoreError, match="has to stop"):
        await store.add(job("c"))
    assert (await store.get("a")) == job("a")
    await store.close()
    assert disk.calls == []
    assert len(fatal) == 1
    await _restarts_with(tmp_path, "a")


async def test_a_checkpoint_that_fails_on_the_disk_ends_the_store(
    tmp_path: Path, store: SqliteStore, disk: FailingDisk, fatal: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT", 1)
    disk.fails["xSync", "db"] = FSYNC
    # The job itself is safe in the log, so its caller is told the truth.
    await store.add(job("a"))
    with pytest.raises(errors.StoreError, match="has to stop"):
        await store.add(job("b"))
    assert [type(each) for each in fatal] == [apsw.IOError]
    disk.fails.clear()
    disk.calls.clear()
    await store.close()
    assert disk.calls == []
    await _restarts_with(tmp_path, "a")


async def _restarts_with(folder: Path, *ids: str) -> None:
    with apsw.Connection(str(folder / "a.db")) as db:
        assert db.pragma("integrity_check") == "ok"
    db.close()
    again = SqliteStore(folder / "a.db")
    await again.open()
    assert {found.id for found in await again.list()} >= set(ids)
    await again.add(job("z"))
    await again.close()


async def test_a_full_disk_refuses_the_whole_group_and_passes(
    store: SqliteStore, disk: FailingDisk, fatal: list[BaseException]
) -> None:
    await store.add(job("a"))
    disk.fails["xWrite", "db-wal"] = FULL
    for _ in range(3):
        said = await asyncio.gather(*(store.add(job(f"b{i}")) for i in range(10)), return_exceptions=True)
        assert {type(each) for each in said} == {errors.StorageFull}
        assert {each.retry_after for each in said if isinstance(each, errors.StorageFull)} == {writers.FULL_RETRY}
    assert [found.id for found in await store.list()] == ["a"]
    disk.fails.clear()
    await asyncio.gather(*(store.add(job(f"b{i}")) for i in range(10)))
    assert len(await store.list()) == 11
    assert (fatal, store.broken) == ([], None)


async def test_a_full_disk_only_puts_a_checkpoint_off(
    store: SqliteStore, disk: FailingDisk, fatal: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT", 1)
    disk.fails["xWrite", "db"] = FULL
    for i in range(5):
        await store.add(job(f"a{i}"))
    disk.fails.clear()
    await store.add(job("b"))
    assert (len(await store.list()), fatal) == (6, [])


async def test_a_database_at_its_page_limit_refuses_and_goes_on(store: SqliteStore, fatal: list[BaseException]) -> None:
    await store.add(job("a"))
    await store._writer.run(lambda db: db.pragma("max_page_count", db.pragma("page_count") + 5))
    with pytest.raises(errors.StorageFull):
        await store.add(job("b", text="x" * 100_000))
    fence = await store.start("a")
    assert fence == 1
    await store._writer.run(lambda db: db.pragma("max_page_count", 2**30))
    await store.add(job("b", text="x" * 100_000))
    assert fatal == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_file_system_that_fills_up_and_is_emptied(small_disk: Path, fatal: list[BaseException]) -> None:
    store = SqliteStore(small_disk / "a.db", on_fatal=fatal.append)
    await store.open()
    kept: list[str] = []
    with pytest.raises(errors.StorageFull):
        await _add_until_it_fails(store, kept)
    _fill(small_disk / "ballast")
    said = await asyncio.gather(*(store.add(job(f"b{i}", text="x" * 5000)) for i in range(50)), return_exceptions=True)
    assert errors.StorageFull in {type(each) for each in said}
    assert {type(each) for each in said} <= {errors.StorageFull, tuple}
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    added = await asyncio.gather(*(store.add(job(f"c{i}", text="x" * 5000)) for i in range(50)))
    assert all(new for _, new in added)
    assert (fatal, store.broken) == ([], None)
    found = {left.id for left in await store.list(limit=5000)}
    assert found >= {*kept, *(left.id for left, _ in added)}
    await store.close()
    with apsw.Connection(str(small_disk / "a.db")) as db:
        assert db.pragma("integrity_check") == "ok"
    db.close()


async def _add_until_it_fails(store: SqliteStore, kept: list[str]) -> None:
    for i in range(1000):
        await store.add(job(f"{i:04}", text="x" * 5000))
        kept.append(f"{i:04}")


def _fill(path: Path) -> None:
    """Takes what is left of the space."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(path).f_bavail == 0
