"""Recordings for transcription: which are removed when room is needed, and which stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.transcription.recordings import GRACE, KEEP, KEEP_PARTIAL, RecordingStore
from tests import parts

NOW = 1_000_000.0


def stored(folder: Path, max_bytes: int = 100) -> RecordingStore:
    threads = Threads(1)
    store = parts.recordings(folder, threads, max_bytes=max_bytes)
    store.threads.close()
    for name, age in (("old", 5000), ("older", 9000), ("new", 10), ("needed", 99_000)):
        put(store, f"{name}.pcm", age)
    return store


def put(store: RecordingStore, name: str, age: float) -> None:
    (store.folder / name).write_bytes(bytes(30))
    os.utime(store.folder / name, (NOW - age,) * 2)


def left(store: RecordingStore) -> set[str]:
    return {path.stem for path in store.folder.iterdir()}


def test_the_longest_unused_goes_first_and_only_until_there_is_room(tmp_path: Path) -> None:
    store = stored(tmp_path)
    store.make_room({"needed"}, NOW)
    assert left(store) == {"old", "new", "needed"}
    store.make_room({"needed"}, NOW)
    assert left(store) == {"old", "new", "needed"}


def test_what_jobs_need_and_what_just_came_stays(tmp_path: Path) -> None:
    store = stored(tmp_path, max_bytes=50)
    with pytest.raises(errors.StorageFull, match="--uploads-bytes"):
        store.make_room({"needed"}, NOW)
    assert left(store) == {"new", "needed"}
    store.make_room({"needed"}, NOW + GRACE)
    assert left(store) == {"needed"}


def test_the_sweep_takes_what_nobody_used_for_a_day_and_torn_pieces(tmp_path: Path) -> None:
    store = stored(tmp_path)
    put(store, "torn.part", KEEP_PARTIAL + 1)
    put(store, "tearing.part", 1)
    put(store, "ancient.pcm", KEEP + 1)
    assert store.sweep({"needed"}, NOW) == 2
    assert left(store) == {"old", "older", "new", "needed", "tearing"}
