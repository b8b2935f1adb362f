"""Two servers over one PostgreSQL and one object storage, three nodes of Ray: everything of it is killed while 500 jobs
come in. Afterwards each job is there once, and its audio is, to the byte, what a quiet server makes of its text.

    make bench-cluster ARGS="--seed 7"

What each fault is: a worker's process gets SIGKILL; a node's raylet and all that it started do, and another node comes;
a server does, and is started again when its lease is over; the database cuts all connections, or crashes and comes
back; the storage goes away for a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from tests.cluster import postgres, rays, storage

from benchmarks.reliability.server import FINAL, Row, Server

NODES, LEASE, UNIT = 3, 2.0, 0.06
#: Clients that submit at the same time, and seconds after which one gives up on a job: then it is lost.
CLIENTS, PATIENCE = 8, 180.0
#: Seconds between two faults.
BETWEEN = (0.8, 2.5)
#: Seconds in which the last end must have been told.
TOLD = 30.0
SENTENCE = "This is sentence {} of job number {}, and it is long enough to be a segment of its own in every plan."


def text(number: int) -> str:
    return "\n\n".join(SENTENCE.format(n, number) for n in range(2 + number % 3))


@dataclass
class Scene:
    """All that there is, and what is done to it."""

    database: postgres.Postgres
    url: str
    nodes: rays.Rays
    objects: storage.Storage
    servers: list[Server]
    rnd: random.Random
    done: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "worker": self.kill_worker,
            "node": self.kill_node,
            "server": self.kill_server,
            "connections": self.cut,
            "database": self.crash,
            "storage": self.outage,
        }

    async def rage(self, over: asyncio.Event) -> None:
        """One fault after another, each kind in its turn: once at least, and then until all jobs have ended."""
        while not over.is_set():
            for name in self.rnd.sample(sorted(self.faults), len(self.faults)):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.rnd.uniform(*BETWEEN)):
                        await over.wait()
                if over.is_set() and self.done[name]:
                    return
                await self.faults[name]()
                self.done[name] += 1

    async def kill_worker(self) -> None:
        """Of a unit if it has one."""
        server = self.rnd.choice(self.servers)
        async with client(server) as asking:
            try:
                found = (await asking.get("/v1/workers")).json()["data"]
            except httpx.HTTPError:
                return
        pids = [w["pid"] for w in found if w["pid"]]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rnd.choice([w["pid"] for w in found if w["busy"] and w["pid"]] or pids), 9)

    async def kill_node(self) -> None:
        await asyncio.to_thread(self.nodes.kill, self.rnd.randrange(len(self.nodes.nodes)))
        self.nodes.add(1, num_cpus=2)  # Ray wants the main thread for it.

    async def kill_server(self) -> None:
        server = self.rnd.choice(self.servers)
        server.kill()
        # Until the other one has taken its work over.
        await asyncio.sleep(self.rnd.uniform(0.5, 1.5) * LEASE)
        await asyncio.to_thread(server.start)

    async def cut(self) -> None:
        for _ in range(5):
            await asyncio.to_thread(self.database.cut, self.url)
            await asyncio.sleep(0.1)

    async def crash(self) -> None:
        await asyncio.to_thread(self.database.stop, postgres.CRASH)
        await asyncio.to_thread(self.database.start)

    async def outage(self) -> None:
        await asyncio.to_thread(self.objects.stop)
        await asyncio.sleep(1.0)
        self.objects.start()


@contextlib.contextmanager
def scene(seed: int) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-cluster-")))
        database = stack.enter_context(postgres.running(folder / "pg"))
        objects = stack.enter_context(storage.running())
        nodes = stack.enter_context(rays.running(folder))
        nodes.add(NODES, num_cpus=2)
        url = database.database()
        env = objects.environment(objects.bucket())
        servers = []
        for name in ("one", "two"):
            (data := folder / name).mkdir()
            args = ("--model", "tone", "--model-option", f"tone:delay={UNIT}", "--workers", "2", "--executor", "ray")
            args += ("--ray-address", nodes.address, "--store", url, "--lease", str(LEASE), "--server-name", name)
            servers.append(Server(data, args, env))
            servers[-1].start()
            stack.callback(_stop, servers[-1])
        yield Scene(database, url, nodes, objects, servers, random.Random(seed))


def _stop(server: Server) -> None:
    if server.process.poll() is None:
        server.stop()


@contextlib.asynccontextmanager
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=15) as made:
        yield made


async def stubborn(servers: list[Server], turn: int, method: str, path: str, **more: Any) -> httpx.Response:
    """Asks one server, and where that fails the other, as behind a load balancer; until somebody answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(httpx.HTTPError):
            async with client(servers[turn % len(servers)]) as asking:
                answer = await asking.request(method, path, **more)
            if answer.status_code < 500:
                return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answered {method} {path}")
        turn += 1
        await asyncio.sleep(0.1)


