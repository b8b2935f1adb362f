"""What each part of a larger installation costs one server: `make bench-parts`.

The same server on SQLite and local workers, over PostgreSQL, with object storage, and with its workers on Ray, one
after another in each round: a short request that nobody asked before (`/tts` on tone, which computes for half a
millisecond), durable jobs sent by 16 clients at once, units through the server when nothing is to be waited for, and
how long a dead server's job stands still. Medians of the rounds. Database, storage and nodes share the two cores with
what is measured, and moto, the S3 server, is a Python program: the last two rows are pessimistic.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tests.cluster import postgres, rays, storage

from benchmarks.http import Connection
from benchmarks.reliability.server import Server, ended, get, serving, submit, tts

LEASE = 10.0
COMMON = ("--model", "tone", "--max-client-seconds", "1000000", "--max-queue-seconds", "1000000")
SENTENCE = "Sentence {} of text {} is long enough to be a segment of its own, since it fills the line well and more."


@dataclass
class Figures:
    #: Seconds of one request.
    request: list[float] = field(default_factory=list)
    #: Jobs accepted in a second; units made in a second.
    accepted: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)


async def measure(port: int, turn: str, found: Figures) -> None:
    connection = Connection(port)
    for n in range(20):
        await connection.request("POST", "/tts", tts(f"Warm {n} of {turn}."))
    times = []
    for n in range(100):
        answer = await connection.request("POST", "/tts", tts(f"Request {n} of {turn} is a short one."))
        times.append(answer.seconds)
    found.request.append(statistics.median(times))

    async def client(number: int, count: int) -> None:
        mine = Connection(port)
        for n in range(count):
            if await submit(mine, f"Job {n} of client {number}, {turn}.") is None:
                raise RuntimeError("a job was refused")
        mine.close()

    began = time.monotonic()
    await asyncio.gather(*(client(number, 25) for number in range(16)))
    found.accepted.append(400 / (time.monotonic() - began))
    while (await get(connection, "/health"))["queued"]:
        await asyncio.sleep(0.1)

    texts = ["\n\n".join(SENTENCE.format(n, f"{text} of {turn}") for n in range(100)) for text in range(4)]
    began = time.monotonic()
    jobs = [await submit(connection, text) for text in texts]
    done = [await ended(connection, job["id"]) for job in jobs if job is not None]
    found.units.append(sum(job["units"]["total"] for job in done) / (time.monotonic() - began))
    connection.close()


async def stands_still(one: Server, two: Server, turn: int) -> float:
    """Seconds from a server's death to the next unit of its job."""
    asked = Connection(one.port)
    job = await submit(asked, "\n\n".join(SENTENCE.format(n, f"a dead server, {turn}") for n in range(200)))
    assert job is not None
    other = Connection(two.port)
    while (await get(asked, f"/v1/jobs/{job['id']}"))["units"]["done"] < 3:
        await asyncio.sleep(0.05)
    one.kill()
    began = time.monotonic()
    while not (await get(other, "/health"))["concurrent"]:
        await asyncio.sleep(0.02)
    other.close()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="What PostgreSQL, object storage and Ray cost one server.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, Figures] = {}
    still: list[float] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-parts-")))
        database = stack.enter_context(postgres.running(folder / "pg", durable=True))
        objects = stack.enter_context(storage.running())
        nodes = stack.enter_context(rays.running(folder))
        nodes.add(1, num_cpus=2)
        on_ray = ("--executor", "ray", "--ray-address", nodes.address)
        for turn in range(rounds):
            url = database.database()
            shared = objects.environment(objects.bucket())
            parts: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
                "SQLite, local workers": ((), {}),
                "PostgreSQL": (("--store", url), {}),
                "PostgreSQL, object storage": (("--store", url), shared),
                "PostgreSQL, object storage, Ray": (("--store", url, *on_ray), shared),
            }
            for name, (args, env) in parts.items():
                with serving((*COMMON, *args, "--workers", "2"), env) as asked:
                    asyncio.run(measure(asked.port, f"{name} {turn}", found.setdefault(name, Figures())))
            slow = (*COMMON, "--store", url, "--lease", str(LEASE), "--model-option", "tone:delay=0.2")
            with serving(slow, {}) as one, serving(slow, {}) as two:
                still.append(asyncio.run(stands_still(one, two, turn)))
    print(f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds\n")
    print("| | `/tts`, p50 | durable jobs accepted/s | units/s |\n|---|---|---|---|")
    for name, figures in found.items():
        request, accepted, units = map(statistics.median, (figures.request, figures.accepted, figures.units))
        print(f"| {name} | {request * 1000:.1f} ms | {accepted:.0f} | {units:.0f} |")
    print(f"\nA dead server's job stood still for {statistics.median(still):.1f} s with a lease of {LEASE:g} s.")


if __name__ == "__main__":
    main()
