"""Long texts are read block by block: nothing is lost at the borders, and no call gets much text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.reading import blocks, markup
from antiphon.reading.said import Said

PARAGRAPH = "Some **bold** words and [a link](https://example.org/a_b) in a paragraph, with `code` at its end.\n\n"
FAR = "\n\n[far]: https://example.org/far"


def test_a_long_text_is_read_as_its_paragraphs_are() -> None:
    assert markup.read(PARAGRAPH * 2000).text == markup.read(PARAGRAPH).text * 2000


@pytest.mark.parametrize(
    ("opening", "closing"), [("```python\n", "\n```"), ("<!--", "-->"), ("<script>", "</script>"), ("~~~\n", "\n~~~")]
)
def test_what_may_hold_blank_lines_is_not_cut(opening: str, closing: str) -> None:
    held = "a **b** c\n\n" * 3000
    text = f"{PARAGRAPH * 100}{opening}{held}{closing}\n\n{PARAGRAPH * 500}"
    ends = [end for _, end in blocks.blocks(text)][:-1]
    start = len(PARAGRAPH) * 100
    assert ends
    assert not any(start < end < start + len(opening) + len(held) for end in ends)
    said = markup.read(text).text
    assert ("a **b** c" in said) is (opening[0] in "`~")


def test_a_link_is_defined_far_behind_it() -> None:
    text = f"See [this][far].\n\n{PARAGRAPH * 1500}"
    assert markup.read(text).text.startswith("See [this][far].")
    assert markup.read(text + FAR).text.startswith("See this.")
    assert not markup.read(text + FAR).text.endswith("far")


def test_no_call_gets_more_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    marks = markup._marks

    def counted(text: str) -> list[Said]:
        sizes.append(len(text))
        return marks(text)

    monkeypatch.setattr(markup, "_marks", counted)
    for text in ("a" * 300_000, "<!--" * 50_000, PARAGRAPH * 2000 + FAR * 3000, "a\n" * 100_000):
        sizes.clear()
        assert markup.plain_text(text) == markup.read(text).text
        sizes.clear()
        markup.plain_text(text)
        assert sum(sizes) >= len(text)
        assert max(sizes) <= blocks.MOST + 2 * blocks.DEFINITIONS


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["\n\n", "a b\n", "```\n", "<!--", "-->", "<script>", "</script>", "x" * 50_000, " "])))
def test_blocks_are_the_text(parts: list[str]) -> None:
    text = "".join(parts) * 3
    found = list(blocks.blocks(text))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(text)
    assert all(end - start <= blocks.MOST for start, end in found)
