"""Encoders: every format keeps the sound, streams early, gives everything back, and may be closed at any time."""

from __future__ import annotations

import gc
import io
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import av
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio import codec, muxer, pcm, wav
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, SAMPLE_RATES, Format
from tests.unit.test_audio_pcm import pitch, tone

COMPRESSED: tuple[Format, ...] = ("mp3", "opus", "aac", "flac")
#: What FFmpeg calls our formats: container and codec.
NAMES = {"mp3": ("mp3", "mp3float"), "opus": ("ogg", "opus"), "aac": ("aac", "aac"), "flac": ("flac", "flac"),
         "wav": ("wav", "pcm_s16le")}  # fmt: skip
#: Seconds that an encoder may add at the ends, at 16 kHz: AAC and streamed MP3 cannot say where the sound begins.
SLACK = {"mp3": 0.11, "opus": 0.01, "aac": 0.13, "flac": 0.001, "wav": 0.001, "pcm": 0.001}


def probe(data: bytes) -> tuple[str, str, int]:
    with av.open(io.BytesIO(data)) as container:
        context = container.streams.audio[0].codec_context
        return container.format.name, context.name, context.layout.nb_channels


def decoded(data: bytes, format: Format, rate: int) -> tuple[bytes, int]:
    return (data, rate) if format == "pcm" else codec.decode(data)


