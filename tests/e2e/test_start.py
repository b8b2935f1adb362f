"""P27: a start that cannot work says in one sentence what is wrong and what to do, with an exit code of its own."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from antiphon.cache import Cache
from antiphon.cli import check
from antiphon.domain import errors
from antiphon.domain.job import Job, Result, State
from antiphon.settings import load
from antiphon.store.sqlite import SqliteStore
from tests.conftest import Start, launch, wait_until
from tests.launcher import Forked

#: Runs commands given on standard input, each in a process of its own, without loading the program for each.
RUNS = """
import json, os, sys, tempfile
import antiphon.cli.check, antiphon.cli.keys, antiphon.cli.serve
from antiphon.cli.main import main

for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as said:
        if (child := os.fork()) == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = json.loads(line)
            main()
            sys.exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        print(json.dumps([code, said.read()]), flush=True)
"""
Command = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """Runs a command that is refused; returns its exit code and the one sentence that it says."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def run(data: Path, *words: str) -> tuple[int, str]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(["antiphon", *words, "--data-dir", str(data)]) + "\n")
        process.stdin.flush()
        code, said = json.loads(process.stdout.readline())
        assert "Traceback" not in said, said
        sentences = [line for line in said.splitlines() if line.startswith("antiphon: ")]
        assert len(sentences) == 1, said
        assert len(sentences[0]) < 600
        return code, sentences[0]

    yield run
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(command: Command) -> Refused:
    return lambda data, *more: command(data, "serve", "--port", "0", "--model", "tone", *more)


NO_FILE = Result("", "audio/wav", 1, 1.0, "d" * 64)


def database(path: Path, jobs: int, result: Result = NO_FILE) -> None:
    """A database of a server that ran before, with finished jobs of a kilobyte each."""

    async def fill() -> None:
        store = SqliteStore(path)
        await store.open()
        now = time.time()
        done = [
            Job(f"{n:026}", "speech", State.SUCCEEDED, "me", "normal", {"text": f"{n:01000}"}, now, now, now,
                result=result, attempt=1, kept=False)
            for n in range(jobs)
        ]  # fmt: skip
        await asyncio.gather(*(store.record(job) for job in done))
        await store.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(fill())


def damage(path: Path, first: int) -> None:
    """Writes noise over every page from number `first` on, as a failing disk or another program would."""
    noise = random.Random(27)
    with path.open("r+b") as file:
        file.seek(first * 4096)
        for _ in range(first * 4096, path.stat().st_size, 4096):
            file.write(noise.randbytes(4096))


