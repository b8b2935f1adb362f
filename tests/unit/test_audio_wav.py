"""WAV: headers that others can read, finished and endless, and reading back."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import wav
from antiphon.domain import errors

audio = st.binary(max_size=2000).map(lambda b: b[: len(b) // 2 * 2])
rates = st.integers(1, 192_000)


@given(audio, rates)
def test_a_finished_file_comes_back(audio: bytes, rate: int) -> None:
    assert wav.read(wav.header(rate, len(audio)) + audio) == (audio, rate)


@given(audio, rates)
def test_an_endless_file_comes_back(audio: bytes, rate: int) -> None:
    assert wav.read(wav.header(rate) + audio) == (audio, rate)


@given(audio, rates)
def test_pythons_own_reader_agrees(audio: bytes, rate: int) -> None:
    with wave.open(io.BytesIO(wav.header(rate, len(audio)) + audio)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.readframes(file.getnframes()) == audio


@given(audio, rates)
def test_pythons_own_files_are_read(audio: bytes, rate: int) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(audio)
    assert wav.read(out.getvalue()) == (audio, rate)


def test_chunks_before_the_audio_are_skipped() -> None:
    plain = wav.header(8000, 4) + b"abcd"
    odd = plain[:36] + b"LIST" + struct.pack("<I", 3) + b"xyz\0" + plain[36:]
    assert wav.read(odd) == (b"abcd", 8000)


@pytest.mark.parametrize("nbytes", [2**32 - 36, 2**32, 2**40])
def test_sizes_beyond_four_gibibytes_say_until_the_end(nbytes: int) -> None:
    assert wav.header(24000, nbytes)[4:8] == b"\xff" * 4
    assert wav.read(wav.header(24000, nbytes) + b"abcd") == (b"abcd", 24000)


def test_what_is_not_ours_is_refused() -> None:
    stereo = bytearray(wav.header(8000, 4) + b"abcd")
    stereo[22] = 2
    for data in (b"", b"OggS" + bytes(60), wav.header(8000, 4)[:30], bytes(stereo), wav.header(8000, 4)[:36]):
        with pytest.raises(errors.InvalidRequest, match="WAV"):
            wav.read(data)


@given(st.binary(max_size=200), st.booleans())
def test_no_file_breaks_the_reader(data: bytes, dressed: bool) -> None:
    try:
        found, rate = wav.read(b"RIFF\0\0\0\0WAVE" + data if dressed else data)
    except errors.InvalidRequest:
        return
    assert len(found) % 2 == 0
    assert rate > 0


@pytest.mark.parametrize("seekable", [True, False])
def test_the_writer_puts_the_length_in_where_it_can(seekable: bool) -> None:
    class Sink(io.BytesIO):
        def seekable(self) -> bool:
            return seekable

    sink = Sink()
    writer = wav.Writer(sink, 8000)
    writer.write(b"ab")
    writer.write(b"cd")
    writer.finish()
    assert sink.getvalue() == wav.header(8000, 4 if seekable else None) + b"abcd"