async def quiet(texts: list[str]) -> list[str]:
    """Digests of what a server that nobody disturbs makes of the texts."""
    with tempfile.TemporaryDirectory(prefix="antiphon-quiet-") as folder:
        alone = Server(Path(folder), ("--model", "tone"), {})
        alone.start()
        try:
            jobs = [await submit([alone], n, each) for n, each in enumerate(texts)]
            return [await result([alone], n, job) for n, job in enumerate(jobs)]
        finally:
            alone.stop()


async def submit(servers: list[Server], number: int, input: str) -> str:
    """The job's id. Sent again after an error, with the same key, it is the same job."""
    body = {"input": input, "response_format": "wav"}
    answer = await stubborn(servers, number, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": f"n{number}"})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def result(servers: list[Server], number: int, job: str) -> str:
    """The digest of its audio, or how it ended instead."""
    deadline = time.monotonic() + PATIENCE
    while True:
        told = (await stubborn(servers, number, "GET", f"/v1/jobs/{job}")).json()
        if told.get("status") in FINAL:
            break
        if time.monotonic() > deadline:
            return f"{told.get('status')}"
        await asyncio.sleep(0.2)
    if told["status"] != "succeeded":
        return f"{told['status']}: {told['error']}"
    # Of the other server than was asked for it.
    answer = await stubborn(servers, number + 1, "GET", told["result"]["path"])
    return hashlib.sha256(answer.content).hexdigest() if answer.status_code == 200 else f"{answer.status_code}"


async def run(found: Scene, texts: list[str], seconds: float) -> tuple[list[str], list[str]]:
    """Submits the texts over some time while everything is killed; ids and digests, in their order."""
    ids, digests = [""] * len(texts), [""] * len(texts)
    waiting = iter(range(len(texts)))
    began, over = time.monotonic(), asyncio.Event()

    async def one() -> None:
        for number in waiting:
            await asyncio.sleep(max(0.0, began + seconds * number / len(texts) - time.monotonic()))
            ids[number] = await submit(found.servers, number, texts[number])

    async def look() -> None:
        await asyncio.gather(*(one() for _ in range(CLIENTS)))
        turns = asyncio.Semaphore(CLIENTS)

        async def see(number: int) -> None:
            async with turns:
                digests[number] = await result(found.servers, number, ids[number])

        await asyncio.gather(*(see(number) for number in range(len(texts))))
        over.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(found.rage(over))
        tasks.create_task(look())
    return ids, digests


def chaos(seed: int, jobs: int = 500, seconds: float = 60.0) -> Row:
    texts = [text(n) for n in range(jobs)]
    expected = asyncio.run(quiet(texts))
    began = time.monotonic()
    with scene(seed) as found:
        ids, digests = asyncio.run(run(found, texts, seconds))
        with psycopg.connect(found.url) as db:
            count = "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE state = 'succeeded') FROM jobs"
            rows = db.execute(count).fetchone()
            told = "SELECT count(*), count(DISTINCT job) FROM events WHERE type = 'job.succeeded'"
            # An end is told after it is stored.
            late = time.monotonic() + TOLD
            while (ends := db.execute(told).fetchone()) is not None and ends[1] < jobs and time.monotonic() < late:
                db.rollback()
                time.sleep(0.1)
        faults = ", ".join(f"{count} × {name}" for name, count in sorted(found.done.items()))
    wrong = [
        f"job {n}: {digest}" for n, (digest, right) in enumerate(zip(digests, expected, strict=True)) if digest != right
    ]
    for each in wrong[:10]:
        print(each, file=sys.stderr)
    assert rows is not None
    assert ends is not None
    lost = jobs - rows[2]
    doubled = rows[0] - len(set(ids)) + ends[0] - ends[1]
    return Row(
        "P1, P3",
        f"{jobs} jobs on {NODES} nodes and two servers, seed {seed}; killed meanwhile: {faults}",
        f"{lost} lost, {doubled} doubled, {len(wrong)} wrong; {time.monotonic() - began:.0f} s",
        not wrong and lost == doubled == 0 and len(set(ids)) == jobs and ends == (jobs, jobs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Everything is killed; nothing may be lost, doubled or wrong.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="over which the jobs come in")
    options = parser.parse_args()
    row = chaos(options.seed, options.jobs, options.seconds)
    print(f"| {row.promise} | {row.what} | {row.figure} | {'yes' if row.holds else 'no'} |")
    sys.exit(0 if row.holds else 1)


if __name__ == "__main__":
    main()
