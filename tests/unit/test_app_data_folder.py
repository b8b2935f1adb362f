"""The data directory: what is refused before anything is written to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.app import data_folder
from antiphon.app.data_folder import DataFolder
from antiphon.cli import exit_codes
from antiphon.domain import errors
from antiphon.settings import load

FOLDERS = ("output", "cache", "voices", "uploads")
DIGEST = "ab" * 32


def check(data: Path, **flags: object) -> None:
    data_folder.check(load(flags={"data_dir": data, **flags}))


def test_a_new_folder_is_fine(tmp_path: Path) -> None:
    check(tmp_path / "new")
    check(tmp_path)
    (tmp_path / "server-name").write_text("me")
    (tmp_path / "cache_hub" / "models" / "kokoro").mkdir(parents=True)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "README").write_text("of the operator")
    check(tmp_path)


@pytest.mark.parametrize("name", ["", *FOLDERS])
def test_a_file_in_the_place_of_a_folder(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / name if name else tmp_path / "data"
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(errors.FolderUnusable, match="is a file where a folder belongs"):
        check(tmp_path / "data")


@pytest.mark.parametrize("name", ["antiphon.db", "antiphon.db-wal"])
def test_a_folder_in_the_place_of_the_database(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(errors.FolderUnusable, match="is a folder where the database belongs"):
        check(tmp_path)


@pytest.mark.parametrize("name", [*FOLDERS, "antiphon.db", "antiphon.db-wal"])
def test_a_symbolic_link(name: str, tmp_path: Path) -> None:
    for there in ("dangling", "folder"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(tmp_path / there)
        with pytest.raises(errors.FolderUnusable, match="is a symbolic link"):
            check(tmp_path / "data")
        (tmp_path / "data" / name).unlink()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """As systemd makes it for `DynamicUser=`."""
    (tmp_path / "private").mkdir()
    (tmp_path / "data").symlink_to("private")
    check(tmp_path / "data")


@pytest.mark.parametrize(
    "trace", [f"output/speech_{'0' * 26}.wav", f"voices/{DIGEST}.wav", f"uploads/{DIGEST}.pcm", f"cache/ab/{DIGEST}"]
)
@pytest.mark.parametrize("empty", [False, True])
def test_what_a_server_left_without_its_database(trace: str, empty: bool, tmp_path: Path) -> None:
    (tmp_path / trace).parent.mkdir(parents=True)
    (tmp_path / trace).write_text("")
    if empty:
        (tmp_path / "antiphon.db").write_text("")
    with pytest.raises(errors.DatabaseMissing, match="--new-database"):
        check(tmp_path)
    check(tmp_path, new_database=True)
    check(tmp_path, store="postgresql://elsewhere/antiphon")
    (tmp_path / "antiphon.db").write_text("something")
    check(tmp_path)


async def test_a_folder_remembers_that_it_had_a_database(tmp_path: Path) -> None:
    folder = DataFolder(load(flags={"data_dir": tmp_path}))
    await folder.start()
    await folder.stop()
    check(tmp_path)  # The first start may have failed before there was one.
    await folder.start()
    folder.remember_database()
    (tmp_path / "antiphon.db").write_text("something")
    with pytest.raises(errors.FolderInUse, match="already uses"):
        await DataFolder(load(flags={"data_dir": tmp_path})).start()
    await folder.stop()
    (tmp_path / "antiphon.db").unlink()
    with pytest.raises(errors.DatabaseMissing, match="a server has run in it"):
        check(tmp_path)


@pytest.fixture
def strangers() -> Iterator[Path]:
    """A folder of root's, for a process that is not root."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    os.seteuid(65534)
    yield folder
    os.seteuid(0)
    shutil.rmtree(folder)


def test_a_folder_of_another_user(strangers: Path) -> None:
    with pytest.raises(errors.FolderUnusable, match=r"cannot be written by this user .*; it belongs to root"):
        check(strangers)


def test_a_database_of_another_user(strangers: Path) -> None:
    os.seteuid(0)
    strangers.chmod(0o777)
    (strangers / "antiphon.db").write_text("something")
    (strangers / "antiphon.db").chmod(0o644)
    os.seteuid(65534)
    with pytest.raises(errors.FolderUnusable, match=r"antiphon.db cannot be read and written by this user"):
        check(strangers)


def test_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder.time, "time", lambda: 86400.0)
    with pytest.raises(errors.ClockWrong, match="1970-01-02"):
        check(tmp_path)


def test_exit_codes_differ_and_an_error_of_the_system_is_a_sentence(tmp_path: Path) -> None:
    starts = [code for name, code in exit_codes.BY_ERROR.items() if not name.startswith("store_")]
    assert len(starts) == len(set(starts))
    assert not {0, 1, 2, exit_codes.CANNOT_LOAD} & set(exit_codes.BY_ERROR.values())
    (tmp_path / "lock").mkdir()
    with pytest.raises(OSError, match="lock") as caught:
        (tmp_path / "lock").open("w")
    said = exit_codes.translated(caught.value)
    assert said is not None
    assert exit_codes.of(said) == 10
    assert str(tmp_path / "lock") in said.message
    assert exit_codes.translated(OSError("no file")) is None
    assert exit_codes.translated(ValueError("ours")) is None
