"""P20: what a client's text and JSON may cost is bounded, and the bounds change no ordinary text."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketState

from antiphon.api import request_body, speech_ws
from antiphon.api.bodies import DialogueBody, SpeechBody
from antiphon.concurrency.threads import SMALL_TEXT, Threads
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.request import MAX_TURNS, SpeechRequest, Turn
from antiphon.speech import plan
from antiphon.text import incremental, markup, normalise
from antiphon.text.normalise import MAX_MARKS, MAX_VOID, PIECE, clean
from antiphon.text.spans import MAX_SPANS

MODEL = Capabilities(kind="speech", sample_rate=24000, revision="1")
USUAL = (
    *("Hello", "world", "你好", "世界", "é", "e\u0301", "\u1112\u1161\u11ab", "한", "ą\u0301", "नमस्ते", "สวัสดี", "שָׁלוֹם", "x\u0338"),
    *(" ", "  ", "\n", "\r\n", "\n\n\n", "\u3000", "\u2028", "😀", "👩\u200d👧", "1\ufe0f\u20e3", "\u200b", "\u3164", "=" * 50, "-+" * 30),
    *(".", "!", "。", "，", "(", "“", "”", "...", "a" * 30, "\u0301" * 30, "7"),
)  # fmt: skip
ordinary = st.lists(st.sampled_from(USUAL), max_size=60).map("".join)


def in_one_go(text: str) -> str:
    """`clean` as it was before texts were cleaned in pieces and marks were counted."""
    text = normalise._LINE_ENDS.sub("\n", text)
    if text.isascii():
        text = normalise._PLAIN_SPACES.sub(" ", normalise._SILENT.sub("", text))
    else:
        text = normalise._SILENT.sub("", text.replace("\u2029", "\n\n"))
        text = normalise._PICTURES.sub(normalise._without_picture, normalise._SPACES.sub(" ", text))
        text = unicodedata.normalize("NFC", text)
    text = normalise._AROUND_LINES.sub(normalise._line_break, text)
    text = normalise._REPEATED.sub(r"\1\1\1", text)
    return normalise._RUBBLE.sub(normalise._less_rubble, text).strip()


@given(ordinary, st.sampled_from([1, 7, 64, PIECE]))
def test_ordinary_text_is_cleaned_as_it_always_was(text: str, piece: int) -> None:
    """Recipes, and with them the cache, depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalise, "PIECE", piece)
        # A run without letters that is longer than this is no ordinary text.
        patch.setattr(normalise, "MAX_VOID", 1200)
        assert clean(text) == in_one_go(text)


@given(st.text(max_size=30), st.integers(MAX_MARKS, 3 * MAX_MARKS), st.text(max_size=30))
def test_many_marks_are_cleaned_once_and_for_all(before: str, count: int, after: str) -> None:
    text = before + "\u0301\u0323" * count + after
    assert clean(clean(text)) == clean(text)
    assert unicodedata.is_normalized("NFC", clean(text))


