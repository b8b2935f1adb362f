"""The catalog: what it lists, when a file counts as present, which places are asked, how progress is counted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.catalog import files
from antiphon.catalog.models import MODELS, ModelSpec, is_present, missing, missing_modules
from antiphon.catalog.progress import Meter, PullProgress
from antiphon.catalog.sources import Endpoints, Hub, ModelScope, PackageIndex, Url, attempts
from tests.hub import file_spec, spec

DATA = b"weights" * 100


@pytest.fixture
def model() -> ModelSpec:
    return spec({"a.bin": DATA, "b.bin": DATA[1:]})


def test_every_file_is_pinned_and_has_more_than_one_source() -> None:
    for name, entry in MODELS.items():
        assert entry.name == name
        assert entry.licence
        for file in entry.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.size > 0
            assert "/" not in file.name
            assert len(file.sources) > 1
            assert any(isinstance(source, PackageIndex) for source in file.sources)


def test_what_the_floor_needs_is_nothing_but_its_package() -> None:
    for name in ("tone", "espeak"):
        assert not MODELS[name].files
        assert missing_modules(MODELS[name]) == []
    ranks = {name: entry.rank for name, entry in MODELS.items() if entry.kind == "speech"}
    assert ranks["tone"] == 0 < ranks["espeak"] < ranks["kokoro"]


def test_missing_modules_names_those_that_are_not_installed(model: ModelSpec) -> None:
    assert missing_modules(replace(model, modules=("json", "no_such_module_here"))) == ["no_such_module_here"]


def test_a_file_is_present_once_it_was_verified_and_not_touched_since(model: ModelSpec, tmp_path: Path) -> None:
    folder = tmp_path / model.name
    first, second = model.files
    assert missing(model, tmp_path) == [first, second]
    folder.mkdir()
    (folder / first.name).write_bytes(DATA)
    assert missing(model, tmp_path) == [first, second], "right size, but nobody hashed it"
    files.record(folder, first)
    assert missing(model, tmp_path) == [second]
    (folder / second.name).write_bytes(DATA[1:])
    files.record(folder, second)
    assert is_present(model, tmp_path)
    (folder / first.name).write_bytes(DATA.upper())
    assert missing(model, tmp_path) == [first], "same size, other bytes, later time"
    (folder / second.name).write_bytes(DATA[2:])
    assert missing(model, tmp_path) == [first, second]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a.bin": 3}', '{"a.bin": null}'])
def test_a_broken_marker_means_unverified(model: ModelSpec, tmp_path: Path, content: str) -> None:
    folder = tmp_path / model.name
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    (folder / files.MARKER).write_text(content)
    assert model.files[0] in missing(model, tmp_path)
    files.record(folder, model.files[0])
    assert missing(model, tmp_path) == [model.files[1]]


def test_a_marker_of_another_release_does_not_count(model: ModelSpec, tmp_path: Path) -> None:
    folder = tmp_path / model.name
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    files.record(folder, model.files[0])
    newer = spec({"a.bin": DATA[::-1], "b.bin": DATA[1:]})
    assert newer.files[0] in missing(newer, tmp_path)


async def test_a_part_is_published_whole_and_noted(model: ModelSpec, tmp_path: Path) -> None:
    file = model.files[0]
    files.part_of(tmp_path, file).write_bytes(DATA)
    assert await files.digest_of(files.part_of(tmp_path, file)) == file.sha256
    files.publish(tmp_path, file)
    assert (tmp_path / file.name).read_bytes() == DATA
    assert not files.part_of(tmp_path, file).exists()
    assert list(json.loads((tmp_path / files.MARKER).read_text())) == [file.name]


def test_places_are_asked_in_order_and_mirrors_after_the_hub() -> None:
    package = PackageIndex(())
    file = file_spec(
        "x y.bin", b"x", (Url("http://a/x"), Hub("o/r", "d/x y.bin", "abc"), ModelScope("o/r", "x"), package)
    )
    places = attempts(file, Endpoints(("http://hub", "http://mirror"), "http://scope"))
    assert [place.where for place in places] == [
        "http://a/x",
        "http://hub/o/r/resolve/abc/d/x%20y.bin",
        "http://mirror/o/r/resolve/abc/d/x%20y.bin",
        "http://scope/models/o/r/resolve/master/x",
        package,
    ]
    assert [place.label for place in places] == ["a", "hub", "mirror", "scope", "package index"]


def test_the_hub_is_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mine/")
    assert Endpoints.of(None, None, None).hubs == ("http://mine", "https://hf-mirror.com")
    assert Endpoints.of("http://given", (), None).hubs == ("http://given",)
    assert Endpoints.of("https://hf-mirror.com/", None, None).hubs == ("https://hf-mirror.com",)
    monkeypatch.delenv("HF_ENDPOINT")
    assert Endpoints.of(None, None, None) == Endpoints()


def test_progress_counts_the_model_and_judges_by_the_last_seconds() -> None:
    now, seen = [0.0], list[PullProgress]()
    meter = Meter(10_000, seen.append, lambda: now[0])
    meter.skip(1000)
    meter.phase("downloading", "a.bin", "hub")
    meter.at(2000)
    assert (seen[-1].bytes_done, seen[-1].eta) == (1000, None)
    for second in range(1, 21):
        now[0] = float(second)
        meter.fresh(100)
    assert seen[-1] == PullProgress("a.bin", "hub", 5000, 10_000, pytest.approx(50.0), "downloading")
    for second in range(21, 41):
        now[0] = float(second)
        meter.fresh(200)
    assert seen[-1].eta == pytest.approx(1000 / 200), "the slow start is forgotten"
    meter.phase("verifying", "a.bin", "hub")
    assert seen[-1].eta is None
    meter.finish(9000)
    assert seen[-1].bytes_done == 10_000


def test_progress_is_told_five_times_a_second_at_most() -> None:
    now, seen = [0.0], list[PullProgress]()
    meter = Meter(10_000, seen.append, lambda: now[0])
    meter.phase("downloading", "a.bin", "hub")
    for _ in range(100):
        now[0] += 0.01
        meter.fresh(1)
    assert len(seen) == 1 + 5


def test_progress_never_exceeds_the_whole() -> None:
    seen = list[PullProgress]()
    meter = Meter(100, seen.append)
    meter.at(90)
    meter.phase("downloading")
    meter.fresh(500)
    meter.phase("verifying")
    assert seen[-1].bytes_done == 100
