"""Models of which only the hub knows the files: every listing and every byte is looked at, kills included; and the
way to a machine without a network."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.catalog import files, manifest, transfer
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.catalog.models import MODELS, ModelSpec, is_present
from antiphon.catalog.sources import Repo
from antiphon.domain import errors
from tests import hub as hubs
from tests.conftest import command, wait_until
from tests.hub import Fault

SEED = 25
BIG = 200_000


def contents(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


#: Two repositories; what of them is wanted, and what lies beside it.
MAIN = {"gpt.pth": contents("gpt", BIG), "config.yaml": b"a: 1\n", "deep/er/x.bin": contents("x", 3000)}
BESIDE = {"README.md": b"# read me", "other.bin": contents("other", 5000)}
HELPER = {"model.safetensors": contents("helper", BIG), "config.json": b"{}"}
SPEC = replace(
    hubs.spec({}),
    repos=(
        Repo("team/main", ("gpt.pth", "config.yaml", "deep/**")),
        Repo("team/helper", ("config.json", "model.safetensors"), into="hf_cache/helper", modelscope="iic/helper_16k"),
    ),
)
WANTED = {**MAIN, **{f"hf_cache/helper/{name}": data for name, data in HELPER.items()}}
GPT = "/team/main/resolve/{}/gpt.pth"


def fill(hub: hubs.Server) -> tuple[str, str]:
    """Both repositories; their commits."""
    return hub.put_repo("team/main", MAIN | BESIDE), hub.put_repo("team/helper", HELPER, scope="iic/helper_16k")


@pytest.fixture
def hub() -> Iterator[hubs.Server]:
    with hubs.serving() as server:
        yield server


@pytest.fixture
def mirror() -> Iterator[hubs.Server]:
    with hubs.serving() as server:
        yield server


def downloader(hub: hubs.Server, folder: Path, **options: Any) -> Downloader:
    options = {"mirrors": (), "modelscope": "http://127.0.0.1:9", **options}
    return Downloader(folder, endpoint=hub.url, stall_timeout=1.0, connect_timeout=2.0, **options)


def right(folder: Path, spec: ModelSpec = SPEC, wanted: dict[str, bytes] = WANTED) -> None:
    """Everything wanted is there to the byte, nothing else, and it is known to be right."""
    found = {str(path.relative_to(folder / spec.name)) for path in (folder / spec.name).rglob("*") if path.is_file()}
    assert found - {".lock"} == {*wanted, files.MARKER, manifest.NAME}
    for name, data in wanted.items():
        assert (folder / spec.name / name).read_bytes() == data
    assert is_present(spec, folder)


def nothing_wrong(folder: Path) -> None:
    """What has its final name is right, whatever happened."""
    for name, data in WANTED.items():
        path = folder / SPEC.name / name
        assert not path.exists() or path.read_bytes() == data, name


async def test_all_that_is_wanted_comes_from_the_hub(hub: hubs.Server, tmp_path: Path) -> None:
    main, _ = fill(hub)
    seen: list[PullProgress] = []
    await downloader(hub, tmp_path).pull(SPEC, seen.append)
    right(tmp_path)
    assert seen[0].phase == "listing"
    assert seen[-1].bytes_done == seen[-1].bytes_total == sum(map(len, WANTED.values()))
    assert GPT.format(main) in {request.path for request in hub.requests}, "of one commit, not of a branch that moves"
    asked = len(hub.requests)
    await downloader(hub, tmp_path).pull(SPEC)
    assert len(hub.requests) == asked


async def test_a_file_behind_terms_is_given_to_the_account_that_no_other_host_hears_of(
    hub: hubs.Server, mirror: hubs.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, _ = fill(hub)
    path = GPT.format(main)
    hub.gated[path] = "secret"
    # As the hub does: the bytes of large files are somewhere else.
    hub.redirects[path] = f"{mirror.url}/elsewhere"
    mirror.files["/elsewhere"] = MAIN["gpt.pth"]
    for token in ("", "of another account"):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(errors.DownloadFailed, match=r"401 .*terms.*set HF_TOKEN"):
            await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    assert mirror.asked(path)
    monkeypatch.setenv("HF_TOKEN", "secret")
    await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    right(tmp_path)
    assert "Bearer secret" in {request.authorization for request in hub.asked(path)}
    assert mirror.asked("/elsewhere")
    assert {request.authorization for request in mirror.requests} == {None}


async def test_a_repository_may_be_taken_at_one_commit(hub: hubs.Server, tmp_path: Path) -> None:
    main, _ = fill(hub)
    listing = "/api/models/team/main/revision"
    hub.files[f"{listing}/{main}"] = hub.files[f"{listing}/main"]
    hub.files[f"{listing}/main"] = json.dumps({"id": "team/main", "sha": "f" * 40}).encode()
    pinned = replace(SPEC, repos=(replace(SPEC.repos[0], revision=main), SPEC.repos[1]))
    await downloader(hub, tmp_path).pull(pinned)
    right(tmp_path, pinned)
    assert all(f"/{'f' * 40}" not in request.path for request in hub.requests)


async def test_modelscope_is_asked_when_the_hub_is_silent_and_first_if_told(hub: hubs.Server, tmp_path: Path) -> None:
    fill(hub)
    await Downloader(tmp_path / "a", endpoint="http://127.0.0.1:9", mirrors=(), modelscope=hub.url).pull(SPEC)
    right(tmp_path / "a")
    assert all(request.path.startswith(("/api/v1/", "/models/")) for request in hub.requests)
    with hubs.serving() as other:
        fill(other)
        hub.requests.clear()
        await downloader(other, tmp_path / "b", modelscope=hub.url, first="modelscope").pull(SPEC)
        right(tmp_path / "b")
        assert not other.requests
        assert len(hub.requests) == 2 + len(WANTED)


async def test_a_mirror_gives_what_the_hub_spoils(hub: hubs.Server, mirror: hubs.Server, tmp_path: Path) -> None:
    main, _ = fill(hub)
    fill(mirror)
    hub.faults[GPT.format(main)] = Fault(corrupt_at=150_000)
    await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    right(tmp_path)
    assert mirror.asked(GPT.format(main))


async def test_a_folder_copied_by_hand_is_taken_as_it_is_and_a_pull_looks_at_it(
    hub: hubs.Server, tmp_path: Path
) -> None:
    for name, data in WANTED.items():
        path = tmp_path / SPEC.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert is_present(SPEC, tmp_path)
    (tmp_path / SPEC.name / "gpt.pth").unlink()
    assert not is_present(SPEC, tmp_path)
    fill(hub)
    await downloader(hub, tmp_path).pull(SPEC)
    right(tmp_path)
    assert not any("safetensors" in request.path for request in hub.requests), "what was there was only hashed"


async def test_what_changed_on_the_hub_between_two_pulls_is_listed_anew(hub: hubs.Server, tmp_path: Path) -> None:
    main, _ = fill(hub)
    hub.faults[GPT.format(main)] = Fault(status=404)
    with pytest.raises(errors.DownloadFailed):
        await downloader(hub, tmp_path).pull(SPEC)
    del hub.files[f"/api/models/team/main/tree/{main}?recursive=true"]
    hub.faults.clear()
    changed = {**MAIN, "gpt.pth": contents("new", BIG + 1)}
    hub.put_repo("team/main", changed)
    await downloader(hub, tmp_path).pull(SPEC)
    right(tmp_path, wanted=WANTED | {"gpt.pth": changed["gpt.pth"]})


async def test_without_a_network_it_says_what_to_do(hub: hubs.Server, tmp_path: Path) -> None:
    nowhere = Downloader(tmp_path, endpoint="http://127.0.0.1:9", mirrors=(), modelscope="http://127.0.0.1:9")
    with pytest.raises(errors.Offline, match="On a machine with a network"):
        await nowhere.pull(SPEC)
    with pytest.raises(errors.Offline, match="stay offline"):
        await downloader(hub, tmp_path, offline=True).pull(SPEC)


# A listing that lies


def tree(commit: str) -> str:
    return f"/api/models/team/main/tree/{commit}?recursive=true"


LIES: dict[str, Any] = {
    "no json": b"<html>",
    "no list": b"{}",
    "an escape": [{"type": "file", "oid": "0" * 40, "size": 1, "path": "deep/../../x", "lfs": {"oid": "a" * 64, "size": 1}}],
    "an absolute path": [{"type": "file", "oid": "0" * 40, "size": 1, "path": "deep//../x", "lfs": {"oid": "a" * 64, "size": 1}}],
    "a hidden file": [{"type": "file", "oid": "0" * 40, "size": 1, "path": "deep/.bashrc", "lfs": {"oid": "a" * 64, "size": 1}}],
    "a negative size": [{"type": "file", "oid": "0" * 40, "size": 1, "path": "gpt.pth", "lfs": {"oid": "a" * 64, "size": -1}}],
    "a size that is none": [{"type": "file", "oid": "0" * 40, "size": "1", "path": "gpt.pth"}],
    "a hash that is none": [{"type": "file", "oid": "0" * 40, "size": 1, "path": "gpt.pth", "lfs": {"oid": "x", "size": 1}}],
    "nothing that is wanted": [],
}  # fmt: skip


@pytest.mark.parametrize("what", LIES)
async def test_a_listing_that_lies_is_refused_and_another_believed(
    hub: hubs.Server, mirror: hubs.Server, tmp_path: Path, what: str
) -> None:
    main, _ = fill(hub)
    lie = LIES[what]
    hub.files[tree(main)] = lie if isinstance(lie, bytes) else json.dumps(lie).encode()
    hub.links.clear()
    with pytest.raises(errors.DownloadFailed, match="no hub lists team/main"):
        await downloader(hub, tmp_path).pull(SPEC)
    assert not [path for path in (tmp_path / SPEC.name).rglob("*") if path.is_file() and path.name != ".lock"]
    assert not (tmp_path / "x").exists()
    fill(mirror)
    await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    right(tmp_path)


async def test_a_small_file_is_compared_with_gits_hash(hub: hubs.Server, mirror: hubs.Server, tmp_path: Path) -> None:
    main, _ = fill(hub)
    fill(mirror)
    hub.faults[f"/team/main/resolve/{main}/config.yaml"] = Fault(corrupt_at=2)
    await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    right(tmp_path)


async def test_a_listing_in_a_circle_or_without_end_is_given_up(
    hub: hubs.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, _ = fill(hub)
    hub.redirects[tree(main)] = f"{hub.url}{tree(main)}"
    with pytest.raises(errors.DownloadFailed, match="connection broke"):
        await downloader(hub, tmp_path).pull(SPEC)
    hub.redirects.clear()
    monkeypatch.setattr("antiphon.catalog.repo_listing.LISTING", 1000)
    hub.files[tree(main)] = json.dumps([{"type": "x" * 2000, "path": ""}]).encode()
    with pytest.raises(errors.DownloadFailed, match="sent more than 1000 bytes"):
        await downloader(hub, tmp_path).pull(SPEC)


# Fifty points


def faults() -> list[tuple[str, Fault]]:
    """What goes wrong where, seeded: of the two large files and the small ones."""
    chance = random.Random(SEED)
    large = ["/team/main/resolve/{main}/gpt.pth", "/team/helper/resolve/{helper}/model.safetensors"]
    made: list[tuple[str, Fault]] = []
    for _ in range(5):
        for path in large:
            at = chance.randrange(1, BIG)
            made += [(path, Fault(drop_at=at, drops=chance.choice((1, 99)))), (path, Fault(corrupt_at=at))]
            made += [(path, Fault(stall_at=at)) if chance.random() < 0.5 else (path, Fault(surplus=at))]
    made += [(path, Fault(status=status)) for path in large for status in (403, 500, 503)]
    made += [("/api/models/team/main/revision/main", Fault(status=500)), (large[0], Fault(linked_etag="f" * 64))]
    return made


@pytest.mark.parametrize(("path", "fault"), faults())
async def test_whatever_goes_wrong_on_the_way_the_end_is_right(
    hub: hubs.Server, mirror: hubs.Server, tmp_path: Path, path: str, fault: Fault
) -> None:
    main, helper = fill(hub)
    fill(mirror)
    hub.faults[path.format(main=main, helper=helper)] = fault
    try:
        await downloader(hub, tmp_path).pull(SPEC)
    except errors.DownloadFailed:
        nothing_wrong(tmp_path)
        # Another source, or another day.
        await downloader(hub, tmp_path, mirrors=(mirror.url,)).pull(SPEC)
    right(tmp_path)


PULLER = """
import asyncio, sys
from pathlib import Path
from antiphon.catalog.download import Downloader
from tests.faults.test_catalog_download_repos import SPEC

