"""Client values: any text gives a value that the rest of the server can use, or one of our errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.api import replies
from antiphon.domain import client_values, errors
from antiphon.domain.engine import Capabilities, Voice
from antiphon.domain.request import parse_deadline, parse_emotion
from antiphon.speech import voice_selection
from antiphon.testing.speech import UNSAYABLE

P = ParamSpec("P")
T = TypeVar("T")

#: Any text at all, lone surrogates among it, and texts that look like what is asked for.
ANYTHING = st.one_of(
    st.text(st.characters(), max_size=60),
    st.text("0123456789²٣①eE+-._ ", max_size=400),
    st.text("htps:/[]@#?%.:①℀\x00\n\ud800 ", max_size=60),
)
MIXER = Capabilities(
    "speech", 24000, "1", voices=(Voice("low", "Low", ()), Voice("high", "High", ())), default_voice="low", mixing=True
)
NUMBERS = st.one_of(st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.booleans(), st.none(), st.text())


def ours(param: str, reader: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | None:
    """What a reader makes of its arguments; None for a refusal, which names the field. What else it raises is a fault."""
    try:
        return reader(*args, **named)
    except errors.InvalidRequest as e:
        refusal = e
    assert refusal.param == param
    return None


@given(ANYTHING)
@example("²")
@example("٣")
@example("9" * 5000)
def test_whole_numbers(text: str) -> None:
    found = ours("x", client_values.whole_number, text, "x")
    if found is None:
        return
    assert str(found) == text.lstrip("0") or found == 0
    assert 0 <= found < 2**63


@given(ANYTHING)
@example("²")
def test_a_declared_length_is_a_number(text: str) -> None:
    assert 0 <= client_values.content_length(text) < 2**63


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (None, 0),
        ("", 0),
        ("x", 0),
        ("-1", 0),
        ("²", 0),
        ("0", 0),
        ("17", 17),
        ("0" * 30 + "17", 17),
        (str(2**64 - 1), 10**18),
    ],
)
def test_a_length_of_too_many_digits_is_too_long(text: str | None, length: int) -> None:
    """It counted as none, so that the body was waited for."""
    assert client_values.content_length(text) == length


@given(ANYTHING)
@example("nan")
@example("1_0")
@example("٠.٥")
@example("1e999")
def test_numbers_of_forms_and_queries(text: str) -> None:
    found = ours("x", client_values.number, text, "x")
    if found is None:
        return
    assert text.isascii()
    assert math.isfinite(found)


@given(NUMBERS)
@example(10**400)
@example(math.nan)
@example(True)
def test_numbers_of_json(value: object) -> None:
    found = ours("x", client_values.finite, value, "x")
    if found is None:
        return
    assert math.isfinite(found)
    assert not isinstance(value, bool)


@given(ANYTHING)
@example("en\nX-Forged: 1")
@example("\u2028")
@example("\ud800")
def test_lines_are_safe_in_headers_logs_and_files(text: str) -> None:
    found = ours("x", client_values.line, text, "x", 20)
    if found is None:
        return
    assert found == text
    assert len(found.splitlines()) == 1
    found.encode()


@given(ANYTHING)
@example("a\x00b")
@example("\udfff")
def test_texts_can_be_stored(text: str) -> None:
    found = ours("x", client_values.text, text, "x", 1000)
    if found is None:
        return
    assert b"\x00" not in found.encode()


@given(ANYTHING)
@example("[::1")
@example("[::1]:80")
@example("a:b:c")
def test_hosts(text: str) -> None:
    found = ours("Host", client_values.host_of, text)
    if found is None:
        return
    assert found.isascii()
    assert not set(found) & set("/@ \n[]")
    # The library's own reader agrees wherever it has an opinion.
    assert (urlsplit(f"//{text}").hostname or "") == found


@pytest.mark.parametrize(
    ("header", "name"),
    [("localhost:80", "localhost"), ("[::1]:7860", "::1"), ("Example.COM", "example.com"), ("", ""), ("a_b:", "a_b")],
)
def test_a_host_loses_its_port_and_its_case(header: str, name: str) -> None:
    assert client_values.host_of(header) == name


@given(ANYTHING)
def test_an_origin_is_compared_whatever_it_is(text: str) -> None:
    client_values.origin_host(text)


@given(ANYTHING)
@example("http://[::1")
@example("http://\u2100/")
@example("http://a..b/")
@example("http://[zz::]/")
@example("http://a:99999/")
@example("http://" + "a" * 64 + "/")
def test_urls(text: str) -> None:
    found = ours("x", client_values.url, text, "x")
    if found is None:
        return
    parts = urlsplit(found)
    assert parts.hostname
    # What a resolver does with a name: it raises UnicodeError for labels that are empty or too long.
    parts.hostname.encode("idna")
    assert parts.port is None or 0 < parts.port < 65536


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://a_b.c:8443/x?y=1", "http://[::1]:80/", "http://10.0.0.1/"]
)
def test_ordinary_urls_are_taken(url: str) -> None:
    assert client_values.url(url, "x") == url


@given(ANYTHING)
def test_a_close_frame_takes_any_message(text: str) -> None:
    assert len(client_values.close_reason(text * 20).encode()) <= 123


@given(ANYTHING)
@example("line\r\nX-Forged: 1")
def test_a_warning_is_one_header(text: str) -> None:
    for value in replies.warning([text, "x"]).values():
        assert value.isascii()
        assert value.isprintable()
        assert value.count('"') == 2


@given(st.one_of(NUMBERS, st.lists(NUMBERS, min_size=8, max_size=8), st.dictionaries(ANYTHING, NUMBERS, max_size=3)))
@example([10**400] + [0] * 7)
@example({"happy": math.nan})
@example({"happy": 1e308})
def test_emotions(value: object) -> None:
    found = ours("emotion", parse_emotion, value)
    if found is None:
        return
    assert all(0 < weight <= 1.2 for weight in found.values())


@given(
    st.one_of(ANYTHING, st.datetimes().map(str), st.datetimes(timezones=st.timezones()).map(lambda d: d.isoformat()))
)
@example("nan")
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("9999-12-31T23:59:59")
@example("1000000000-01-01")
@example("25:00")
def test_deadlines(text: str) -> None:
    for zone in (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
        now = datetime(2026, 11, 29, 12, tzinfo=zone)
        at = ours("deadline", parse_deadline, text, now)
        assert at is None or now.timestamp() < at < 300_000_000_000


@given(st.one_of(ANYTHING, st.text("low(high)+0123.²٣e9tn", max_size=80)))
@example("low(1e999)+high")
@example("low(٣)")
@example("low(0)+high(0)")
@example("low(" + "9" * 290 + ")")
@example("low\n")
def test_voice_mixes(asked: str) -> None:
    found = ours("voice", voice_selection.mix, asked, MIXER)
    if found is None:
        return
    assert found.isascii()
    assert found.isprintable()


def test_the_strange_signs_are_letters_to_unicode() -> None:
    assert all(any(ch.isalnum() for ch in text) for text in UNSAYABLE)