@pytest.mark.parametrize("atom", ["a", "!", "\n", "a\u0301\u0323", "\u0301", "\u1161", "好", " ", "😀"])
def test_no_call_gets_more_than_a_piece(atom: str) -> None:
    pieces = list(normalise._pieces(atom * (400_000 // len(atom))))
    assert max(map(len, pieces)) <= PIECE + 2 * MAX_VOID


def test_texts_are_parted_only_where_nothing_reaches_across() -> None:
    second = {
        parts[-1]
        for parts in (unicodedata.decomposition(chr(code)).split() for code in range(sys.maxunicode + 1))
        if len(parts) == 2 and not parts[0].startswith("<")
    }
    others = "|".join(f"(?:{rule.pattern})" for rule in (normalise._LINE_ENDS, normalise._SILENT, normalise._SPACES))
    touched = re.compile(f"{others}|[{normalise._PICTURE}]")
    for code in range(sys.maxunicode + 1):
        ch = chr(code)
        if normalise._PLACE.match(ch):
            assert not unicodedata.combining(ch)
            assert f"{code:04X}" not in second, f"U+{code:04X} joins the character before it"
            assert not touched.match(ch), f"U+{code:04X}"


def test_marks_in_a_text_are_counted() -> None:
    assert len(markup.parse("a[pause 1ms]" * MAX_SPANS)) == MAX_SPANS
    with pytest.raises(errors.InvalidText, match="20,000 parts"):
        markup.parse("a[pause 1ms]" * (MAX_SPANS + 1))
    changes = '<prosody rate="1.1">a</prosody>b' * (MAX_SPANS // 2)
    with pytest.raises(errors.InvalidText, match="20,000 parts"):
        markup.parse(f"<speak>{changes}<prosody rate='1.2'>a</prosody></speak>")
    # Those of the turns of a dialogue are counted together.
    turn = Turn("a[pause 5s]" * 100)
    with pytest.raises(errors.InvalidText, match="600 s together"):
        plan.make(SpeechRequest(text="a", turns=(turn, turn)), "m", MODEL)


def test_segments_of_a_request_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_SEGMENTS", 100)
    assert len(plan.make(SpeechRequest(text="a\n\n" * 99 + "a"), "m", MODEL).segments) == 100
    with pytest.raises(errors.InvalidText, match="more than 100 parts"):
        plan.make(SpeechRequest(text="a\n\n" * 101), "m", MODEL)


def test_values_of_a_body_are_counted_and_texts_are_not() -> None:
    text = 'One, two: [three] {four} "five" \\ six. ' * 20_000
    assert request_body.parse(SpeechBody, json.dumps({"input": text}).encode()).input == text
    mood = {"happy": 0.1, "sad": 0.1, "angry": 0.1, "afraid": 0.1, "calm": 0.1, "surprised": 0.1}
    turn = {"text": "Yes, no.", "voice": "anna", "speaker": "Anna", "emotion": mood, "speed": 1.0, "language": "en"}
    assert len(request_body.parse(DialogueBody, json.dumps({"turns": [turn] * MAX_TURNS}).encode()).turns) == MAX_TURNS
    many = request_body.MAX_VALUES + 1
    for body in (
        '{"input": "a", "x": [' + "[]," * many + "1]}",
        '{"input": "a", "x": [' + '"",' * many + "1]}",
        "[" * many,
        "{" * many,
        '"' * 4 * many + "," * many,
        '"a"' * 3 * many + text.replace('"', ""),
    ):
        with pytest.raises(errors.InvalidRequest, match="more than 20,000 values"):
            request_body.parse(SpeechBody, body.encode())
        with pytest.raises(errors.InvalidRequest, match="more than 20,000 values"):
            request_body.members(body.encode())


@pytest.mark.parametrize("weights", [["x"] * 1000, {f"x{n}": "x" for n in range(1000)}])
def test_a_thousand_wrong_weights_are_one_error(weights: object) -> None:
    raw = json.dumps({"input": "a", "emotion": weights}).encode()
    with pytest.raises(ValidationError) as refused:
        SpeechBody.model_validate_json(raw)
    assert refused.value.error_count() == 1
    with pytest.raises(errors.InvalidRequest, match="at most 64 weights"):
        request_body.parse(SpeechBody, raw)


def test_white_space_of_all_kinds_breaks_no_sentence() -> None:
    """sentencex panics at some of it, which is no `Exception`."""
    splitter = incremental.Splitter()
    text = "J\u3000. It goes on. U.S\u00a0. z. B\u2003. And it ends. Here"
    assert "".join([*splitter.feed(text), splitter.flush()]) == text


def test_a_long_text_is_read_in_a_thread_of_texts() -> None:
    async def names() -> tuple[str, str]:
        threads = Threads(1, "text")
        try:
            return (
                await threads.run_text(SMALL_TEXT, lambda: threading.current_thread().name),
                await threads.run_text(SMALL_TEXT + 1, lambda: threading.current_thread().name),
            )
        finally:
            threads.close()

    here, there = asyncio.run(names())
    assert here == threading.current_thread().name
    assert there.startswith("antiphon-text")


def test_a_thousand_waiting_messages_leave_turns_to_others() -> None:
    """Messages that have arrived are received without waiting."""
    count = 1000
    messages = iter([b'{"type": "nothing"}'] * count)

    async def receive() -> Message:
        raw = next(messages, None)
        return {"type": "websocket.disconnect"} if raw is None else {"type": "websocket.receive", "bytes": raw}

    async def send(message: Message) -> None:
        """Nothing waits."""

    async def turns() -> int:
        socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        socket.client_state = socket.application_state = WebSocketState.CONNECTED
        speech: Any = None
        talking = asyncio.create_task(speech_ws.Conversation(speech, socket, speech_ws.SessionLimits()).run())
        taken = 0
        while not talking.done():
            await asyncio.sleep(0)
            taken += 1
        return taken

    assert asyncio.run(turns()) > count
