"""The wire protocol: whatever the stream's pieces, the same frames; whatever the garbage, a clear end."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Voice
from antiphon.worker import frames

MESSAGES = [
    (frames.Phase("loading", 0.5), b""),
    (frames.Heartbeat(123, None), b""),
    (frames.Ready(Capabilities("speech", 24000, "1", voices=(Voice("a", "A", ("en",)),))), b""),
    (frames.Chunk(7), b"\x00\x01" * 100),
    (frames.Done(7, 0.25, {"sample_rate": 24000}), b"tail"),
    (frames.Failed(8, "unit_failed", "no"), b""),
    (frames.Progress(8, 0.1), b""),
    (frames.LoadFailed("gone", "come back"), b""),
]


def decode(pieces: list[bytes]) -> list[tuple[object, bytes]]:
    decoder = frames.Decoder(frames.AT_SERVER)
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_any_pieces_give_the_same_frames(messages: list[tuple[frames.Message, bytes]], sizes: list[int]) -> None:
    stream = b"".join(frames.encode(message, payload) for message, payload in messages)
    pieces, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        pieces.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert decode(pieces) == messages


@given(st.binary(min_size=1, max_size=300))
def test_garbage_waits_or_is_refused(data: bytes) -> None:
    try:
        found = decode([data])
    except errors.FrameError:
        return
    assert found == []
    assert frames.MAGIC.startswith(data[:4]) or data.startswith(frames.MAGIC)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_flipped_byte_is_noticed_or_harmless(message: tuple[frames.Message, bytes], data: st.DataObject) -> None:
    good = frames.encode(*message)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    try:
        assert len(decode([bytes(bad)])) <= 1
    except errors.FrameError:
        return


@pytest.mark.parametrize("lengths", [(frames.MAX_HEADER + 1, 0), (0, frames.MAX_PAYLOAD + 1), (2**32 - 1, 2**32 - 1)])
def test_a_length_over_the_bound_is_refused_before_it_is_kept(lengths: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(errors.FrameError, match="over the bound"):
            decode([struct.pack("<4sII", frames.MAGIC, *lengths)])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_after_an_error_there_is_nothing_more() -> None:
    decoder = frames.Decoder(frames.AT_SERVER)
    with pytest.raises(errors.FrameError):
        list(decoder.feed(b"garbage, garbage"))
    with pytest.raises(errors.FrameError):
        list(decoder.feed(frames.encode(*MESSAGES[0])))


def test_a_side_does_not_understand_its_own_words() -> None:
    with pytest.raises(errors.FrameError, match="no message"):
        decode([frames.encode(frames.Run(1, {}))])


def test_what_has_no_json_form_is_refused_by_the_sender() -> None:
    with pytest.raises(errors.FrameError, match="no JSON form"):
        frames.encode(frames.Run(1, {"a": object()}))
    with pytest.raises(errors.FrameError, match="over the bound"):
        frames.encode(frames.Chunk(1), bytes(frames.MAX_PAYLOAD + 1))