asyncio.run(Downloader(Path(sys.argv[1]), endpoint=sys.argv[2], mirrors=(), modelscope=sys.argv[2]).pull(SPEC))
"""


def kills() -> list[tuple[str, int]]:
    chance = random.Random(SEED)
    listing = [("/api/models/team/main/revision/main", 5), ("/team/main/resolve/{main}/config.yaml", 2)]
    large = ["/team/main/resolve/{main}/gpt.pth", "/team/helper/resolve/{helper}/model.safetensors"]
    return listing + [(path, chance.randrange(0, BIG)) for path in large for _ in range(5)]


@pytest.mark.parametrize(("path", "offset"), kills())
def test_a_killed_pull_is_finished_by_the_next(tmp_path: Path, path: str, offset: int) -> None:
    root = Path(__file__).parents[2]
    surroundings = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    with hubs.serving() as hub:
        main, helper = fill(hub)
        hub.faults[path.format(main=main, helper=helper)] = Fault(stall_at=offset)
        with subprocess.Popen([sys.executable, "-c", PULLER, str(tmp_path), hub.url], env=surroundings) as child:
            wait_until(hub.stalled.is_set, "the pull has come that far")
            child.send_signal(signal.SIGKILL)
        nothing_wrong(tmp_path)
        hub.faults.clear()
        hub.release.set()
        asyncio.run(downloader(hub, tmp_path).pull(SPEC))
        right(tmp_path)


def test_there_are_fifty_points() -> None:
    assert len(faults()) + len(kills()) >= 50


# To a machine without a network


@pytest.fixture
def exported(hub: hubs.Server, tmp_path: Path) -> Path:
    fill(hub)
    asyncio.run(downloader(hub, tmp_path / "here").pull(SPEC))
    transfer.export(SPEC, tmp_path / "here", tmp_path / "stick")
    return tmp_path / "stick"


def test_a_model_is_carried(exported: Path, tmp_path: Path) -> None:
    transfer.take_in(SPEC, exported, tmp_path / "there")
    right(tmp_path / "there")
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["pulled"]
    # Again over what is there, and from the folder itself.
    transfer.take_in(SPEC, exported / "pulled", tmp_path / "there")
    right(tmp_path / "there")


def test_an_export_is_whole_or_not_there(hub: hubs.Server, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.Conflict, match="exists already"):
        transfer.export(SPEC, tmp_path / "here", exported)
    (tmp_path / "here" / "pulled" / "gpt.pth").unlink()
    with pytest.raises(errors.DownloadFailed, match=r"gpt\.pth.*antiphon pull pulled"):
        transfer.export(SPEC, tmp_path / "here", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def link(path: Path) -> None:
    moved = path.rename(path.with_name("moved"))
    path.symlink_to(moved)


@pytest.mark.parametrize("damage", [cut, flip, longer, link, Path.unlink])
@pytest.mark.parametrize("name", ["gpt.pth", "hf_cache/helper/config.json"])
def test_a_damaged_copy_is_refused_and_changes_nothing(exported: Path, tmp_path: Path, damage: Any, name: str) -> None:
    damage(exported / "pulled" / name)
    with pytest.raises(errors.DownloadFailed, match=Path(name).name):
        transfer.take_in(SPEC, exported, tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_folder_that_is_a_link_is_refused(exported: Path, tmp_path: Path) -> None:
    link(exported / "pulled" / "hf_cache")
    with pytest.raises(errors.DownloadFailed, match="is a link"):
        transfer.take_in(SPEC, exported, tmp_path / "there")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "../../evil"}, "leads|no file below"),
        ({"name": "/etc/passwd"}, "no file below"),
        ({"name": "hf_cache/.ssh"}, "no file below"),
        ({"size": -1}, "bytes"),
        ({"sha256": "zz"}, "SHA-256"),
        ({"name": "other.bin"}, "lacks gpt.pth"),
    ],
)
def test_a_manifest_that_lies_is_refused(exported: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = exported / "pulled" / manifest.NAME
    told = json.loads(path.read_text())
    entry = next(entry for entry in told["files"] if entry["name"] == "gpt.pth")
    entry.update(change)
    path.write_text(json.dumps(told))
    with pytest.raises(errors.DownloadFailed, match=says):
        transfer.take_in(SPEC, exported, tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_a_folder_that_is_no_export_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(errors.DownloadFailed, match="--export"):
        transfer.take_in(SPEC, tmp_path, tmp_path / "there")


def test_a_pinned_model_is_compared_with_the_catalog_and_not_with_what_came_along(tmp_path: Path) -> None:
    data = contents("pinned", 5000)
    spec = hubs.spec({"model.bin": data})
    folder = tmp_path / "here" / "pulled"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(data)
    files.record(folder, spec.files[0])
    transfer.export(spec, tmp_path / "here", tmp_path / "stick")
    forged = b"evil" * 1250
    (tmp_path / "stick" / "pulled" / "model.bin").write_bytes(forged)
    path = tmp_path / "stick" / "pulled" / manifest.NAME
    path.write_text(path.read_text().replace(spec.files[0].sha256, hashlib.sha256(forged).hexdigest()))
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        transfer.take_in(spec, tmp_path / "stick", tmp_path / "there")


# The command, on the real catalog


@pytest.mark.parametrize("name", ["indextts-2.5", "indextts-2"])
def test_the_command_brings_indextts_and_carries_it(hub: hubs.Server, tmp_path: Path, name: str) -> None:
    """The real list of repositories with made-up bytes; the real ids on ModelScope."""
    spec = MODELS[name]
    for repo in spec.repos:
        wanted = {path: contents(f"{repo.hub}/{path}", 3000) for path in repo.take if "*" not in path}
        wanted |= {path.replace("*", "config.json"): b"{}" for path in repo.take if "*" in path}
        hub.put_repo(repo.hub, wanted | {"README.md": b"#"}, scope=repo.modelscope)
    surroundings = {**os.environ, "HF_ENDPOINT": hub.url, "NO_COLOR": "1", "COLUMNS": "200"}

    def run(*arguments: str) -> str:
        ran = command("pull", name, *arguments, env=surroundings)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    said = run("--models-dir", str(tmp_path / "here"), "--export", str(tmp_path / "stick"))
    assert "complete and verified" in said
    assert f"--import {tmp_path / 'stick'}" in said
    assert "already complete" in run("--models-dir", str(tmp_path / "here"))
    surroundings["HF_ENDPOINT"] = "http://127.0.0.1:9"
    assert "complete and verified" in run("--models-dir", str(tmp_path / "there"), "--import", str(tmp_path / "stick"))
    assert is_present(spec, tmp_path / "there")
    folder = tmp_path / "there" / name
    assert (folder / "hf_cache" / "w2v-bert-2.0" / "model.safetensors").stat().st_size == 3000
