"""P6, P7 and the quotas through the whole server: a disk that is full, comes back, or fails its fsync."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server, Start, wait_until

DISK = Path(__file__).parent / "disk"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def submit(server: Server, n: int) -> httpx.Response:
    return server.client.post("/v1/jobs", json={"input": f"Job {n} is kept. It has two sentences."})


def fill(path: Path, leave: int = 0) -> None:
    """Takes what is left of the space."""
    free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in range((free - leave) // 4096 + (1 if not leave else 0)):
            file.write(bytes(4096))


def audio_is_whole(server: Server, job_id: str) -> None:
    job = server.wait_job(job_id)
    assert job["status"] == "succeeded", job
    answer = server.client.get(f"/v1/jobs/{job_id}/result")
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'


@pytest.mark.parametrize("reserve", [4 * 1024 * 1024, 0], ids=["under the reserve", "to the last byte"])
def test_a_full_disk_refuses_loses_nothing_and_resumes(serve: Start, small_disk: Path, reserve: int) -> None:
    env = {"ANTIPHON_TONE_DELAY": "0.05"}
    server = serve("--model", "tone", "--min-free-bytes", str(reserve), data=small_disk / "data", env=env)
    taken = [submit(server, n).json()["id"] for n in range(20)]
    ballast = small_disk / "ballast"
    fill(ballast, leave=reserve // 2)
    for n in range(100, 500):
        refused = submit(server, n)
        if refused.status_code == 503:
            break
        # The log may have pages to spare.
        taken.append(refused.json()["id"])
        fill(small_disk / f"ballast{n}", leave=reserve // 2)
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["code"] == "storage_full"
    assert ("--min-free-bytes" in refused.json()["error"]["message"]) == bool(reserve)
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert server.client.get("/livez").status_code == 200
    for path in small_disk.glob("ballast*"):
        path.unlink()
    freed = time.monotonic()
    again = wait_until(lambda: (r := submit(server, 900)).status_code == 202 and r, "work is taken again")
    assert time.monotonic() - freed <= 5
    for job_id in [*taken, again.json()["id"]]:
        audio_is_whole(server, job_id)
    names = {path.name for path in (server.data / "output").iterdir()}
    assert names == {f"speech_{job_id}.wav" for job_id in [*taken, again.json()["id"]]}


@pytest.mark.alone
def test_a_failed_fsync_promises_nothing_and_ends_the_process(serve: Start, tmp_path: Path) -> None:
    switch = tmp_path / "fails"
    env = {"PYTHONPATH": str(DISK), "TEST_DISK_FAILS": str(switch)}
    server = serve("--model", "tone", env=env)
    kept = [submit(server, n).json()["id"] for n in range(5)]
    switch.touch()
    failed = time.monotonic()
    with contextlib.suppress(httpx.TransportError):
        assert submit(server, 6).status_code == 503
    assert server.process.wait(timeout=20) == 1
    took = time.monotonic() - failed
    print(f"ended after {took:.2f} s")
    assert took <= 2, f"it took {took:.2f} s to end"
    assert [line for line in server.lines() if line.get("level") == "critical"]
    switch.unlink()
    later = serve("--model", "tone", data=server.data, env=env)
    for job_id in kept:
        audio_is_whole(later, job_id)
    assert len(later.client.get("/v1/jobs").json()["data"]) in (len(kept), len(kept) + 1)


def test_the_oldest_output_goes_first_and_its_job_says_so(serve: Start) -> None:
    server = serve("--model", "tone")
    ids = [submit(server, n).json()["id"] for n in range(4)]
    for job_id in ids:
        audio_is_whole(server, job_id)
    server.stop()
    output = server.data / "output"
    files = [output / f"speech_{job_id}.wav" for job_id in ids]
    for age, path in enumerate(reversed(files), 1):
        os.utime(path, (time.time() - age * 3600,) * 2)
    quota = sum(path.stat().st_size for path in files[2:])
    later = serve("--model", "tone", "--output-bytes", str(quota), data=server.data)
    wait_until(lambda: not files[1].exists(), "the oldest are removed")
    assert [path.exists() for path in files] == [False, False, True, True]
    gone = later.client.get(f"/v1/jobs/{ids[0]}/result")
    assert gone.status_code == 404
    assert "removed" in gone.json()["error"]["message"]
    audio_is_whole(later, ids[3])