def test_a_damaged_database_is_refused_and_left_alone(command: Command, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    database(path, 100)
    damage(path, first=25)
    before = path.read_bytes()
    code, said = refused(tmp_path)
    assert code == 12
    assert "is damaged" in said
    assert "backup" in said
    assert path.read_bytes() == before
    assert command(tmp_path, "doctor", "--check")[0] == 12
    path.write_bytes(b"no database at all" * 1000)
    assert refused(tmp_path)[0] == 12
    # That there are no keys cannot be told of a damaged database.
    assert refused(tmp_path, "--host", "0.0.0.0")[0] == 12


def test_no_job_is_taken_into_a_database_that_is_damaged_while_the_server_runs(
    serve: Start, refused: Refused, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    database(data / "antiphon.db", 3000)
    server = serve("--model", "tone", "--workers", "1", data=data)
    damage(data / "antiphon.db", first=3)
    answer = server.client.post("/v1/jobs", json={"input": "Hello."})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_damaged")
    assert str(data) not in answer.text
    wait_until(lambda: server.process.poll() is not None, "the server ends")
    assert server.process.returncode == 12
    assert any("is damaged" in line["message"] and "backup" in line["message"] for line in server.lines())
    assert refused(data)[0] == 12


def test_a_lost_database_is_missed(command: Command, refused: Refused, serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    serve("--model", "tone", "--workers", "1", data=data).kill()
    for path in data.glob("antiphon.db*"):
        path.unlink()
    code, said = refused(data)
    assert code == 13
    assert "antiphon.db is gone" in said
    assert "--new-database" in said
    # A key would make the database that is missed, and hide that the others are gone.
    assert command(data, "keys", "create", "--name", "anna")[0] == 13
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        # It would start, were there not something else that keeps it from it.
        assert command(data, "serve", "--model", "tone", "--port", port, "--new-database")[0] == 16


def test_a_newer_database_is_refused(refused: Refused, tmp_path: Path) -> None:
    database(tmp_path / "antiphon.db", 1)
    db = apsw.Connection(str(tmp_path / "antiphon.db"))
    db.pragma("user_version", 1000)
    db.close()
    code, said = refused(tmp_path)
    assert code == 14
    assert "Upgrade Antiphon" in said
    with pytest.raises(errors.SchemaTooNew):
        check.main(load(flags={"data_dir": tmp_path}), lambda line: None)


def test_two_servers_do_not_share_a_folder_or_a_port(command: Command, tmp_path: Path) -> None:
    with socket.socket() as taken, (tmp_path / "antiphon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        code, said = command(tmp_path, "serve", "--model", "tone", "--port", "0")
        assert (code, "already uses" in said) == (15, True)
        code, said = command(tmp_path / "other", "serve", "--model", "tone", "--port", str(port))
    assert (code, "cannot listen" in said) == (16, True)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_an_operating_system_refuses(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "antiphon.lock").mkdir()
    assert refused(tmp_path)[0] == 10
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "data")[0] == 10
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "output").symlink_to(tmp_path)
    assert refused(tmp_path / "data")[0] == 10


def test_a_library_that_is_missing(tmp_path: Path) -> None:
    missing = "libsqlite9.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "apsw.py").write_text(f"raise ImportError({missing!r})")
    done = subprocess.run(
        [sys.executable, "-m", "antiphon.cli.main", "backup", str(tmp_path / "to")],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 18
    assert done.stderr.startswith(f"antiphon: a part of Antiphon cannot be loaded: {missing}; ")
    assert done.stderr.count("\n") == 1


# Disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_can_only_be_read(refused: Refused, disk: Path) -> None:
    data = disk / "data"
    data.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, said = refused(data)
    assert (code, "can only be read" in said) == (10, True)
    code, said = refused(disk / "new")
    assert (code, "Read-only file system" in said) == (10, True)


def test_a_disk_that_is_full(refused: Refused, disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096 and os.statvfs(disk).f_bavail > 2:
            pass
    code, said = refused(disk / "data")
    assert (code, "full" in said or "No space" in said) == (11, True)


# On demand


def test_the_doctor_reads_everything(tmp_path: Path) -> None:
    audio, voice = b"finished", b"recording"
    name = f"speech_{'0' * 26}.wav"
    database(tmp_path / "antiphon.db", 3, Result(name, "audio/wav", 8, 1.0, hashlib.sha256(audio).hexdigest()))
    recording = tmp_path / "voices" / f"{hashlib.sha256(voice).hexdigest()}.wav"
    for path, data in ((tmp_path / "output" / name, audio), (recording, voice)):
        path.parent.mkdir()
        path.write_bytes(data)

    async def fill() -> None:
        cache = Cache(tmp_path / "cache", 1_000_000)
        await cache.open()
        for n in range(3):
            await cache.put(f"{n:064}", b"sound", {})
        await cache.close()

    asyncio.run(fill())
    said: list[str] = []
    settings = load(flags={"data_dir": tmp_path})
    check.main(settings, said.append)
    assert said == [
        "database: sound", "finished files: 3 sound, 0 damaged", "voices: 1 sound, 0 damaged",
        "cache: 3 sound, 0 damaged",
    ]  # fmt: skip
    (tmp_path / "output" / name).write_bytes(b"changed")
    recording.write_bytes(b"changed")
    (tmp_path / "cache" / "00" / f"{1:064}").write_bytes(b"changed")
    said.clear()
    with pytest.raises(errors.AntiphonError, match="4 files are not what was stored"):
        check.main(settings, said.append)
    assert [line for line in said if "damaged" in line] == [
        "finished files: 0 sound, 3 damaged", "voices: 0 sound, 1 damaged",
        "cache: 2 sound, 1 damaged; what is damaged there is computed again",
    ]  # fmt: skip
    assert f"  {1:064}" in said


def test_a_forked_server_is_like_one_with_an_interpreter_of_its_own(serve: Start, tmp_path: Path) -> None:
    """Most tests fork their servers from one that has loaded its modules (`tests/launcher.py`)."""

    def look(fresh: bool) -> tuple[dict[str, str], list[str], str, int]:
        server = launch(tmp_path / f"{fresh}", "--model", "tone", "--workers", "1", fresh=fresh)
        assert isinstance(server.process, Forked) is not fresh
        process = Path("/proc", str(server.process.pid))
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        # `SigQ` counts the signals of all processes.
        names = [name for name in status if name.startswith(("Sig", "Umask", "NoNew", "Cap")) and name != "SigQ"]
        kept = {name: status[name] for name in names}
        kept |= {"cwd": os.readlink(process / "cwd"), "session": f"{os.getsid(server.process.pid)}"}
        kinds = [re.sub(r"\d+", "", os.readlink(entry)) for entry in (process / "fd").iterdir()]
        # How often it has its database open depends on what it did so far.
        opened = sorted(kind for kind in kinds if "antiphon.db" not in kind)
        return kept, [Path(kind).name for kind in opened], server.workers()[0]["state"], server.stop()

    serve("--model", "tone", "--workers", "1")  # Nothing of it is left in the next one.
    assert look(fresh=True) == look(fresh=False)


def test_ends_of_a_forked_server_are_told_as_they_are(serve: Start) -> None:
    killed, refused = serve("--model", "tone"), serve("--model", "tone")
    assert killed.process.poll() is None
    killed.process.kill()
    assert killed.process.wait(timeout=20) == -signal.SIGKILL
    with pytest.raises(pytest.fail.Exception, match="no-such-option"):
        serve("--no-such-option")
    assert refused.process.poll() is None
    assert refused.stop() == 0
