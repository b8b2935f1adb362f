"""Retention: which finished files are removed when the output is over its quota."""

from __future__ import annotations

import os
import time
from pathlib import Path

from antiphon.app.retention import trim
from tests.conftest import Start
from tests.e2e.test_voices_api import file, upload

#: What the names of finished files begin with.
PREFIXES = {"speech", "transcript", "image"}


def put(folder: Path, name: str, age: float, nbytes: int = 10) -> None:
    (folder / name).write_bytes(bytes(nbytes))
    os.utime(folder / name, (time.time() - age,) * 2)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_oldest_go_until_it_fits(tmp_path: Path) -> None:
    for age in (100, 200, 300, 400):
        put(tmp_path, f"speech_{age}.wav", age)
    assert trim(tmp_path, 25, (), PREFIXES) == (2, 20)
    assert left(tmp_path) == {"speech_100.wav", "speech_200.wav"}
    assert trim(tmp_path, 25, (), PREFIXES) == (0, 0)


def test_jobs_that_run_parts_and_what_was_just_told_of_stay(tmp_path: Path) -> None:
    put(tmp_path, "speech_runs.wav", 500)
    put(tmp_path, ".speech_x.wav.part", 400)
    put(tmp_path, "notes.txt", 400)
    put(tmp_path, "speech_new.wav", 1)
    put(tmp_path, "speech_old.wav", 300)
    assert trim(tmp_path, 0, {"runs"}, PREFIXES) == (1, 10)
    assert left(tmp_path) == {"speech_runs.wav", ".speech_x.wav.part", "notes.txt", "speech_new.wav"}


def test_no_folder_is_no_file(tmp_path: Path) -> None:
    assert trim(tmp_path / "none", 0, (), PREFIXES) == (0, 0)


def test_images_of_a_job_that_runs_stay(tmp_path: Path) -> None:
    for job in ("runs", "done"):
        for number in (1, 2):
            path = tmp_path / f"image_{job}_{number}.png"
            path.write_bytes(bytes(10))
            os.utime(path, (time.time() - 500,) * 2)
    assert trim(tmp_path, 0, {"runs"}, {"image"}) == (2, 20)
    assert {path.name for path in tmp_path.iterdir()} == {"image_runs_1.png", "image_runs_2.png"}


def test_voices_over_their_quota_are_told_and_none_is_removed(serve: Start) -> None:
    server = serve("--model", "tone", "--voices-bytes", "1000")
    assert upload(server, "Anna").status_code == 200

    refused = upload(server, "Ben", file(700.0))
    assert refused.status_code == 409
    assert "--voices-bytes" in refused.text
    names = [voice["name"] for voice in server.client.get("/v1/audio/voices").json()["uploaded_voices"]]
    assert names == ["Anna"]
