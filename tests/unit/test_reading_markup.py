"""Markup: what is silent, what becomes a pause, and what is no markup."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.reading import markup
from tests.readings import word

SAID = [
    ("**Bold** and *italic* and ***both***", "Bold and italic and both"),
    ("**bold *it***, _it_ and __bold__", "bold it, it and bold"),
    ("It is ~~old~~ new.", "It is old new."),
    ("他说**重点**在这里", "他说重点在这里"),
    ("# Heading\ntext", "Heading\n\ntext"),
    ("## Heading ##\n\ntext", "Heading\n\ntext"),
    ("Heading\n=====\ntext", "Heading\n\ntext"),
    ("one\n\n---\n\ntwo", "one\n\n\n\ntwo"),
    ("- one\n* two\n+ three\n• four", "one\ntwo\nthree\nfour"),
    ("- [ ] one\n- [x] two", "one\ntwo"),
    ("1. one\n2. [x] two", "1. one\n2. two"),
    ("> said\n> > before", "said\nbefore"),
    ("> # Heading\n> - item", "Heading\n\nitem"),
    ("| A | B |\n|---|:-:|\n| 1 | 2 |\n\nend", "A, B\n1, 2\n\nend"),
    ('See [the docs](https://example.org/a_b "Title").', "See the docs."),
    ("![A cat](cat.png) sits.", "A cat sits."),
    ("[text][ref] and [ref]\n\n[ref]: https://example.org", "text and ref\n\n"),
    ("See <https://example.org/a>.", "See https://example.org/a."),
    ("That is the end.[12] Next[1][2], last.[^a]", "That is the end. Next, last."),
    ("It is so [12].", "It is so."),
    ("Word[^1]\n\n[^1]: A note.", "Word\n\nA note."),
    ("Call `a*b*c` and ``x ` y``.", "Call a*b*c and x ` y."),
    ("```python\nx = **2**\n```\nafter", "x = **2**\nafter"),
    ("\\*not\\* emphasis", "*not* emphasis"),
    ("*sighs* Fine.", "Fine."),
    ("Well [laugh] yes [clears throat].", "Well yes."),
    ("*very* good", "very good"),
    ("Don't *cry* now. *sighs deeply* Well.", "Don't cry now. Well."),
    ("Price*: 5 (*without* tax)", "Price*: 5 (without tax)"),
    ("See http://example.org/_a_b_/c *now*", "See http://example.org/_a_b_/c now"),
    ("<p>Hello <b class='x'>you</b> &amp; me</p>", "\n\nHello you & me\n\n"),
    ("one<br/>two", "one\ntwo"),
    ("<tr><td>a</td><td>b</td></tr>", "\na, b"),
    ("a<!-- <b> -->b<script>if (1 < 2) {}</script>c", "abc"),
    ("&quot;It&#39;s&quot;&nbsp;so", '"It\'s" so'),
    ("Hi 😀 there! 👍🏽", "Hi there!"),
    ("1️⃣ first", "1 first"),
    ("good :-) yes <3", "good yes "),
]
LEFT = [
    "2 * 3 * 4",
    "2*3*4 = 24",
    "a*b*c",
    "a < b and c > d",
    "List<T> and <speak>x</speak><break time='1s'/>",
    "snake_case_name and _private and __init__.py",
    "C# and F#",
    "#1 and #tag",
    "[sic]",
    "[Kokoro](/kˈOkəɹO/) and [word](+1)",
    "[pause 0.5s] [voice:bob]",
    "a[12] = b[3](x)",
    "as in [12]",
    "f**k this s**t",
    "*args and **kwargs",
    "5* hotel, 4* hotel",
    "____ and ****",
    ">5 is more",
    "| no table |",
    "a ` b",
    "&foo; AT&T",
    "    four blanks are no code",
    "5 - 3 = 2\n+ 4 - 1",
    "~50 and ~60",
    "<!-- not closed",
    "<script> not closed",
    "[a](b",
    "(c) 3:2 x=y; D: 8)",
    "I said: (no)",
]


@pytest.mark.parametrize(("text", "right"), SAID)
def test_markup_is_silent_or_a_pause(text: str, right: str) -> None:
    assert markup.plain_text(text) == right
    assert markup.read(text).text == right


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_markup_beyond_doubt_is_left(text: str) -> None:
    assert markup.read(text).text == text


@pytest.mark.parametrize("stage", range(len(markup.STAGES)))
def test_every_rule_is_needed(stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for rule in markup.STAGES[stage]:
        rest = tuple(each for each in markup.STAGES[stage] if each is not rule)
        with monkeypatch.context() as patched:
            patched.setattr(markup, "STAGES", (*markup.STAGES[:stage], rest, *markup.STAGES[stage + 1 :]))
            assert any(markup.read(text).text != right for text, right in SAID), rule


def test_words_keep_their_places() -> None:
    reading = markup.read("# A\n> **bold** [link](x.y) &amp; `code`")
    assert [word(reading, said) for said in ("A", "bold", "link", "&", "code")] == [
        "A",
        "bold",
        "link",
        "&amp;",
        "code",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "*",
                "**",
                "_",
                "~~",
                "`",
                "```",
                "[",
                "]",
                "(",
                ")",
                "<",
                ">",
                "#",
                "|",
                "-",
                "+",
                "1.",
                "\\",
                "!",
                "&",
                ";",
                ":)",
                "a",
                "b",
                "1",
                "x.y",
                "<b>",
                "</p>",
                "<!--",
                "-->",
                "\n",
            ]
        )
        | st.sampled_from(" \n"),
        max_size=20,
    ).map("".join)
)
def test_any_text_has_a_reading(text: str) -> None:
    reading = markup.read(text)
    assert reading.written == text
    assert len(reading.starts) == len(reading.ends) == len(reading.text)
    assert sorted(reading.starts) == list(reading.starts)


HOSTILE = [
    "*", "[", "<", "`", "> ", "*a **b ", "[a](", "[](x (", "&amp;", "_a_ ", "~~a", "<!--", "<script>", "```\n",
    "| a ", "|-", "# a\n", "- ", "\\", "[^1]:", "[1]", "**`", "`a", "a* ", "<a ", "*sighs ", "😀", "]", "[[a]",
    "[a]: x\n", "&#", "=\n", ":) ",
]  # fmt: skip


def seconds(text: str) -> float:
    started = time.process_time()
    markup.read(text)
    return time.process_time() - started


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_text(unit: str) -> None:
    short, long = unit * (1_500 // len(unit)), unit * (12_000 // len(unit))
    # Eight times the text: quadratic work takes sixty-four times as long, however often it is measured.
    assert any(seconds(long) < 32 * max(seconds(short), 0.003) for _ in range(4))


def test_memory_grows_with_the_text() -> None:
    text = "*a* " * 2_000
    tracemalloc.start()
    markup.read(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 400 * len(text)
