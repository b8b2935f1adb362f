"""docs/writing-an-engine.md: its files are those of examples/morse, and its commands do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import plugins
from tests.conftest import Server, launch, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "writing-an-engine.md"
SCRIPTS = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the page works: the package is written from the page."""
    made = tmp_path_factory.mktemp("reader")
    (made / "antiphon-morse").mkdir()
    (made / "antiphon-morse" / "pyproject.toml").write_text(blocks("toml")[0])
    (made / "antiphon-morse" / "antiphon_morse.py").write_text("\n\n".join(blocks("python")))
    return made


@pytest.fixture(scope="module")
def env(folder: Path) -> dict[str, str]:
    """The reader's shell; what is installed goes into a folder of its own."""
    return os.environ | {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "site"),
        "PIP_TARGET": str(folder / "site"),
        "PIP_NO_DEPS": "1",
        # Its name is the wrong way round: 0 is "without".
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def server(folder: Path, env: dict[str, str]) -> Iterator[Server]:
    """After the package was installed; serves what the page says."""
    install, *_ = commands()
    done = subprocess.run(install, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    words = next(line for line in commands() if line.startswith("antiphon serve")).split()[2:]
    made = launch(folder / "data", *words, env={"PYTHONPATH": env["PYTHONPATH"]}, ready=False)
    for name in ("morse", "morse-reader"):
        made.wait_ready(name)
    yield made
    made.stop()


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def expected() -> Iterator[tuple[str, str]]:
    """Each command with what the page says that it prints."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def test_the_files_of_the_page_are_those_of_the_example(folder: Path) -> None:
    for name in ("pyproject.toml", "antiphon_morse.py"):
        said = (folder / "antiphon-morse" / name).read_text().strip().split()
        assert said == (plugins.MORSE / name).read_text().strip().split(), f"{name} differs from the page"


def test_its_commands(server: Server, folder: Path, env: dict[str, str]) -> None:
    ran = 0
    for command, printed in expected():
        if command.startswith(("pip", "antiphon serve")):
            continue  # The server's fixture has done that.
        command = command.replace("localhost:7860", f"127.0.0.1:{server.port}")
        done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert printed.strip() in done.stdout, command
        ran += 1
    assert ran >= 5


def test_every_surface_knows_it(server: Server) -> None:
    spoken = server.client.post("/tts", json={"text": "Hello there.\n\nSOS.", "model": "morse"}).json()
    assert spoken["status"] == "succeeded", spoken
    job = server.client.post("/v1/jobs", json={"model": "morse", "input": "A job.", "speed": 1.5}).json()
    assert server.wait_job(job["id"])["status"] == "succeeded"
    srt = server.client.get(f"/v1/jobs/{job['id']}/subtitles.srt").text
    assert "A job." in srt
    voices = [v["id"] for v in server.client.get("/v1/audio/voices").json()["voices"]]
    assert {"beep", "buzz"} <= {v if isinstance(v, str) else v["id"] for v in voices}
    models = {m["id"]: m for m in server.client.get("/v1/models").json()["data"]}
    assert (models["morse"]["kind"], models["morse-reader"]["kind"]) == ("speech", "transcription")
    streamed = server.client.post(
        "/v1/audio/speech", json={"model": "morse", "input": "Paris", "response_format": "mp3", "stream_format": "sse"}
    )
    assert "speech.audio.done" in streamed.text
    refused = server.client.post("/v1/audio/speech", json={"model": "morse", "input": "你好"})
    assert refused.status_code == 400
    assert "letters and digits" in refused.text


def test_twenty_minutes_survive_a_kill(tmp_path: Path) -> None:
    """The pieces that were heard are not heard again, and the text is complete and in order."""
    speak = plugins.morse(tmp_path / "site")
    sys.path.insert(0, str(plugins.MORSE))
    try:
        import antiphon_morse as morse
    finally:
        sys.path.remove(str(plugins.MORSE))
    numbers = [f"{n:03}" for n in range(240)]
    audio = bytearray()
    engine = morse.Morse({})
    never = type("Never", (), {"cancelled": lambda self: False})()
    for number in numbers:
        spoken = b"".join(c.payload for c in engine.run({"text": number, "voice": "beep", "speed": 2.0}, never))
        audio += spoken.ljust(2 * morse.RATE * 5, b"\0")
    assert len(audio) == 2 * morse.RATE * 1200

    from antiphon.audio import wav

    env = {**speak, "MORSE_READER_DELAY": "0.1"}
    args = ("--model", "morse-reader", "--workers", "1")
    server = launch(tmp_path / "data", *args, env=env, ready=False)
    server.wait_ready("morse-reader")
    files = {"file": ("long.wav", wav.header(morse.RATE, len(audio)) + bytes(audio))}
    accepted = server.client.post(
        "/v1/audio/transcriptions", files=files, data={"model": "morse-reader", "response_format": "text"},
        headers={"Prefer": "respond-async"},
    )  # fmt: skip
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["id"]
    total = accepted.json()["units"]["total"]
    assert total >= 40
    done = wait_until(lambda: (n := server.job(job)["units"]["done"]) >= total // 3 and n, "a third is heard")
    assert done < total
    server.kill()
    again = launch(tmp_path / "data", *args, env=env, ready=False)
    try:
        ended = again.wait_job(job)
        assert ended["status"] == "succeeded"
        assert again.client.get(f"/v1/jobs/{job}/result").text.split() == numbers
        # What ran in this life is what was not done in the first; one piece may have been lost on its way to the disk.
        served = sum(worker["units"] for worker in again.client.get("/v1/workers").json()["data"])
        assert served <= total - done + 1
        assert ended["units"]["cached"] >= done - 1
    finally:
        again.stop()
