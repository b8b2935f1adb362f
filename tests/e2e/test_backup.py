"""`antiphon backup` while jobs come in: a server started on the copy has every job that was accepted before it began."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from tests.conftest import Server, Start, command


def submit(server: Server, n: int) -> str:
    answer = server.client.post("/v1/jobs", json={"input": f"Job number {n} of a backup."})
    return str(answer.json()["id"])


def backup(server: Server, to: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return command("backup", str(to), "--data-dir", str(server.data), *options)


@pytest.mark.local("sqlite: what is in PostgreSQL is backed up by pg_dump")
def test_a_copy_made_under_load_has_every_job(serve: Start, tmp_path: Path) -> None:
    server = serve("--model", "tone", env={"ANTIPHON_TONE_DELAY": "0.01"})
    before = [submit(server, n) for n in range(30)]
    finished = server.wait_job(before[0])
    assert finished["status"] == "succeeded"
    audio = server.client.get(f"/v1/jobs/{before[0]}/result").content
    stop = threading.Event()

    def load() -> None:
        n = 1000
        while not stop.is_set() and n < 3000:
            submit(server, n := n + 1)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        made = backup(server, tmp_path / "copy", "--output")
    finally:
        stop.set()
        thread.join()
    assert made.returncode == 0, made.stderr
    assert not list(tmp_path.glob(".*.part"))
    later = serve("--model", "tone", data=tmp_path / "copy")
    for job_id in before:
        assert later.wait_job(job_id)["status"] == "succeeded"
    assert later.client.get(f"/v1/jobs/{before[0]}/result").content == audio
    # A folder with something in it is never written over.
    again = backup(server, tmp_path / "copy")
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
