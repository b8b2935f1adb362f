"""Pauses and SSML: what is understood, what is refused and how it is said, and that nothing else can happen."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.text.markup import has_markup, parse
from antiphon.text.spans import MAX_PAUSE, MAX_PAUSES, Span


def spoken(text: str, ssml: bool | None = None) -> str:
    return " ".join("".join(span.text for span in parse(text, ssml=ssml)).split())


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("[pause]", 0.5),
        ("[Pause 1.5s]", 1.5),
        ("[pause 300ms]", 0.3),
        ("[pause: 2 seconds]", 2.0),
        ("[ PAUSE 2 ]", 2.0),
        ("【停顿 0.5秒】", 0.5),
        ("[停顿300毫秒]", 0.3),
        ("【暂停】", 0.5),
        ("[pause 10s]", 10.0),
        ("[pause 0s]", 0.0),
    ],
)
def test_pauses_as_people_write_them(mark: str, seconds: float) -> None:
    assert has_markup(f"One{mark}two")
    assert parse(f"One{mark}two") == [Span("One", seconds), Span("two")]


@pytest.mark.parametrize(
    "text", ["Press the [pause button].", "[pausing 1s]", "(pause 1s)", "[pause -1s]", "pause 1s", "a < b", "<b>x</b>"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert not has_markup(text)
    assert parse(text) == [Span(text)]


def test_pauses_in_a_row_add_up_and_one_at_the_beginning_stands_alone() -> None:
    assert parse("[pause 1s][pause 2s]Now.[pause 1s] [pause 1s]") == [Span("", 3.0), Span("Now. ", 2.0)]


def test_pauses_have_bounds() -> None:
    with pytest.raises(errors.InvalidText, match="too long"):
        parse(f"Wait [pause {MAX_PAUSE + 0.1}s] for it")
    many = int(MAX_PAUSES / MAX_PAUSE)
    assert len(parse("so [pause 10s] " * many)) == many
    with pytest.raises(errors.InvalidText, match="together"):
        parse("so [pause 10s] " * (many + 1))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("Hello <break time='500ms'/>there", [Span("Hello ", 0.5), Span("there")]),
        ("Hello <break time='1.5s'/>there", [Span("Hello ", 1.5), Span("there")]),
        ("Hello <break/>there", [Span("Hello ", 0.4), Span("there")]),
        ("Hello <break strength='x-strong'/>there", [Span("Hello ", 1.2), Span("there")]),
        ("a <prosody rate='slow'>b</prosody> c", [Span("a "), Span("b", 0.0, 0.75), Span(" c")]),
        ("<prosody rate='80%'>b</prosody>", [Span("b", 0.0, 0.8)]),
        ("<prosody rate='+20%'>b</prosody>", [Span("b", 0.0, 1.2)]),
        ("<prosody rate='0.5'><prosody rate='0.5'>b</prosody></prosody>", [Span("b", 0.0, 0.25)]),
        ("the <sub alias='World Wide Web'>WWW</sub>!", [Span("the World Wide Web!")]),
        ("<p>One.</p><p>Two.</p>", [Span("One.\n\nTwo.\n\n")]),
        ("Tom &amp; Jerry &lt;3 &#20320;", [Span("Tom & Jerry <3 你")]),
    ],
)
def test_the_part_of_ssml(inner: str, expected: list[Span]) -> None:
    assert parse(f"<speak>{inner}</speak>") == expected


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("digits", "2024", "2 0 2 4"),
        ("telephone", "+86 555-1234", "8 6, 5 5 5, 1 2 3 4"),
        ("characters", "AI", "A I"),
        ("spell-out", "你好", "你 好"),
        ("cardinal", "2024", "2024"),
    ],
)
def test_say_as(kind: str, text: str, said: str) -> None:
    assert spoken(f"<speak><say-as interpret-as='{kind}'>{text}</say-as></speak>") == said


def test_whose_text_is_ssml() -> None:
    wrapped = "<speak>Hello <break/> there</speak>"
    assert spoken(wrapped) == spoken(wrapped, True) == "Hello there"
    assert parse(wrapped, ssml=False) == [Span(wrapped)]
    assert len(parse('\n<?xml version="1.0" encoding="UTF-16"?>\n<speak version="1.1" xml:lang="en">Hi</speak>')) == 1
    with pytest.raises(errors.InvalidText, match="wrapped in <speak>"):
        parse("Hello", ssml=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<speak>a\n<audio src='http://x/y.wav'/></speak>", "line 2: <audio> is not understood"),
        ("<speak>a & b</speak>", "&amp;"),
        ("<speak>a", "wrapped in <speak>"),
        ("<speak><p>a</speak>", "line 1"),
        ("<speak><break time='soon'/></speak>", "500ms"),
        ("<speak><break time='11s'/></speak>", "too long"),
        ("<speak><break strength='mighty'/></speak>", "x-strong"),
        ("<speak><prosody pitch='high'>a</prosody></speak>", "prosody has no pitch"),
        ("<speak><prosody rate='warp'>a</prosody></speak>", "x-slow"),
        ("<speak><prosody rate='9'>a</prosody></speak>", "between 0.25"),
        ("<speak><sub>a</sub></speak>", "alias"),
        ("<speak><say-as interpret-as='date'>a</say-as></speak>", "digits"),
        ("<speak>" + "<p>" * 30 + "a" + "</p>" * 30 + "</speak>", "nested"),
    ],
)
def test_refusals_say_what_and_where(text: str, says: str) -> None:
    with pytest.raises(errors.InvalidText, match=says):
        parse(text, ssml=True)


@pytest.mark.parametrize("text", ["<speak>unfinished", "<speak>a</speak> and more >", "<speaker>a</speaker>"])
def test_what_only_begins_like_ssml_is_read_out(text: str) -> None:
    assert parse(text) == [Span(text)]


def test_nothing_is_ever_declared_or_expanded() -> None:
    laughs = '<!DOCTYPE speak [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    for text in (f"<speak>{laughs}</speak>", "<speak>&b;</speak>", "<speak><?php x ?>a</speak>"):
        with pytest.raises(errors.InvalidText):
            parse(text)
    # Before the root it is no SSML at all, and read out as it stands.
    assert parse(f"{laughs}<speak>&b;</speak>") == [Span(f"{laughs}<speak>&b;</speak>")]
    with pytest.raises(errors.InvalidText):
        parse(f'<?xml version="1.0"?>{laughs}<speak>&b;</speak>', ssml=True)


PIECES = st.sampled_from(
    ["<speak>", "</speak>", "<p>", "</p>", "<break/>", "<break time='1s'/>", "<prosody rate='fast'>", "</prosody>", "&amp;",
     "&#0;", "<!--", "-->", "<![CDATA[", "]]>", "[pause 1s]", "【停顿】", "[", "hello ", "你好。", "\x00", "\ud800", "\n"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
@example("<speak>")
@example("<speak></speak>")
@example("<speak\x00>")
def test_anything_is_either_read_or_refused(text: str) -> None:
    try:
        spans = parse(text)
    except errors.InvalidText:
        return
    assert spans
    assert all(0 <= span.pause <= MAX_PAUSES and 0.25 <= span.rate <= 4 for span in spans)
    if not has_markup(text):
        assert spans == [Span(text)]


def test_a_million_characters_are_no_matter() -> None:
    text = "<speak>" + "<p>A short paragraph.<break time='10ms'/></p>" * 20_000 + "</speak>"
    assert len(parse(text)) == 20_000
    for text in (
        "[" * 1_000_000,
        "[pause" + " " * 1_000_000,
        "[pause 1" + " " * 1_000_000,
        "[pause " + "1" * 1_000_000,
    ):
        assert len(parse(text)) == 1
        assert not has_markup(f"<speak>{text}")
