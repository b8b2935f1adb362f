"""The command line: output, exit codes and error messages."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from tests.conftest import Server, command_bytes


def antiphon(*args: str, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("ANTIPHON_")}
    return command_bytes(*args, cwd=cwd, given=(text or "").encode(), env=env | {"COLUMNS": "150"})


def test_help_lists_the_commands(tmp_path: Path) -> None:
    shown = antiphon("--help", cwd=tmp_path).stdout.decode()
    for command in ("serve", "say", "pull", "models", "voices", "doctor"):
        assert command in shown
    assert "--port" in antiphon("serve", "--help", cwd=tmp_path).stdout.decode()


def test_say_through_a_running_server(espeak: Server, tmp_path: Path) -> None:
    done = antiphon("say", "Good morning.", "-o", "morning.mp3", "--server", espeak.base, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"morning.mp3" in done.stdout
    assert (tmp_path / "morning.mp3").stat().st_size > 1000


def test_say_without_a_server(tmp_path: Path) -> None:
    done = antiphon(
        "say", "-", "-o", "-", "--emotion", "sad", "--model", "espeak", "--server", "http://127.0.0.1:9",
        cwd=tmp_path, text="Said from standard input.",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with wave.open(io.BytesIO(done.stdout)) as file:
        assert file.getnframes() / file.getframerate() > 0.5


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["say", "Hi", "-o", "x.doc", "--server", "http://127.0.0.1:9"], "ending must be one of"),
        (["say", "Hi", "--model", "nothing", "--server", "http://127.0.0.1:9"], "no model 'nothing'"),
        (["say", "...", "--model", "espeak", "--server", "http://127.0.0.1:9"], "nothing to say"),
        (["pull", "nothing"], "no model 'nothing'"),
        (["serve", "--model", "nothing"], "no model 'nothing'"),
        (["serve", "--host", "0.0.0.0"], "--insecure"),
        (["serve", "--config", "nothing.toml"], "cannot read"),
        (["serve", "--port", "http"], "--port"),
    ],
)
def test_mistakes_get_one_line_and_no_traceback(tmp_path: Path, args: list[str], says: str) -> None:
    done = antiphon(*args, cwd=tmp_path)
    assert done.returncode != 0
    assert says in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_models_voices_doctor(tmp_path: Path, espeak: Server) -> None:
    listed = antiphon("models", cwd=tmp_path).stdout.decode()
    assert "kokoro" in listed
    assert "espeak" in listed
    voices = antiphon("voices", "--server", espeak.base, "--language", "es", cwd=tmp_path).stdout.decode()
    assert "es" in voices
    alone = antiphon("voices", "--model", "espeak", "--server", "http://127.0.0.1:9", cwd=tmp_path).stdout.decode()
    assert "en-us" in alone
    said = antiphon("doctor", cwd=tmp_path).stdout.decode()
    assert "yes  espeak" in said
    # What is typed must be whole, extras in their brackets too.
    for line in (line for line in said.splitlines() if "pip install" in line):
        assert re.search(r"pip install 'antiphon\[\w+\]'", line), line
    assert "antiphon pull kokoro" in said or "yes  kokoro" in said


def test_import_is_quick_and_light() -> None:
    """Heavy modules load on first use. The time is a loose bound; `make bench` measures it."""
    script = (
        "import sys, antiphon; heavy = {'numpy', 'torch', 'onnxruntime', 'av', 'fastapi', 'pydantic'} & set(sys.modules); "
        "sys.exit(' '.join(heavy) or 0)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - began < 3


def test_the_server_process_never_loads_an_engine(espeak: Server) -> None:
    maps = Path(f"/proc/{espeak.process.pid}/maps").read_text()
    assert "libespeak" not in maps
    assert "onnxruntime" not in maps


def test_jobs_from_the_command_line(tone: Server, tmp_path: Path) -> None:
    def jobs(*args: str) -> subprocess.CompletedProcess[bytes]:
        return antiphon("jobs", *args, "--server", tone.base, cwd=tmp_path)

    job = tone.client.post("/v1/jobs", json={"input": "From the command line. And once more. And then again."}).json()
    watched = jobs("watch", job["id"])
    assert watched.returncode == 0, watched.stderr
    assert b"/output/speech_" in watched.stdout
    assert job["id"] in jobs("list", "--status", "succeeded").stdout.decode()
    assert jobs("cancel", job["id"]).stdout.decode().strip().endswith("succeeded")
    refused = jobs("retry", job["id"])
    assert refused.returncode == 1
    assert "antiphon:" in refused.stderr.decode()
    missing = jobs("watch", "nothing")
    assert "no job" in missing.stderr.decode()
    nobody = antiphon("jobs", "list", "--server", "http://127.0.0.1:9", cwd=tmp_path)
    assert "no server answers" in nobody.stderr.decode()
