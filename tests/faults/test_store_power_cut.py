"""Power cuts: whatever the disk had not synced is dropped, torn or kept at random, and nothing acknowledged is lost.

A VFS writes down what SQLite asks of the disk. From that log an image of the disk is made for a cut at any moment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import apsw
import pytest

from antiphon.domain.job import Failure, Job, State
from antiphon.store import connect
from antiphon.store import writer as writers
from antiphon.store.sqlite import SqliteStore

VFS = "power-cut"
#: Bytes that a disk writes whole.
SECTOR = 512
IMAGES = 40


class Step(NamedTuple):
    """What was asked of the disk, or (`ack`) told to a client."""

    kind: Literal["write", "truncate", "sync", "delete", "ack"]
    name: str
    data: bytes = b""
    at: int = 0


class Recorder(apsw.VFS):
    """Passes everything on to the real file system, and keeps the log."""

    def __init__(self) -> None:
        self.log: list[Step] = []
        super().__init__(VFS, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return RecordedFile(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.log.append(Step("delete", Path(filename).name))


class RecordedFile(apsw.VFSFile):
    def __init__(self, log: list[Step], name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.log = log
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.name = Path(path or "temporary").name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self.log.append(Step("write", self.name, bytes(data), offset))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self.log.append(Step("truncate", self.name, at=newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self.log.append(Step("sync", self.name))


@dataclass
class Disk:
    """A file's bytes that are safe, and what was asked since the last sync."""

    safe: bytearray = field(default_factory=bytearray)
    unsynced: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.unsynced:
            self.apply(step)
        self.unsynced.clear()

    def apply(self, step: Step) -> None:
        if step.kind == "truncate":
            del self.safe[step.at :]
            return
        if len(self.safe) < step.at:
            self.safe.extend(bytes(step.at - len(self.safe)))
        self.safe[step.at : step.at + len(step.data)] = step.data

    def cut(self, rng: random.Random) -> bytes:
        """What is found after the power comes back. Order means nothing to a disk between two syncs."""
        mood = rng.choice(["drop", "keep", "mix"])
        for step in self.unsynced:
            fate = mood if mood != "mix" else rng.choice(["drop", "keep", "tear"])
            if fate == "keep":
                self.apply(step)
            elif fate == "tear" and step.kind == "write":
                sectors = rng.randrange(len(step.data) // SECTOR + 1)
                self.apply(step._replace(data=step.data[: sectors * SECTOR]))
        return bytes(self.safe)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.unregister()


async def _work(path: Path, log: list[Step], synchronous: connect.Synchronous) -> None:
    """Three lives of a store with eight clients, each saying what was acknowledged to it."""
    for life in range(3):
        store = SqliteStore(path, vfs=VFS, synchronous=synchronous)
        await store.open()

        async def client(lane: int, store: SqliteStore = store, life: int = life) -> None:
            for n in range(12):
                id = f"{life}-{lane}-{n:02}"
                await store.add(Job(id, "speech", State.QUEUED, "me", "normal", {"text": id * 200}, 1.0))
                log.append(Step("ack", id, b"queued"))
                if n % 2:
                    fence = await store.start(id)
                    assert fence is not None
                    assert await store.finish(id, fence, State.FAILED, error=Failure("code", id))
                    log.append(Step("ack", id, b"failed"))

        await asyncio.gather(*(client(lane) for lane in range(8)))
        await store.close()


def _image(log: list[Step], moment: int, rng: random.Random, folder: Path) -> dict[str, str]:
    """Writes the disk as a cut at that moment leaves it; returns what had been acknowledged."""
    disks: dict[str, Disk] = {}
    ledger: dict[str, str] = {}
    for step in log[:moment]:
        if step.kind == "ack":
            ledger[step.name] = step.data.decode()
        elif step.kind == "delete":
            disks.pop(step.name, None)
        elif step.kind == "sync":
            disks.setdefault(step.name, Disk()).sync()
        else:
            disks.setdefault(step.name, Disk()).unsynced.append(step)
    folder.mkdir()
    for name, disk in disks.items():
        (folder / name).write_bytes(disk.cut(rng))
    return ledger


async def _lost(folder: Path, ledger: dict[str, str]) -> list[str]:
    """Acknowledged jobs that the image does not hold in the acknowledged state; fails if it is malformed."""
    path = folder / "a.db"
    if not ledger:
        return []
    with apsw.Connection(str(path)) as db:
        assert db.pragma("integrity_check") == "ok"
    db.close()
    store = SqliteStore(path)
    await store.open()
    kept = {job.id: job.state.value for job in await store.list(limit=10_000)}
    await store.close()
    # More may have happened than was acknowledged, never less.
    return [id for id, state in ledger.items() if id not in kept or (state == "failed" and kept[id] != "failed")]


async def _losses(path: Path, log: list[Step], synchronous: connect.Synchronous, seed: int) -> int:
    """In how many images something acknowledged was lost."""
    await _work(path, log, synchronous)
    assert {step.name for step in log if step.kind == "sync"} >= {"a.db", "a.db-wal"}
    first = next(i for i, step in enumerate(log) if step.kind == "ack")
    rng = random.Random(seed)
    lossy = 0
    for image in range(IMAGES):
        moment = rng.randrange(first + 1, len(log) + 1)
        folder = path.parent / f"image-{image}"
        ledger = _image(log, moment, rng, folder)
        lost = await _lost(folder, ledger)
        lossy += bool(lost)
    return lossy


async def test_a_power_cut_loses_nothing_that_was_acknowledged(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT", 40)
    assert await _losses(tmp_path / "a.db", recorder.log, "FULL", seed := 11) == 0, f"seed {seed}"


async def test_the_same_cuts_find_a_store_that_does_not_sync(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without it nobody knows whether the test above can fail."""
    monkeypatch.setattr(writers, "CHECKPOINT", 40)
    assert await _losses(tmp_path / "a.db", recorder.log, "NORMAL", seed=11) > 0
