"""Files: written as the audio comes, true in their headers and digests, and closed whatever happens."""

from __future__ import annotations

import errno
import hashlib
import os
import wave
from pathlib import Path

import av
import pytest

from antiphon.audio import codec, pcm
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, Format
from tests.unit.test_audio_codec import COMPRESSED, SLACK
from tests.unit.test_audio_pcm import pitch, tone


def write(path: Path, format: Format, audio: bytes, rate: int, rate_out: int | None = None) -> tuple[int, str, float]:
    writer = codec.FileWriter(path, format, rate, rate_out)
    for start in range(0, len(audio), 10_000):
        writer.feed(audio[start : start + 10_000])
    return writer.finish()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("format", FORMATS)
def test_the_result_describes_the_file(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "part"
    size, digest, seconds = write(path, format, tone(2.0, 22050), 22050)
    data = path.read_bytes()
    assert size == len(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert seconds == pytest.approx(2.0)
    found, rate = (data, 24000) if format == "pcm" else codec.decode(path)
    assert pcm.duration(len(found), rate) == pytest.approx(2.0, abs=SLACK[format])
    assert pitch(found, rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_what_encoding_at_once_gives(format: Format, tmp_path: Path) -> None:
    sound = tone(1.0, 22050)
    write(tmp_path / "part", format, sound, 22050, 16000)
    assert (tmp_path / "part").read_bytes() == codec.encode(sound, 22050, format, 16000)


def test_a_finished_wav_is_exact(tmp_path: Path) -> None:
    sound = tone(1.5, 24000)
    write(tmp_path / "part", "wav", sound, 24000)
    with wave.open(str(tmp_path / "part")) as file:
        assert file.getnframes() == 36_000
        assert file.readframes(36_000) == sound


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_headers_tell_the_length(format: Format, tmp_path: Path) -> None:
    write(tmp_path / "part", format, tone(3.0, 24000), 24000)
    with av.open(str(tmp_path / "part")) as container:
        assert container.duration == pytest.approx(3_000_000, abs=1000)


def test_it_writes_while_it_is_fed(tmp_path: Path) -> None:
    for format in FORMATS:
        writer = codec.FileWriter(tmp_path / format, format, 24000)
        for _ in range(60):
            writer.feed(tone(1.0, 24000))
        assert (tmp_path / format).stat().st_size > 100_000, "an hour must not be kept in memory"
        writer.close()


def test_what_was_there_before_is_gone(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"x" * 1_000_000)
    size, _, _ = write(tmp_path / "part", "wav", tone(0.1, 8000), 8000)
    assert (tmp_path / "part").stat().st_size == size == 44 + 1600


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_an_os_error_and_closes_the_file(format: Format) -> None:
    before = open_files()
    with pytest.raises(OSError) as caught:
        write(Path("/dev/full"), format, tone(5.0, 24000), 24000)
    assert caught.value.errno == errno.ENOSPC
    assert open_files() == before


def test_a_writer_that_failed_is_closed() -> None:
    writer = codec.FileWriter(Path("/dev/full"), "wav", 24000)
    with pytest.raises(OSError):
        writer.feed(tone(5.0, 24000))
    with pytest.raises(ValueError, match="closed"):
        writer.feed(b"ab")
    with pytest.raises(ValueError, match="closed"):
        writer.finish()
    writer.close()


@pytest.mark.parametrize("format", FORMATS)
def test_closing_gives_the_file_back(format: Format, tmp_path: Path) -> None:
    before = open_files()
    writers = [codec.FileWriter(tmp_path / f"{n}", format, 24000) for n in range(5)]
    for writer in writers:
        writer.feed(tone(0.5, 24000))
    assert open_files() == before + 5
    for writer in writers:
        writer.close()
        writer.close()
    assert open_files() == before


def test_half_a_sample_closes_the_file(tmp_path: Path) -> None:
    before = open_files()
    writer = codec.FileWriter(tmp_path / "part", "flac", 24000)
    with pytest.raises(errors.UnitFailed):
        writer.feed(b"abc")
    assert open_files() == before


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    for format in (*COMPRESSED, "wav"):
        with pytest.raises(FileNotFoundError):
            codec.FileWriter(tmp_path / "no" / "part", format, 24000)
