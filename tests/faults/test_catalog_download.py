"""Pulls from a real hub on loopback that drops, stalls, lies and corrupts: only right bytes get their final name."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.catalog import files, pull
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.catalog.models import ModelSpec, is_present, missing
from antiphon.catalog.sources import Hub, ModelScope, Url
from antiphon.domain import errors
from tests import hub as hubs
from tests.hub import REPO, Fault

SIZE = 3_000_000
BIG = random.Random(1).randbytes(SIZE)
SMALL = random.Random(2).randbytes(10_000)
#: A port that nobody listens on.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def hub() -> Iterator[hubs.Server]:
    with hubs.serving() as server:
        yield server


def downloader(hub: hubs.Server, tmp_path: Path, **kwargs: Any) -> Downloader:
    options = {"endpoint": hub.url, "mirrors": (), "modelscope": hub.url, "stall_timeout": 1.0, "connect_timeout": 2.0}
    return Downloader(tmp_path, **(options | kwargs))


def part(tmp_path: Path, name: str = "big.bin") -> Path:
    return tmp_path / "pulled" / f"{name}.part"


def whole(tmp_path: Path, model: ModelSpec) -> bool:
    """Present, right to the byte, and nothing left over."""
    folder = tmp_path / model.name
    names = {path.name for path in folder.iterdir()}
    right = all(hashlib.sha256((folder / f.name).read_bytes()).hexdigest() == f.sha256 for f in model.files)
    return right and is_present(model, tmp_path) and names == {f.name for f in model.files} | {".lock", files.MARKER}


async def test_a_pull_brings_every_file_and_tells_how_far_it_is(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG, "small.bin": SMALL})
    hub.put("big.bin", BIG)
    hub.put("small.bin", SMALL)
    seen: list[PullProgress] = []
    folder = await downloader(hub, tmp_path).pull(model, seen.append)
    assert folder == tmp_path / "pulled"
    assert whole(tmp_path, model)
    done = [p.bytes_done for p in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].bytes_total == model.size
    assert [p.phase for p in seen][-1] == "done"
    asked = len(hub.requests)
    await downloader(hub, tmp_path).pull(model)
    assert len(hub.requests) == asked, "what is present is not asked for again"


async def test_a_cancel_leaves_a_part_that_the_next_pull_goes_on_with(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    hub.faults[path] = Fault(stall_at=1_500_000)
    task = asyncio.create_task(downloader(hub, tmp_path, stall_timeout=30.0).pull(model))
    await asyncio.to_thread(hub.stalled.wait, 10)
    await grown(part(tmp_path), 1_000_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = part(tmp_path).stat().st_size
    assert 1_000_000 <= kept <= 1_500_000
    assert part(tmp_path).read_bytes() == BIG[:kept]
    hub.faults.clear()
    await downloader(hub, tmp_path).pull(model)
    assert hub.asked(path)[-1].start == kept
    assert whole(tmp_path, model)


async def grown(path: Path, size: int) -> None:
    async with asyncio.timeout(10):
        while not path.exists() or path.stat().st_size < size:
            await asyncio.sleep(0.01)


async def test_a_dropped_connection_is_taken_up_where_it_broke(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    hub.faults[path] = Fault(drop_at=2_000_000, drops=1)
    await downloader(hub, tmp_path).pull(model)
    assert [r.start for r in hub.asked(path)] == [None, 2_000_000]
    assert whole(tmp_path, model)


async def test_a_server_that_ignores_ranges_sends_it_all_again(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(BIG[:1_000_000])
    hub.faults[path] = Fault(ignore_range=True)
    await downloader(hub, tmp_path).pull(model)
    assert [r.start for r in hub.asked(path)] == [1_000_000]
    assert whole(tmp_path, model)


async def test_a_range_that_starts_elsewhere_is_not_believed(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(BIG[:1_000_000])
    hub.faults[path] = Fault(shift_range=True)
    await downloader(hub, tmp_path).pull(model)
    assert [r.start for r in hub.asked(path)] == [1_000_000, None]
    assert whole(tmp_path, model)


async def test_a_file_that_changed_on_the_server_is_begun_again(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"\0" * 1_000_000)
    note = {"url": f"{hub.url}{path}", "etag": '"old"'}
    part(tmp_path).with_name("big.bin.part.json").write_text(json.dumps(note))
    hub.etags[path] = '"new"'
    await downloader(hub, tmp_path).pull(model)
    assert [(r.start, r.if_range) for r in hub.asked(path)] == [(1_000_000, '"old"')]
    assert whole(tmp_path, model)


@pytest.mark.parametrize("length", [1, 999_999, SIZE, SIZE + 5])
async def test_a_rotten_part_costs_one_more_download(hub: hubs.Server, tmp_path: Path, length: int) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"\0" * length)
    await downloader(hub, tmp_path).pull(model)
    assert hub.asked(path)[-1].start is None
    assert whole(tmp_path, model)


FAULTS = {
    "missing": (Fault(status=404), "HTTP 404 Not Found"),
    "broken": (Fault(status=503), "HTTP 503 Service Unavailable"),
    "corrupt at its start": (Fault(corrupt_at=0), "sent wrong bytes"),
    "corrupt at its end": (Fault(corrupt_at=SIZE - 1), "sent wrong bytes"),
    "stalled before its first byte": (Fault(stall_at=0), "nothing came for 1 s"),
    "stalled on the way": (Fault(stall_at=1_200_000), "nothing came for 1 s"),
    "a trickle": (Fault(trickle=0.02), "only "),
    "dropped at its start": (Fault(drop_at=0), "the connection broke"),
    "dropped again and again": (Fault(drop_at=1_200_000), "the connection broke"),
    "another file by name": (Fault(linked_etag="ab" * 32), "has another file (SHA-256 abababababab"),
    "too long": (Fault(surplus=9), "sent more than the 3000000 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_faulty_source_is_left_for_the_next(hub: hubs.Server, tmp_path: Path, name: str) -> None:
    fault, _ = FAULTS[name]
    model = hubs.spec({"big.bin": BIG}, {"big.bin": (Hub(REPO, "big.bin"), ModelScope(REPO, "big.bin"))})
    first, second = hub.put("big.bin", BIG), hub.put("big.bin", BIG, "modelscope")
    hub.faults[first] = fault
    await downloader(hub, tmp_path).pull(model)
    assert hub.asked(first)
    assert hub.asked(second)
    assert whole(tmp_path, model)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_pull_that_fails_says_what_each_source_did(hub: hubs.Server, tmp_path: Path, name: str) -> None:
    fault, reason = FAULTS[name]
    model = hubs.spec({"big.bin": BIG}, {"big.bin": (Hub(REPO, "big.bin"), ModelScope(REPO, "absent.bin"))})
    hub.faults[hub.put("big.bin", BIG)] = fault
    with pytest.raises(errors.DownloadFailed) as failure:
        await downloader(hub, tmp_path).pull(model)
    assert not isinstance(failure.value, errors.Offline)
    headline, first, second, command, copy = failure.value.message.splitlines()
    host = hub.url.removeprefix("http://")
    assert headline == "pulled: no source gave big.bin"
    assert first.startswith(f"  {host}: {reason}")
    assert second == f"  {host}: HTTP 404 Not Found"
    assert "antiphon pull pulled --output DIR" in command
    assert str(tmp_path / "pulled") in copy
    assert not (tmp_path / "pulled" / "big.bin").exists()


async def test_a_file_of_another_length_is_refused_before_it_is_sent(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    hub.put("big.bin", BIG[:-1])
    with pytest.raises(errors.DownloadFailed, match=r"has another file \(2999999 bytes instead of 3000000\)"):
        await downloader(hub, tmp_path).pull(model)
    assert not part(tmp_path).exists()


async def test_with_no_source_in_reach_the_error_is_offline_and_names_the_command(tmp_path: Path) -> None:
    sources = (Hub(REPO, "big.bin"), ModelScope(REPO, "big.bin"), Url(f"{NOWHERE}/x"))
    model = hubs.spec({"big.bin": BIG, "small.bin": SMALL}, {"big.bin": sources})
    there = Downloader(tmp_path, endpoint=NOWHERE, mirrors=("http://no-such-host.invalid",), modelscope=NOWHERE)
    with pytest.raises(errors.Offline, match="antiphon pull pulled --output DIR") as failure:
        await there.pull(model)
    assert failure.value.message.count("no connection") == 4


async def test_a_host_that_cannot_be_reached_is_asked_once_per_pull(hub: hubs.Server, tmp_path: Path) -> None:
    contents = {f"{i}.bin": random.Random(i).randbytes(1000) for i in range(4)}
    model = hubs.spec(contents, {name: (Hub(REPO, name), ModelScope(REPO, name)) for name in contents})
    for name, data in contents.items():
        hub.put(name, data, "modelscope")
    with hubs.serving() as closed:
        pass
    seen: list[PullProgress] = []
    await downloader(hub, tmp_path, endpoint=closed.url).pull(model, seen.append)
    assert whole(tmp_path, model)
    assert [p.file for p in seen if p.source == closed.url.removeprefix("http://")] == ["0.bin"]


async def test_an_offline_pull_adopts_copied_files_and_refuses_what_is_missing(
    hub: hubs.Server, tmp_path: Path
) -> None:
    model = hubs.spec({"big.bin": BIG, "small.bin": SMALL})
    folder = tmp_path / "pulled"
    folder.mkdir()
    (folder / "big.bin").write_bytes(BIG)
    (folder / "small.bin").write_bytes(SMALL[::-1])
    offline = downloader(hub, tmp_path, offline=True)
    with pytest.raises(errors.Offline, match=r"small.bin missing.*\n.*antiphon pull pulled --output DIR"):
        await offline.pull(model)
    assert [f.name for f in missing(model, tmp_path)] == ["small.bin"]
    (folder / "small.bin").write_bytes(SMALL)
    await offline.pull(model)
    assert whole(tmp_path, model)
    assert not hub.requests


async def test_two_pulls_of_one_model_fetch_it_once(hub: hubs.Server, tmp_path: Path) -> None:
    model = hubs.spec({"big.bin": BIG})
    path = hub.put("big.bin", BIG)
    hub.faults[path] = Fault(stall_at=1_000_000)
    first = asyncio.create_task(downloader(hub, tmp_path, stall_timeout=30.0).pull(model))
    await asyncio.to_thread(hub.stalled.wait, 10)
    waits = asyncio.Event()

    def note(progress: PullProgress) -> None:
        if progress.phase == "waiting":
            waits.set()

    second = asyncio.create_task(downloader(hub, tmp_path).pull(model, note))
    await asyncio.wait_for(waits.wait(), 10)
    hub.faults.clear()
    hub.release.set()
    await asyncio.gather(first, second)
    assert [r.start for r in hub.asked(path)] == [None, 1_000_000], "one pull, once broken off and taken up"
    assert whole(tmp_path, model)


Usage = namedtuple("Usage", "total used free")


async def test_a_full_disk_is_told_before_the_first_byte(
    hub: hubs.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hubs.spec({"big.bin": BIG})
    hub.put("big.bin", BIG)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, pull.HEADROOM + SIZE - 1))
    with pytest.raises(errors.DownloadFailed, match="needs 70 MB of disk space"):
        await downloader(hub, tmp_path).pull(model)
    assert not hub.requests
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, pull.HEADROOM + SIZE))
    await downloader(hub, tmp_path).pull(model)


async def test_a_directory_that_cannot_be_written_is_named(hub: hubs.Server, tmp_path: Path) -> None:
    (tmp_path / "pulled").write_text("in the way")
    with pytest.raises(errors.DownloadFailed, match=f"cannot write to {tmp_path / 'pulled'}: File exists"):
        await downloader(hub, tmp_path).pull(hubs.spec({"big.bin": BIG}))


async def test_the_network_state_is_what_is_known(hub: hubs.Server, tmp_path: Path) -> None:
    assert await downloader(hub, tmp_path).network_state() == "online"
    assert await downloader(hub, tmp_path, offline=True).network_state() == "offline"
    deaf = Downloader(tmp_path, endpoint=NOWHERE, mirrors=(), modelscope=NOWHERE)
    assert await deaf.network_state() in ("unknown", "offline"), "which of the two depends on this machine's interfaces"
