"""Throughput on a Ray cluster of one, two and four nodes, beside as many local workers: `make bench-nodes`.

Each node carries one worker; a unit takes `UNIT` seconds by the clock and next to no processor time, so that what is
measured is what queue, bridge and actor add, and not the two cores on which all the nodes are. One server is asked
throughout; the nodes come and go, and its workers follow. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

from tests.cluster import rays

from benchmarks.http import Connection
from benchmarks.reliability.server import ended, get, serving, submit

UNIT = 0.25
#: Units that each worker gets in a round.
EACH = 40
SIZES = (1, 2, 4)
COMMON = ("--model", "tone", "--model-option", f"tone:delay={UNIT}")
SENTENCE = (
    "Round {} of job {}: sentence {} is said by nobody else, and it fills a segment of its own by being this long."
)


async def throughput(port: int, workers: int, turn: int) -> float:
    """Units in a second, of two jobs for each worker."""
    connection = Connection(port)
    while (await ready(connection)) != workers:
        await asyncio.sleep(0.1)
    jobs = 2 * workers
    texts = ["\n\n".join(SENTENCE.format(turn, job, n) for n in range(EACH // 2)) for job in range(jobs)]
    began = time.monotonic()
    taken = [await submit(connection, text) for text in texts]
    done = [await ended(connection, job["id"]) for job in taken if job is not None]
    took = time.monotonic() - began
    connection.close()
    if any(job["status"] != "succeeded" for job in done) or len(done) != jobs:
        raise RuntimeError("not every job succeeded")
    return sum(int(job["units"]["total"]) for job in done) / took


async def ready(connection: Connection) -> int:
    return sum(w["state"] == "ready" for w in (await get(connection, "/v1/workers"))["data"])


def on_ray(rounds: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory(prefix="antiphon-ray-") as folder, rays.running(Path(folder)) as nodes:
        nodes.set(SIZES[0])
        with serving((*COMMON, "--executor", "ray", "--ray-address", nodes.address), {}) as asked:
            for turn in range(rounds):
                for size in SIZES:
                    nodes.set(size)
                    found[size].append(asyncio.run(throughput(asked.port, size, turn * 10 + size)))
    return found


def locally(rounds: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    for turn in range(rounds):
        for size in SIZES:
            with serving((*COMMON, "--workers", str(size)), {}) as asked:
                found[size].append(asyncio.run(throughput(asked.port, size, turn)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput on one, two and four nodes.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ray, local = on_ray(rounds), locally(rounds)
    one = statistics.median(ray[1])
    print(f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, units of {UNIT} s\n")
    print("| nodes | units/s on Ray | of linear | local workers, units/s | Ray against local | of the clock |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        here, there = statistics.median(local[size]), statistics.median(ray[size])
        print(
            f"| {size} | {there:.2f} | {there / one / size:.0%} | {here:.2f} | {there / here:.0%} "
            f"| {there * UNIT / size:.0%} |"
        )


if __name__ == "__main__":
    main()
