"""Hostile recordings: bombs, playlists and damage are refused in bounded memory, and no child stays behind."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from antiphon.audio import codec, wav
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, Format
from antiphon.sandbox import client
from antiphon.sandbox.client import Limits
from tests.conftest import Server
from tests.unit.test_audio_pcm import tone
from tests.unit.test_sandbox_client import children

MEBIBYTE = 1024 * 1024
SEED = 20_26
FORM = {"name": "bomb", "consent": "I agree. A. Speaker"}


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """21 kB of FLAC: 130 seconds of silence in 8 channels at 192 kHz, 800 MB as floats."""
    out, block = io.BytesIO(), 65_535
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=192_000, layout="7.1", options={"frame_size": str(block)})
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8 * block), np.int16), format="s16", layout="7.1")
        silence.sample_rate = 192_000
        for _ in range(130 * 192_000 // block + 1):
            silence.pts = None
            file.mux(stream.encode(silence))
        file.mux(stream.encode(None))
    return out.getvalue()


async def test_a_bomb_is_refused_within_a_child_that_is_small(bomb: bytes) -> None:
    """Of 384 MiB of address space Python and the decoders take 200 before the first sample."""
    assert len(bomb) < 100_000
    with pytest.raises(errors.InvalidRequest, match="longer than 120 seconds"):
        await client.read(bomb, Limits(memory=384 * MEBIBYTE))


def test_a_bomb_does_not_grow_the_server(tone: Server, bomb: bytes) -> None:
    def high_water() -> int:
        status = Path(f"/proc/{tone.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def send() -> str:
        answer = tone.client.post("/v1/audio/voices", data=FORM, files={"audio_sample": bomb})
        assert answer.status_code == 400
        return str(answer.json()["error"]["message"])

    assert "longer than 120 seconds" in send()
    before = high_water()
    send()
    assert high_water() - before < 8 * MEBIBYTE


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXTINF:2,\nfile://{0}\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
        "concat:{0}|{0}",
        "{0}",
    ],
    ids=["m3u", "hls", "ffconcat", "concat", "path"],
)
async def test_a_playlist_is_refused(playlist: str, tmp_path: Path) -> None:
    """What it names is a recording that would be taken."""
    audio = tone_file(tmp_path)
    assert await client.read(audio.read_bytes())
    with pytest.raises(errors.InvalidRequest, match="cannot be read"):
        await client.read(playlist.format(audio).encode())


def tone_file(folder: Path) -> Path:
    path, audio = folder / "real.wav", tone(2, 8000)
    path.write_bytes(wav.header(8000, len(audio)) + audio)
    return path


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt != "pcm"])
async def test_damage_is_a_recording_or_a_refusal(fmt: Format) -> None:
    rng = random.Random(f"{SEED}{fmt}")
    good = codec.encode(tone(1.5, 24000), 24000, fmt)
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        outcomes = await asyncio.gather(*(client.read(damaged(good, rng)) for _ in range(2)), return_exceptions=True)
        for outcome in outcomes:
            assert isinstance(outcome, bytes | errors.InvalidRequest), f"{fmt}, seed {SEED}: {outcome!r}"
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2


def damaged(good: bytes, rng: random.Random) -> bytes:
    data = bytearray(good)
    match rng.randrange(4):
        case 0:
            for _ in range(rng.randrange(1, 200)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            for _ in range(rng.randrange(1, 20)):
                data[rng.randrange(min(200, len(data)))] = rng.randrange(256)
        case 2:
            del data[rng.randrange(len(data)) :]
        case _:
            at = rng.randrange(len(data))
            data[at:at] = rng.randbytes(rng.randrange(1, 5000))
    return bytes(data)


@pytest.mark.parametrize(
    ("bounds", "action", "signals"),
    [
        (("1", "60"), "while True: pass", {signal.SIGXCPU, signal.SIGKILL}),
        (("60", "1"), "import time; time.sleep(60)", {signal.SIGALRM}),
    ],
    ids=["busy", "asleep"],
)
def test_a_decoder_that_never_ends_is_ended_though_nobody_kills_it(
    bounds: tuple[str, str], action: str, signals: set[signal.Signals]
) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['800000000', *{bounds!r}, 'reference_audio']\n"
        "from antiphon.sandbox import child\n"
        f"def hang(reader, data):\n {action}\n"
        "child._read = hang\n"
        "child.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, timeout=30)
    assert -done.returncode in signals