def streamed(format: Format, audio: bytes, rate: int, rate_out: int | None = None, step: int = 3000) -> list[bytes]:
    encoder = codec.Encoder(format, rate, rate_out=rate_out, streaming=True)
    parts = [encoder.feed(audio[i : i + step]) for i in range(0, len(audio), step)]
    return [*parts, encoder.finish()]


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_every_format_has_a_type_and_an_extension() -> None:
    assert set(codec.MEDIA_TYPES) == set(codec.EXTENSIONS) == set(FORMATS)
    assert codec.EXTENSIONS["mp3"] == ".mp3"
    assert codec.Encoder("opus", 24000, streaming=True).media_type == "audio/ogg"


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("rate", [16000, 22050, 24000, 48000])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_keeps_the_sound(format: Format, rate: int, streaming: bool) -> None:
    sound = tone(2.0, rate)
    data = b"".join(streamed(format, sound, rate)) if streaming else codec.encode(sound, rate, format)
    if format != "pcm":
        assert probe(data) == (*NAMES[format], 1)
    found, found_rate = decoded(data, format, 24000)
    assert pcm.duration(len(found), found_rate) == pytest.approx(2.0, abs=SLACK[format])
    assert pitch(found, found_rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_rate_can_be_asked_for(format: Format, rate: int) -> None:
    encoder = codec.Encoder(format, 24000, rate_out=rate, streaming=False)
    encoder.feed(tone(1.0, 24000))
    found, found_rate = decoded(encoder.finish(), format, rate)
    assert encoder.rate >= rate
    if format != "opus":
        assert encoder.rate == found_rate == rate
    assert pitch(found, found_rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("format", "rate_in", "rate_out", "rate"),
    [
        ("pcm", 22050, None, 24000), ("pcm", 22050, 22050, 22050), ("wav", 22050, None, 22050),
        ("opus", 22050, None, 24000), ("opus", 24000, 44100, 48000), ("opus", 96000, None, 48000),
        ("mp3", 6000, None, 8000), ("mp3", 23000, None, 24000), ("mp3", 96000, None, 48000),
        ("aac", 96000, None, 96000), ("flac", 23456, None, 23456),
    ],
)  # fmt: skip
def test_the_rate_is_the_next_that_the_format_has(
    format: Format, rate_in: int, rate_out: int | None, rate: int
) -> None:
    assert codec.output_rate(format, rate_in, rate_out) == rate


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_a_whole_file_tells_its_length(format: Format) -> None:
    with av.open(io.BytesIO(codec.encode(tone(3.0, 24000), 24000, format))) as container:
        assert container.duration == pytest.approx(3_000_000, abs=1000)


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_come_while_audio_is_fed(format: Format) -> None:
    tenth = tone(0.1, 24000)
    encoder = codec.Encoder(format, 24000, streaming=True)
    sizes = [len(encoder.feed(tenth)) for _ in range(40)]
    assert any(sizes[:5]), "nothing within half a second"
    every_half = [sum(sizes[i : i + 5]) for i in range(0, 40, 5)]
    assert all(every_half), f"a gap longer than half a second: {sizes}"
    assert len(encoder.finish()) < sum(sizes) / 4


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_sound_gives_the_same_bytes(format: Format) -> None:
    sound = tone(0.5, 24000)
    assert codec.encode(sound, 24000, format) == codec.encode(sound, 24000, format)
    assert streamed(format, sound, 24000) == streamed(format, sound, 24000)


def test_mp3_has_no_tags() -> None:
    sound = tone(0.2, 24000)
    for data in (codec.encode(sound, 24000, "mp3"), b"".join(streamed("mp3", sound, 24000))):
        assert data[0] == 0xFF, "frames from the first byte on, so that streams can be joined"


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_no_audio_is_no_error(format: Format, streaming: bool) -> None:
    encoder = codec.Encoder(format, 22050, rate_out=24000, streaming=streaming)
    assert isinstance(encoder.feed(b"") + encoder.finish(), bytes)


@given(st.lists(st.binary(max_size=500).map(lambda b: b[: len(b) // 2 * 2])), st.sampled_from(["wav", "pcm"]))
def test_plain_formats_are_the_samples(pieces: list[bytes], format: Format) -> None:
    encoder = codec.Encoder(format, 24000, streaming=True)
    assert encoder.cheap
    data = b"".join([encoder.feed(piece) for piece in pieces] + [encoder.finish()])
    assert data == (wav.header(24000) if format == "wav" else b"") + b"".join(pieces)
    whole = codec.encode(b"".join(pieces), 24000, format)
    assert whole == (wav.header(24000, len(b"".join(pieces))) if format == "wav" else b"") + b"".join(pieces)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=10), st.sampled_from(COMPRESSED))
def test_how_audio_is_cut_does_not_change_it(sizes: list[int], format: Format) -> None:
    sound = tone(sum(sizes) / 24000, 24000)
    encoder = codec.Encoder(format, 24000, streaming=True)
    parts, at = [], 0
    for size in sizes:
        parts.append(encoder.feed(sound[at : at + 2 * size]))
        at += 2 * size
    assert b"".join([*parts, encoder.finish()]) == b"".join(streamed(format, sound, 24000, step=len(sound)))


def test_what_is_not_cheap_says_so() -> None:
    assert not codec.Encoder("wav", 22050, rate_out=24000, streaming=True).cheap
    assert not codec.Encoder("pcm", 22050, streaming=True).cheap
    assert not codec.Encoder("mp3", 24000, streaming=True).cheap


def test_an_unknown_format_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="response_format"):
        codec.Encoder("wma", 24000, streaming=True)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidRequest, match="response_format"):
        codec.FileWriter(tmp_path / "x", "wma", 24000)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_closed_encoder_takes_nothing(format: Format) -> None:
    finished = codec.Encoder(format, 24000, streaming=True)
    finished.finish()
    abandoned = codec.Encoder(format, 24000, streaming=True)
    abandoned.feed(tone(0.1, 24000))
    broken = codec.Encoder(format, 24000, streaming=True)
    with pytest.raises(errors.UnitFailed):
        broken.feed(b"abc")
    for encoder in (finished, abandoned, broken):
        encoder.close()
        encoder.close()
        for use in (lambda e=encoder: e.feed(b"ab"), encoder.finish):
            with pytest.raises(ValueError, match="closed"):
                use()


ENDS: dict[str, Callable[[codec.Encoder], object]] = {
    "finished": lambda encoder: encoder.finish(),
    "closed": lambda encoder: encoder.close(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("format", COMPRESSED)
def test_two_hundred_encoders_leave_nothing_behind(format: Format, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[muxer.Muxer] = weakref.WeakSet()
    build = muxer.Muxer.__init__

    def counted(self: muxer.Muxer, *args: object) -> None:
        alive.add(self)
        build(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(muxer.Muxer, "__init__", counted)
    sound = tone(0.05, 24000)  # More than a frame of each.

    def round_() -> None:
        encoder = codec.Encoder(format, 24000, streaming=True)
        encoder.feed(sound)
        ENDS[end](encoder)

    for _ in range(20):
        round_()
    gc.collect()
    before, tasks = psutil.Process().memory_info().rss, threads()
    for _ in range(200):
        round_()
    gc.collect()
    assert len(alive) == 0
    assert threads() == tasks
    # One LAME or Opus state is over 100 kB; two hundred would be over 20 MB.
    assert psutil.Process().memory_info().rss - before < 6_000_000


def test_living_encoders_have_no_threads() -> None:
    codec.encode(tone(0.1, 24000), 24000, "mp3")
    before = threads()
    encoders = [codec.Encoder(format, 24000, streaming=True) for format in COMPRESSED for _ in range(5)]
    for encoder in encoders:
        encoder.feed(tone(0.3, 24000))
    assert threads() == before
    for encoder in encoders:
        encoder.close()


class SlowResampler(pcm.Resampler):
    """Stops in the middle of a feed until it is let go."""

    def __init__(self) -> None:
        super().__init__(22050, 24000)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def feed(self, audio: bytes) -> bytes:
        self.begun.set()
        assert self.go_on.wait(30)
        return super().feed(audio)


@pytest.mark.parametrize("format", FORMATS)
def test_closing_while_another_thread_feeds(format: Format) -> None:
    encoder = codec.Encoder(format, 22050, rate_out=24000, streaming=True)
    slow = SlowResampler()
    encoder._resampler = slow
    got: list[bytes] = []
    feeding = threading.Thread(target=lambda: got.append(encoder.feed(tone(1.0, 22050))))
    feeding.start()
    assert slow.begun.wait(30)
    encoder.close()
    assert encoder._writer is not None, "close gave back what the other thread was using"
    slow.go_on.set()
    feeding.join(30)
    assert got
    assert got[0]
    assert encoder._writer is None
    with pytest.raises(ValueError, match="closed"):
        encoder.feed(b"ab")


def test_encoders_move_between_threads() -> None:
    sound = tone(1.0, 24000)
    for format in FORMATS:
        encoder = codec.Encoder(format, 24000, streaming=True)
        parts: list[bytes] = []
        for start in range(0, len(sound), 4800):
            piece = sound[start : start + 4800]
            thread = threading.Thread(target=lambda e=encoder, p=piece, out=parts: out.append(e.feed(p)))
            thread.start()
            thread.join(30)
        assert b"".join([*parts, encoder.finish()]) == b"".join(streamed(format, sound, 24000, step=4800))
