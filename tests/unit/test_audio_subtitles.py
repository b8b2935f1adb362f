"""Subtitles: cues that fit the screen, times that never overlap, and text that cannot break the format."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import subtitles

nasty = st.text(max_size=300) | st.lists(
    st.sampled_from(["-->", "\n\n", "\r", "&", "<b>", "1\n00:00:00,000 --> 00:00:01,000", "好", "，", "word ", "\ud800",
                     "\0", "WEBVTT", "NOTE", "\u2028", "é"]),
    max_size=40,
).map("".join)  # fmt: skip
segments = st.lists(
    st.fixed_dictionaries({"text": nasty, "start": st.floats(-1, 1e5), "end": st.floats(-1, 1e5)}), max_size=8
)
TIME_LINE = {
    "srt": re.compile(r"(\d\d+):([0-5]\d):([0-5]\d),(\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d),(\d{3})"),
    "vtt": re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d)\.(\d{3})"),
}


def segment(text: str, start: float = 0.0, end: float = 1.0) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end}


def letters(text: str) -> str:
    """What is left when white space and what cannot be written are taken out."""
    return "".join(subtitles._clean(text).split())


def parse(kind: str, written: str) -> list[tuple[int, int, list[str]]]:
    """A strict reader: blocks between blank lines, one time line each."""
    blocks = [block.rstrip("\n").split("\n") for block in written.split("\n\n") if block.strip("\n")]
    if kind == "vtt":
        assert blocks.pop(0) == ["WEBVTT"]
    found = []
    for number, block in enumerate(blocks, 1):
        if kind == "srt":
            assert block.pop(0) == str(number)
        match = TIME_LINE[kind].fullmatch(block[0])
        assert match, block
        h, m, s, ms, h2, m2, s2, ms2 = map(int, match.groups())
        assert not any("-->" in line for line in block[1:])
        found.append((((h * 60 + m) * 60 + s) * 1000 + ms, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2, block[1:]))
    return found


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@given(data=segments)
def test_any_text_gives_a_well_formed_file(kind: str, data: list[dict[str, Any]]) -> None:
    written = {"srt": subtitles.srt, "vtt": subtitles.vtt}[kind](data)
    written.encode()
    found = parse(kind, written)
    at = 0
    for start, end, lines in found:
        assert at <= start < end
        at = end
        assert 1 <= len(lines) <= 2
        assert all(line.strip() for line in lines)
        if kind == "vtt":
            assert "<" not in "".join(lines)
    if kind == "vtt":
        shown = "".join(html.unescape("".join(lines)) for _, _, lines in found)
        assert "".join(shown.split()) == "".join(letters(s["text"]) for s in data)


@given(nasty)
def test_lines_fit(text: str) -> None:
    lines = subtitles.wrap(subtitles._clean(text))
    assert all(subtitles._width(line) <= subtitles.LINE for line in lines)
    assert "".join("".join(lines).split()) == letters(text)


@given(segments)
def test_json_keeps_the_segments(data: list[dict[str, Any]]) -> None:
    written = subtitles.to_json(data)
    written.encode()
    found = json.loads(written)["segments"]
    assert [(s["start"], s["end"]) for s in found] == [(s["start"], s["end"]) for s in data]


def test_srt_to_the_letter() -> None:
    assert subtitles.srt([segment("One.", 0, 1.5), segment("Two --> <i>", 3661.001, 3662)]) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n01:01:01,001 --> 01:01:02,000\nTwo → <i>\n"
    )


def test_vtt_to_the_letter() -> None:
    assert subtitles.vtt([segment("Q & A\n\n<b> --> x", 0, 360_000)]) == (
        "WEBVTT\n\n00:00:00.000 --> 100:00:00.000\nQ &amp; A &lt;b&gt; --&gt; x\n"
    )


def test_nothing_is_an_empty_file() -> None:
    assert subtitles.srt([]) == ""
    assert subtitles.vtt([segment(" \n ")]) == "WEBVTT\n"
    assert json.loads(subtitles.to_json([])) == {"segments": []}


def test_a_long_segment_is_shared_out_by_characters() -> None:
    text = "This is a sentence of quite some length that nobody can read at one glance, " * 4
    cues = list(subtitles.cues([segment(text.strip(), 10.0, 30.0)]))
    assert len(cues) == 4
    assert cues[0].start == 10_000
    assert cues[-1].end == 30_000
    for cue in cues:
        share = sum(map(len, cue.lines)) / sum(len(line) for c in cues for line in c.lines)
        assert cue.end - cue.start == pytest.approx(20_000 * share, abs=2)
        assert all(20 < len(line) <= 42 for line in cue.lines), "lines of one cue should be about equally long"


def test_chinese_breaks_between_characters_and_not_before_punctuation() -> None:
    text = "今天天气很好，我们一起去公园散步吧，顺便看看那边新开的花，你觉得怎么样呢？好的，那就这么说定了！"
    lines = subtitles.wrap(text)
    assert len(lines) == 3
    assert "".join(lines) == text
    assert all(len(line) <= 20 for line in lines)
    assert not any(line[0] in "，。！？" for line in lines)


@given(st.lists(st.sampled_from(["字", "字", "字", "字，", "（字", "「字。」", "字……"]), max_size=80).map("".join))
def test_punctuation_stays_with_its_word(text: str) -> None:
    for line in subtitles.wrap(text):
        assert line[0] not in "，。」…"
        assert line[-1] not in "（「"


def test_a_word_longer_than_a_line_is_cut() -> None:
    assert [len(line) for line in subtitles.wrap("x" * 100)] == [42, 42, 16]


def test_letters_keep_their_accents() -> None:
    lines = subtitles.wrap("e\u0301" * 50)
    assert all(line.startswith("e") and line.endswith("\u0301") for line in lines)


@pytest.mark.parametrize("text", ["字", "x", "\u0301", "，"])
def test_a_million_characters_take_no_time(text: str) -> None:
    began = time.perf_counter()
    subtitles.vtt([segment(text * 100_000, 0, 1000)])
    assert time.perf_counter() - began < 10
