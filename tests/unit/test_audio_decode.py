"""Decoding what others made: within bounds, from known formats only, and with a reason where it is refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio import codec, decode, pcm, wav
from antiphon.domain import errors
from antiphon.domain.request import Format
from tests.unit.test_audio_pcm import pitch, samples, tone

MEBIBYTE = 1024 * 1024


def wave_file(frames: NDArray[np.int16], rate: int = 8000) -> bytes:
    """A WAV of samples in the shape (frame, channel)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((frames.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes(frames.astype("<i2").tobytes())
    return out.getvalue()


def float_wave(values: list[float]) -> bytes:
    data = np.array(values, "<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 8000, 32000, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def foreign(container: str, encoder: str, channels: str = "mono", rate: int = 48000) -> bytes:
    """Half a second of a tone as some other program makes it."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(encoder, rate=rate, layout=channels, options={"strict": "experimental"})
        frame = av.AudioFrame(format="s16", layout="mono", samples=rate // 2)
        frame.planes[0].update(tone(0.5, rate))
        frame.sample_rate = rate
        frame.pts = 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


@given(st.binary(min_size=2, max_size=3000).map(lambda b: b[: len(b) // 2 * 2]), st.sampled_from([8000, 24000]))
@settings(deadline=None, max_examples=50)
def test_plain_samples_come_back_exactly(audio: bytes, rate: int) -> None:
    assert codec.decode(wav.header(rate, len(audio)) + audio) == (audio, rate)
    assert codec.decode(wav.header(rate) + audio) == (audio, rate)
    assert codec.decode(codec.encode(audio, rate, "flac")) == (audio, rate)


@pytest.mark.parametrize(
    ("container", "encoder"),
    [("ogg", "vorbis"), ("webm", "libopus"), ("ipod", "aac"), ("wav", "pcm_s24le"), ("wav", "pcm_u8"),
     ("wav", "pcm_f32le"), ("wav", "pcm_mulaw"), ("matroska", "flac")],
)  # fmt: skip
def test_what_browsers_and_phones_record(container: str, encoder: str) -> None:
    audio, rate = codec.decode(foreign(container, encoder, "stereo" if encoder == "vorbis" else "mono"))
    assert pcm.duration(len(audio), rate) == pytest.approx(0.5, abs=0.06)
    assert pitch(audio, rate) == pytest.approx(440, abs=4)


def test_channels_are_mixed() -> None:
    left = np.arange(-2000, 2000, 2)
    opposite = wave_file(np.stack([left, -left], axis=1))
    assert not any(codec.decode(opposite)[0])
    half = wave_file(np.stack([left, np.zeros_like(left)], axis=1))
    assert samples(codec.decode(half)[0]).tolist() == (left // 2).tolist()


def test_a_path_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav.header(8000, 4) + b"abcd")
    assert codec.decode(tmp_path / "a.wav") == (b"abcd", 8000)
    with pytest.raises(FileNotFoundError):
        codec.decode(tmp_path / "b.wav")


def test_too_many_bytes() -> None:
    with pytest.raises(errors.InvalidRequest, match="at most 100 are taken"):
        codec.decode(bytes(101), max_bytes=100)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
def test_too_many_seconds(format: Format) -> None:
    data = codec.encode(tone(3.0, 24000), 24000, format)
    assert codec.decode(data, max_seconds=3.1)
    with pytest.raises(errors.InvalidRequest, match=r"longer than 2\.5 seconds"):
        codec.decode(data, max_seconds=2.5)


def test_a_bomb_is_refused_in_little_memory() -> None:
    bomb = codec.encode(bytes(2 * 48000 * 600), 48000, "flac")
    assert len(bomb) < MEBIBYTE
    tracemalloc.start()
    try:
        with pytest.raises(errors.InvalidRequest, match="longer than"):
            codec.decode(bomb, max_seconds=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * MEBIBYTE


def test_too_many_channels() -> None:
    with pytest.raises(errors.InvalidRequest, match="at most 8"):
        codec.decode(wave_file(np.zeros((800, 9), np.int16)))
    assert codec.decode(wave_file(np.zeros((800, 8), np.int16)))


@pytest.mark.parametrize("rate", [1000, 384_000])
def test_rates_that_nobody_records(rate: int) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"{rate} Hz"):
        codec.decode(wave_file(np.zeros((800, 1), np.int16), rate))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_no_numbers(value: float) -> None:
    assert samples(codec.decode(float_wave([0.5, -2.0]))[0]).tolist() == [16384, -32768]
    with pytest.raises(errors.InvalidRequest, match="not finite"):
        codec.decode(float_wave([0.5, value]))


def test_a_playlist_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same list is followed by FFmpeg when it is not held back, so that this test can fail."""
    (tmp_path / "secret.wav").write_bytes(codec.encode(tone(0.5, 8000), 8000, "wav"))
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile secret.wav\n"
    (tmp_path / "list.txt").write_bytes(playlist)
    with av.open(str(tmp_path / "list.txt"), format="concat") as container:
        assert container.streams.audio
    hls = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n"
    for data in (playlist, hls, b"[playlist]\nFile1=secret.wav\n", b"http://127.0.0.1/secret.wav\n"):
        with pytest.raises(errors.InvalidRequest, match="cannot be read; send WAV"):
            codec.decode(data)


def test_formats_outside_the_list_are_refused() -> None:
    aiff = foreign("aiff", "pcm_s16be")
    with av.open(io.BytesIO(aiff)) as container:
        assert container.streams.audio
    with pytest.raises(errors.InvalidRequest, match="cannot be read"):
        codec.decode(aiff)
    with pytest.raises(errors.InvalidRequest, match="kind ac3 is not taken"):
        codec.decode(foreign("matroska", "ac3"))


@pytest.mark.parametrize("data", [b"", b"\0", bytes(5000), b"RIFF", b"hello world" * 99, wav.header(8000, 0)])
def test_what_is_no_audio(data: bytes) -> None:
    with pytest.raises(errors.InvalidRequest):
        codec.decode(data)


def test_tags_in_another_encoding_do_not_matter() -> None:
    tag = b"INFOINAM" + struct.pack("<I", 4) + b"\xff\xfe\xe4\0"
    plain = wav.header(8000, 4)
    tagged = plain[:36] + b"LIST" + struct.pack("<I", len(tag)) + tag + plain[36:] + b"abcd"
    assert codec.decode(tagged) == (b"abcd", 8000)


def test_a_kind_that_nobody_knows_is_refused() -> None:
    data = bytearray(codec.encode(tone(0.3, 16000), 16000, "wav"))
    data[20:22] = b"\x99\x99"
    with pytest.raises(errors.InvalidRequest, match="an unknown kind is not taken; send WAV"):
        codec.decode(bytes(data))


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
def test_a_file_that_is_cut_off_is_heard_up_to_there(format: Format) -> None:
    data = codec.encode(tone(4.0, 24000), 24000, format)
    audio, rate = codec.decode(data[: len(data) // 2])
    assert 1.2 < pcm.duration(len(audio), rate) < 2.8
    assert pitch(audio, rate) == pytest.approx(440, abs=2)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["mp3", "opus", "aac", "flac", "wav"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30),
)
def test_damaged_files_are_decoded_or_refused(format: Format, damage: list[tuple[float, int]]) -> None:
    data = bytearray(codec.encode(tone(0.3, 16000), 16000, format))
    for where, value in damage:
        data[int(where * len(data))] = value
    try:
        audio, rate = codec.decode(bytes(data), max_seconds=60)
    except errors.InvalidRequest:
        return
    assert rate in decode.RATES
    assert 0 < pcm.duration(len(audio), rate) <= 60
