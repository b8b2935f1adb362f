"""Every example is run, as its reader would run it, and what it promises is there afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.audio import codec
from tests.conftest import Server, launch

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Example: its arguments, the files that it leaves, and what it says.
RUNS: dict[str, tuple[list[str], list[str], str]] = {
    "speak.py": (["Hello.", "hello.wav"], ["hello.wav"], "audio/wav"),
    "stream_to_file.py": ([], ["streamed.mp3"], "first bytes after"),
    "many_at_once.py": ([], [f"announcements/{n:02}.opus" for n in range(1, 21)], "20 files"),
    "job_with_webhook.py": ([], [], "called back: job.succeeded"),
    "openai_client.py": ([], ["openai.mp3"], "models: espeak"),
    "llm_to_speech.py": ([], ["llm.pcm"], "session.done"),
    "in_process.py": ([], ["antiphon-data/in_process.flac"], "in_process.flac"),
    "book.py": ([], ["book.opus", "book.srt"], "20/20 segments"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = launch(tmp_path_factory.mktemp("examples"), "--model", "espeak", "--workers", "2", "--webhook-private")
    yield made
    made.stop()


def test_there_is_a_test_for_every_example() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == RUNS.keys()


@pytest.mark.parametrize("name", RUNS)
def test_it_does_what_it_says(server: Server, tmp_path: Path, name: str) -> None:
    arguments, files, says = RUNS[name]
    env = {k: v for k, v in os.environ.items() if not k.startswith("ANTIPHON_")} | {"ANTIPHON_SERVER": server.base}
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    for file in map(tmp_path.joinpath, files):
        if file.suffix == ".srt":
            assert file.read_text().startswith("1\n00:00:00")
        else:
            audio = file.read_bytes()
            samples, rate = (audio, 24000) if file.suffix == ".pcm" else codec.decode(audio)
            assert len(samples) / 2 / rate > 0.3


def test_each_is_short_and_both_languages_list_all() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name
    listed = (EXAMPLES / "README.md").read_text()
    assert all(listed.count(f"[{name}]({name})") == 2 for name in RUNS)
