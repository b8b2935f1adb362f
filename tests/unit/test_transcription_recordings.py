"""Recordings for transcription: which go when room is wanted, and which stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.transcription.recordings import FRESH, KEPT, STALE, RecordingStore
from tests import parts

NOW = 1_000_000.0


def uploads(folder: Path, most: int = 100) -> RecordingStore:
    threads = Threads(1)
    made = parts.recordings(folder, threads, most=most)
    made.threads.close()
    for name, age in (("old", 5000), ("older", 9000), ("new", 10), ("needed", 99_000)):
        put(made, f"{name}.pcm", age)
    return made


def put(made: RecordingStore, name: str, age: float) -> None:
    (made.folder / name).write_bytes(bytes(30))
    os.utime(made.folder / name, (NOW - age,) * 2)


def left(made: RecordingStore) -> set[str]:
    return {path.stem for path in made.folder.iterdir()}


def test_the_longest_unused_goes_first_and_only_until_there_is_room(tmp_path: Path) -> None:
    made = uploads(tmp_path)
    made.make_room({"needed"}, NOW)
    assert left(made) == {"old", "new", "needed"}
    made.make_room({"needed"}, NOW)
    assert left(made) == {"old", "new", "needed"}


def test_what_jobs_need_and_what_just_came_stays(tmp_path: Path) -> None:
    made = uploads(tmp_path, most=50)
    with pytest.raises(errors.StorageFull, match="--uploads-bytes"):
        made.make_room({"needed"}, NOW)
    assert left(made) == {"new", "needed"}
    made.make_room({"needed"}, NOW + FRESH)
    assert left(made) == {"needed"}


def test_the_sweep_takes_what_nobody_used_for_a_day_and_torn_pieces(tmp_path: Path) -> None:
    made = uploads(tmp_path)
    put(made, "torn.part", STALE + 1)
    put(made, "tearing.part", 1)
    put(made, "ancient.pcm", KEPT + 1)
    assert made.sweep({"needed"}, NOW) == 2
    assert left(made) == {"old", "older", "new", "needed", "tearing"}
