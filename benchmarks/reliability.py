"""P1 at full size: the server is killed again and again while jobs come in; then every promise is counted.

`python -m benchmarks.reliability [KILLS] [JOBS] [SEED]`, by default 200 kills over 1,000 jobs.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.http import Connection
from benchmarks.servers import wait


def start(folder: str) -> tuple[subprocess.Popen[str], int, float]:
    """A server on this data; its port, and the seconds until it accepted jobs again."""
    began = time.monotonic()
    command = [sys.executable, "-m", "antiphon.cli.main", "serve", "--port", "0", "--data-dir", folder]
    command += ["--model", "tone", "--workers", "2", "--log-level", "error"]
    env = os.environ | {"ANTIPHON_TONE_DELAY": "0.02"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[-1].rpartition(":")[2])
    wait(f"http://127.0.0.1:{port}/readyz")
    return process, port, time.monotonic() - began


async def submit(port: int, first: int, count: int, ledger: list[str]) -> None:
    """Submits until the server is gone; the ledger has what was answered with 202."""
    connection = Connection(port)
    try:
        for n in range(first, first + count):
            body = json.dumps({"input": f"Job number {n}. It has a second sentence."}).encode()
            answer = await connection.request("POST", "/v1/jobs", body)
            if answer.status == 202:
                ledger.append(json.loads(answer.body)["id"])
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        connection.close()


async def life(process: subprocess.Popen[str], port: int, seconds: float, first: int, ledger: list[str]) -> None:
    task = asyncio.create_task(submit(port, first, 5, ledger))
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    await task


async def finished(port: int, ledger: list[str]) -> dict[str, int]:
    connection = Connection(port)
    counts: dict[str, int] = {}
    for job_id in ledger:
        while True:
            job = json.loads((await connection.request("GET", f"/v1/jobs/{job_id}")).body)
            if job.get("status") in ("succeeded", "failed", "cancelled"):
                break
            await asyncio.sleep(0.02)
        counts[job["status"]] = counts.get(job["status"], 0) + 1
    connection.close()
    return counts


def main() -> None:
    kills, jobs, seed = (int(x) for x in [*sys.argv[1:], *("200", "1000", "1")[len(sys.argv) - 1 :]])
    rnd = random.Random(seed)
    ledger: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        process, port, _ = start(folder)
        for n in range(kills):
            asyncio.run(life(process, port, rnd.uniform(0.005, 0.2), n * jobs // kills, ledger))
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
            process, port, took = start(folder)
            slowest = max(slowest, took)
        counts = asyncio.run(finished(port, ledger))
        files = {path.name for path in (Path(folder) / "output").iterdir()}
        process.send_signal(signal.SIGTERM)
        code = process.wait()
    lost = len(ledger) - counts.get("succeeded", 0)
    extra = len(files - {f"speech_{job_id}.wav" for job_id in ledger})
    doubled = len(ledger) - len(set(ledger))
    print(f"seed {seed}: {kills} kills, {len(ledger)} jobs accepted, {lost} lost, {doubled} doubled,")
    print(f"{extra} files of jobs that were not acknowledged, slowest start {slowest:.1f} s, last exit code {code}")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
