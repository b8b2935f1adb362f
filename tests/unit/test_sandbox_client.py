"""Sandbox client: every format is decoded, every refusal is passed on, and every child ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from antiphon.audio import codec, pcm, wav
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, Format
from antiphon.sandbox import client, reference_audio
from antiphon.sandbox.client import Limits
from tests.unit.test_audio_decode import foreign
from tests.unit.test_audio_pcm import pitch, tone

SPOKEN = tone(2, 24000)


def children() -> set[int]:
    """This process's children, also those that are dead and not waited for."""
    # By each process's parent: a list per thread misses those of a thread that ends while it is read.
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt != "pcm"])
async def test_our_formats(fmt: Format) -> None:
    before = children()
    audio, rate = wav.read(await client.read(codec.encode(SPOKEN, 24000, fmt)))
    assert pcm.duration(len(audio), rate) == pytest.approx(2, abs=0.1)
    assert pitch(audio, rate) == pytest.approx(440, abs=3)
    assert children() == before


@pytest.mark.parametrize(
    ("container", "encoder"),
    [("ogg", "vorbis"), ("webm", "libopus"), ("ipod", "aac"), ("wav", "pcm_f32le"), ("matroska", "flac")],
)
async def test_formats_of_others(container: str, encoder: str) -> None:
    """They last half a second: that they were decoded is what the refusal says."""
    with pytest.raises(errors.InvalidRequest, match=r"Without the silence the recording is 0\.5"):
        await client.read(foreign(container, encoder, "stereo" if encoder == "vorbis" else "mono"))


@pytest.mark.parametrize("data", [b"", b"hello" * 1000, wav.header(24000, 0)], ids=["nothing", "text", "empty"])
async def test_what_is_no_recording(data: bytes) -> None:
    with pytest.raises(errors.InvalidRequest, match="audio"):
        await client.read(data)


async def test_what_is_too_large_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(errors.InvalidRequest, match=str(reference_audio.MAX_BYTES)):
        await client.read(bytes(reference_audio.MAX_BYTES + 1))


async def test_a_child_that_takes_too_long_is_killed() -> None:
    before = children()
    with pytest.raises(errors.InvalidRequest, match="could not be read within"):
        await client.read(wav.header(24000) + SPOKEN, Limits(wall=0.01))
    assert children() == before


async def test_a_child_whose_caller_went_away_is_killed() -> None:
    before = children()
    task = asyncio.ensure_future(client.read(wav.header(24000) + SPOKEN))
    while children() == before:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == before


@pytest.mark.parametrize("memory", [64, 210], ids=["to start", "to decode"])
async def test_a_child_without_memory_is_a_refusal(memory: int) -> None:
    audio = tone(60, 44100)
    with pytest.raises(errors.InvalidRequest, match=r"memory|bounds"):
        await client.read(wav.header(44100, len(audio)) + audio, Limits(memory=memory * 1024 * 1024))


LONG_REASON = b"R" + (3000).to_bytes(4, "big") + b"x" * 3000
LONG_AUDIO = b"A" + (client.MAX_ANSWER + 1).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("says", "then"),
    [
        (LONG_REASON, ""),
        (LONG_AUDIO, "while True: os.write(1, bytes(65536))"),
        (b"X\x00\x00\x00\x00", ""),
        (b"A\x00\x00\x00\x02no", ""),
        (b"A", ""),
        (b"", ""),
    ],
    ids=["long reason", "endless audio", "unknown", "no audio", "cut", "nothing"],
)
async def test_an_answer_that_is_none_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: bytes, then: str
) -> None:
    """A decoder that was taken over can say what it wants, and is not believed."""
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nimport os\nos.write(1, {says!r})\n{then}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    before = children()
    with pytest.raises(errors.InvalidRequest, match="within the server's bounds"):
        await client.read(b"data")
    assert children() == before


def probe(action: str, what: str) -> str:
    """What an action gives in a child that is about to decode."""
    code = (
        f"import os, socket, sys; sys.argv[1:] = ['800000000', '20', '30', {what!r}]\n"
        "from antiphon.sandbox import child\n"
        f"def act(reader, data):\n try:\n  {action}\n except OSError as e: return b'R', type(e).__name__.encode()\n"
        " return b'A', b'done'\n"
        "child._read = act\n"
        "child.main()\n"
    )
    return subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, timeout=30).stdout[5:].decode()


@pytest.mark.parametrize("action", ["open('/dev/null')", "socket.socket()", "os.pipe()"])
@pytest.mark.parametrize("what", ["reference_audio", "speech_audio"])
def test_while_it_decodes_it_can_open_nothing(action: str, what: str) -> None:
    assert probe(action, what) == "OSError"
    assert probe("pass", what) == "done"


async def test_it_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTIPHON_SECRET", "hunter2")
    fake, seen = tmp_path / "python", tmp_path / "seen"
    fake.write_text(f"#!{sys.executable}\nimport os\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(errors.InvalidRequest):
        await client.read(b"data")
    assert "PATH" in seen.read_text()
    assert "hunter2" not in seen.read_text()
    assert "hunter2" in os.environ.values()
