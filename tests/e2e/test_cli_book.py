"""Books from the command line: one file per chapter, no chapter rendered twice, resumed after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.cli.book import LEDGER, plan, safe_name
from tests.conftest import Server, Start, command, wait_until


def book(chapters: int, paragraphs: int = 6, word: str = "day") -> str:
    parts = [
        f"Chapter {c}: The {c}. {word}\n\n"
        + "\n\n".join(f"In chapter {c} this is paragraph {p}, which is about a {word}." for p in range(paragraphs))
        for c in range(1, chapters + 1)
    ]
    return "\n\n".join(parts)


def say(file: Path, server: str, *more: str) -> list[str]:
    return ["say", "--file", str(file), "--chapters", "--server", server, "--format", "wav", *more]


def render(file: Path, server: str, *more: str) -> subprocess.CompletedProcess[str]:
    return command(*say(file, server, *more), env=os.environ | {"COLUMNS": "80"})


def jobs(server: Server) -> int:
    return len(server.client.get("/v1/jobs", params={"limit": 500}).json()["data"])


def test_a_book_killed_in_the_middle_goes_on_and_nothing_is_doubled(serve: Start, tmp_path: Path) -> None:
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.1"})
    file = tmp_path / "book.txt"
    file.write_text(book(6))
    folder = tmp_path / "book"
    line = [sys.executable, "-m", "antiphon.cli.main", *say(file, server.base)]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as first:
        wait_until((folder / LEDGER).is_file, "the first chapter is done")
        first.kill()
    files = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
    assert 1 <= len(files) < 6
    # A file that was there just before the ledger knew of it is fetched once more, and is the same.
    done_before = json.loads((folder / LEDGER).read_text())["made"]
    before = {name: (folder / name).stat().st_mtime_ns for name in done_before}
    assert before
    done = render(file, server.base)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in folder.glob("*.wav"))
    assert made == [f"{n:02} - Chapter {n} The {n}. day.wav" for n in range(1, 7)]
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert jobs(server) == 6, "a chapter was made twice"
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


def test_only_what_changed_is_made_again(tone: Server, tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(book(3, 2))
    assert render(file, tone.base).returncode == 0
    before = jobs(tone)
    again = render(file, tone.base)
    assert "3 of them done before" in again.stderr
    assert jobs(tone) == before
    file.write_text(book(3, 2).replace("In chapter 2", "In the second chapter"))
    assert render(file, tone.base).returncode == 0
    assert jobs(tone) == before + 1
    (tmp_path / "book" / "01 - Chapter 1 The 1. day.wav").unlink()
    assert "2 of them done before" in render(file, tone.base).stderr
    assert "3 chapters\n" in render(file, tone.base, "--voice", "high").stderr


def test_a_book_that_does_not_fit_waits_for_room_and_says_so(serve: Start, tmp_path: Path) -> None:
    delay = {"ANTIPHON_TONE_DELAY": "0.05"}
    server = serve("--model", "tone", "--workers", "1", "--max-client-seconds", "0.2", env=delay)
    file = tmp_path / "book.txt"
    file.write_text(book(5))
    done = render(file, server.base)
    assert done.returncode == 0, done.stderr
    assert "of work waiting, and one client may have" in done.stderr
    assert "The book waits and goes on by itself." in done.stderr
    assert len(list((tmp_path / "book").glob("*.wav"))) == 5
    assert jobs(server) == 5


def test_without_a_server_it_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "书.txt"
    file.write_bytes("第一章 风\n天亮了。\n第二章 雨\n下雨了。\n".encode("gb18030"))
    done = render(file, "http://127.0.0.1:1", "--model", "tone", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "书").glob("*.wav")) == ["01 - 第一章 风.wav", "02 - 第二章 雨.wav"]


def test_a_chapter_that_cannot_be_made_is_named(tone: Server, tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(book(2, 1).replace("In chapter 2", "[pause 99s] In chapter 2"))
    done = render(file, tone.base)
    assert done.returncode == 1
    assert "02 - Chapter 2" in done.stderr
    assert "too long" in done.stderr
    assert len(list((tmp_path / "book").glob("*.wav"))) == 1


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for arguments in (["say"], ["say", "Hi", "--chapters"], ["say", "--file", str(tmp_path / "none.txt")]):
        done = command(*arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Chapter 1: A/B", "Chapter 1 A B"),
        ("..", "chapter"),
        ("第一章 风", "第一章 风"),
        ("\x00\u202ea", "a"),
        ("x" * 300, "x" * 100),
    ],
)
def test_titles_are_safe_names(title: str, name: str) -> None:
    assert safe_name(title) == name


def test_a_chapter_longer_than_a_job_is_several(tmp_path: Path) -> None:
    parts = plan("Chapter 1\n" + "A sentence of a very long chapter. " * 60_000, tmp_path, {"format": "mp3"})
    assert [part.title for part in parts] == ["Chapter 1 (1)", "Chapter 1 (2)", "Chapter 1 (3)"]
    assert all(len(part.text) <= 1_000_000 for part in parts)
