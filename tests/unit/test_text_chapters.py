"""Chapters: which lines are headings, which only look like it, and that no word is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.text.chapters import FRONT, read_book, split


def titles(text: str) -> list[str]:
    return [chapter.title for chapter in split(text)]


@pytest.mark.parametrize(
    "heading",
    ["Chapter 1", "CHAPTER IV. The Storm", "Chapter Twenty-One: Home", "Part One", "Prologue", "EPILOGUE", "# A Title",
     "## 第二节 风", "第一章 开端", "第十二回　宝玉初试云雨情", "第3章：风起", "第 5 章 雨", "楔子", "卷一", "尾声", "番外 雪夜",
     "Book II - The Return", "Appendix A", "Chapter 5 The Return"],
)  # fmt: skip
def test_headings(heading: str) -> None:
    text = f"Before it.\n\n{heading}\nWhat it tells.\n"
    assert titles(text) == [FRONT, " ".join(heading.lstrip("# ").split())]


@pytest.mark.parametrize(
    "line",
    ["Chapter 1 was the one she liked best, and so she read it again.", "Part of the reason was money.", "#hashtag",
     "第一章他看了很久，然后睡着了。", "In chapter 3 he dies.", "Introduction to chemistry is dull.", "序幕拉开之后，大家都笑了。"],
)  # fmt: skip
def test_ordinary_lines(line: str) -> None:
    assert len(split(f"Before it.\n\n{line}\nWhat follows.\n")) == 1


def test_a_table_of_contents_is_no_chapter() -> None:
    names = ["Chapter 1", "Chapter 2", "Chapter 3"]
    text = "Contents\n" + "\n".join(names) + "\n\n" + "\n".join(f"{name}\nIt begins.\n" for name in names)
    assert titles(text) == [FRONT, *names]


def test_bare_chinese_headings_end_with_their_line() -> None:
    assert titles("第一章\n他来了\n第二章\n她走了\n") == ["第一章", "第二章"]


def test_the_title_of_a_part_goes_with_its_first_chapter() -> None:
    chapters = split("Part One\n\nChapter 1\nIt begins.\n\nChapter 2\nIt ends.\n")
    assert [chapter.title for chapter in chapters] == ["Chapter 1", "Chapter 2"]
    assert chapters[0].text.startswith("Part One")


def test_without_headings_it_is_one() -> None:
    (only,) = split("  The first line.\nThe second.\n")
    assert only.title == "The first line."
    assert split("") == []


@given(
    st.lists(
        st.sampled_from(["Chapter 1\n", "第一章 风\n", "# Head\n", "Some words.\n", "\n", "Part Two\n", "...\n"]),
        max_size=30,
    ).map("".join)
)
def test_no_word_is_lost(text: str) -> None:
    chapters = split(text)
    assert "".join(chapter.text for chapter in chapters) == text
    assert all(text[chapter.start : chapter.end] == chapter.text for chapter in chapters)
    assert all(chapter.title for chapter in chapters) or not text.strip()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_books_in_the_encodings_of_books(tmp_path: Path, encoding: str) -> None:
    book = tmp_path / "book.txt"
    book.write_bytes("第一章 风\r\n天亮了。\r".encode(encoding))
    assert read_book(book) == "第一章 风\n天亮了。\n"


def test_what_is_no_book(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(errors.InvalidRequest, match="UTF-8"):
        read_book(book)
    with pytest.raises(errors.InvalidRequest, match="cannot read"):
        read_book(tmp_path / "none.txt")
