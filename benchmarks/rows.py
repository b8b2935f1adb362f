"""The rows of the table. Each measures Antiphon and its baseline side by side in one run, several times."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import engines, servers
from benchmarks.http import Connection, load, percentile

SENTENCE = "Request number {} of round {} asks for a sentence of ordinary length, as people do."
SEGMENT = "Sentence number {} of {} is long enough to be a segment of its own, since it fills the line well and more."


@dataclass(frozen=True)
class Row:
    what: str
    ours: str
    baseline: str
    ratio: str
    goal: str


def tts(text: str) -> bytes:
    return json.dumps({"text": text, "emotion": "neutral"}).encode()


def overhead(rounds: int = 5, each: int = 60) -> list[Row]:
    """One request at a time on `tone`, nothing cached, against the engine called directly in this process."""
    engine = engines.load("tone")
    extra, direct_all, served_all = [], [], []
    with servers.antiphon("--model", "tone", "--workers", "1") as port:

        async def run() -> None:
            connection = Connection(port)
            for r in range(rounds):
                direct, served = [], []
                for n in range(each):
                    text = SENTENCE.format(n, r)
                    began = time.perf_counter()
                    engines.speak(engine, text)
                    direct.append(time.perf_counter() - began)
                    served.append((await connection.request("POST", "/tts", tts(text))).seconds)
                extra.append(statistics.median(served) - statistics.median(direct))
                direct_all.append(statistics.median(direct))
                served_all.append(statistics.median(served))
            connection.close()

        asyncio.run(run())
    more = statistics.median(extra) * 1000
    return [
        Row(
            "overhead of one request on tone, p50",
            f"{statistics.median(served_all) * 1000:.2f} ms",
            f"engine called directly {statistics.median(direct_all) * 1000:.2f} ms",
            f"+{more:.2f} ms",
            "≤ 3 ms more",
        )
    ]


def espeak(rounds: int = 3, each: int = 600) -> list[Row]:
    """Requests per second at eight at once on espeak, against as many bare engine processes in a loop."""
    ours, bare = [], []
    with servers.antiphon("--model", "espeak", "--workers", "2") as port:
        asyncio.run(load(port, "/tts", [tts(SENTENCE.format(n, "warm")) for n in range(50)], 8))
        for r in range(rounds):
            texts = [SENTENCE.format(n, r) for n in range(each)]
            took, _ = asyncio.run(load(port, "/tts", [tts(t) for t in texts], 8))
            ours.append(each / took)
            bare.append(each / engines.in_processes("espeak", texts, 2))
    a, b = statistics.median(ours), statistics.median(bare)
    return [
        Row(
            "requests per second, espeak, 8 at once",
            f"{a:.0f}/s",
            f"2 bare engine processes {b:.0f}/s",
            f"{a / b:.0%}",
            "≥ 80 %",
        )
    ]


def article(rounds: int = 3, each: int = 24) -> list[Row]:
    """The same at the article's server: a process for every request, at most two."""
    ours, theirs = [], []
    with servers.antiphon("--model", "espeak", "--workers", "2") as port, servers.article() as other:
        asyncio.run(load(port, "/tts", [tts(SENTENCE.format(n, "warm")) for n in range(20)], 8))
        for r in range(rounds):
            bodies = [tts(SENTENCE.format(n, r)) for n in range(each)]
            took, _ = asyncio.run(load(other, "/tts", bodies, 8))
            theirs.append(each / took)
            bodies = [tts(SENTENCE.format(n, f"{r} of more")) for n in range(each * 10)]
            took, _ = asyncio.run(load(port, "/tts", bodies, 8))
            ours.append(each * 10 / took)
    a, b = statistics.median(ours), statistics.median(theirs)
    return [
        Row(
            "requests per second, espeak, 8 at once",
            f"{a:.0f}/s",
            f"the article's server {b:.1f}/s",
            f"{a / b:.0f}×",
            "≥ 30×",
        )
    ]


def behind_a_book(shorts: int = 24) -> list[Row]:
    """A short request while a book of 300 segments and 50 other jobs are queued, on two workers of 0.2 s a segment.

    The article's server has no segments and cannot let anybody in between: its short requests wait for the jobs that
    came before. It is measured with the 50 jobs only (its book would take a minute by itself, for each of its two
    processes), which flatters it.
    """
    ours = asyncio.run(_ours(shorts))
    theirs = asyncio.run(_theirs())
    a, b = percentile(ours, 95), statistics.median(theirs)
    return [
        Row(
            "short request behind a 300-segment book and 50 jobs, p95",
            f"{a:.2f} s, at most {max(ours):.2f} s",
            f"the article's server, behind the 50 jobs alone {b:.1f} s",
            f"{b / a:.0f}×",
            "≤ 2 segment times (0.4 s), at most 1 s",
        )
    ]


def behind_own_novel(rounds: int = 5, characters: int = 900_000) -> list[Row]:
    """A short request on Kokoro while a book of 900,000 characters of the same client is read, and without the book."""

    async def run(port: int) -> tuple[list[float], list[float]]:
        connection = Connection(port)

        async def short(n: int, when: str) -> float:
            body = json.dumps({"text": f"A short sentence, number {n}, {when}.", "model": "kokoro"}).encode()
            answer = await connection.request("POST", "/tts", body)
            assert answer.status == 200, answer.body
            return answer.seconds

        idle = [await short(n, "before the book") for n in range(rounds + 1)][1:]
        novel = "\n\n".join(SEGMENT.format(n, "the novel") for n in range(characters // len(SEGMENT) + 1))
        body = json.dumps({"input": novel[:characters], "model": "kokoro"}).encode()
        assert (await connection.request("POST", "/v1/jobs", body)).status == 202
        behind = [await short(n, "beside the book") for n in range(rounds)]
        connection.close()
        return idle, behind

    with servers.antiphon("--model", "kokoro", "--models-dir", str(servers.models("kokoro"))) as port:
        idle, behind = asyncio.run(run(port))
    a, b = statistics.median(behind), statistics.median(idle)
    return [
        Row(
            "short request on Kokoro beside one's own book of 900,000 characters",
            f"{a:.1f} s, at most {max(behind):.1f} s",
            f"without the book {b:.1f} s",
            f"{a / b:.1f}×",
            "admitted; it waits for the segment that is read, and no longer",
        )
    ]


async def _ours(shorts: int) -> list[float]:
    delay = {"ANTIPHON_TONE_DELAY": "0.2"}
    with servers.antiphon("--model", "tone", "--workers", "2", env=delay) as port:
        connection = Connection(port)
        texts = ["\n\n".join(SEGMENT.format(n, "the book") for n in range(300))]
        texts += ["\n\n".join(SEGMENT.format(n, f"job {j}") for n in range(2)) for j in range(50)]
        for text in texts:
            await connection.request("POST", "/v1/jobs", json.dumps({"input": text}).encode())
        answers = [await connection.request("POST", "/tts", tts(f"Short and quick, {n}.")) for n in range(shorts)]
        connection.close()
        return [answer.seconds for answer in answers]


async def _theirs() -> list[float]:
    """Two inference processes of 0.2 s a segment behind the article's queue, with the same 50 jobs in front."""
    import os

    os.environ |= {"ENGINE": "tone", "ANTIPHON_TONE_DELAY": "0.4", "MAX_TEXT": "2000"}
    try:
        with servers.article() as port:
            jobs = [
                asyncio.create_task(Connection(port).request("POST", "/tts", tts(SEGMENT.format(0, f"job {j}"))))
                for j in range(50)
            ]
            await asyncio.sleep(0.2)
            answer = await Connection(port).request("POST", "/tts", tts("Short and quick."))
            await asyncio.gather(*jobs)
            return [answer.seconds]
    finally:
        for name in ("ENGINE", "ANTIPHON_TONE_DELAY", "MAX_TEXT"):
            os.environ.pop(name, None)


def burst(rounds: int = 3, jobs: int = 2000) -> list[Row]:
    """A burst of durable jobs from 64 connections while two workers are busy: each 202 means that it is on disk."""
    rates, latest = [], []
    with servers.antiphon("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.05"}) as port:
        for r in range(rounds):
            bodies = [json.dumps({"input": f"Burst {r}, job {n} is a short one."}).encode() for n in range(jobs)]
            took, answers = asyncio.run(load(port, "/v1/jobs", bodies, 64))
            rates.append(jobs / took)
            latest.append(percentile([answer.seconds for answer in answers], 99))
    rate, p99 = statistics.median(rates), statistics.median(latest) * 1000
    return [Row("2,000 durable jobs in a burst", f"{rate:.0f}/s, p99 {p99:.0f} ms", "-", "-", "≥ 2,000/s, p99 ≤ 50 ms")]


def eta(jobs: int = 120) -> list[Row]:
    """What a job was told against when it was done: asked on a backlog that stays as it is, and told under arrivals."""
    fixed = asyncio.run(_eta_errors(jobs, gap=0.0))
    random_ = asyncio.run(_eta_errors(jobs, gap=0.09))
    good = sum(e <= 0.25 for e in fixed) / len(fixed)
    fixed_text = f"median {statistics.median(fixed):.0%}, p90 {percentile(fixed, 90):.0%}"
    random_text = f"median {statistics.median(random_):.0%}, p90 {percentile(random_, 90):.0%}"
    return [
        Row("error of the ETA, fixed backlog", fixed_text, "-", f"{good:.0%} within 25 %", "90 % within 25 %"),
        Row("error of the ETA, random arrivals at 90 % load", random_text, "-", "-", "reported"),
    ]


async def _eta_errors(jobs: int, gap: float) -> list[float]:
    rnd = random.Random(1)
    env = {"ANTIPHON_TONE_DELAY": "0.05", "ANTIPHON_TONE_DELAY_PER_CHAR": "0.001"}
    with servers.antiphon("--model", "tone", "--workers", "2", env=env) as port:
        connection = Connection(port)
        for n in range(30):
            await connection.request("POST", "/tts", tts(f"Learning {'a little more ' * (n % 6)}{n}."))
        told: dict[str, tuple[float, float]] = {}
        for n in range(jobs):
            text = "\n\n".join(SEGMENT.format(part, f"job {n}") for part in range(rnd.choice((1, 1, 1, 2, 4))))
            answer = await connection.request("POST", "/v1/jobs", json.dumps({"input": text}).encode())
            job = json.loads(answer.body)
            told[job["id"]] = (job["created_at"], job["eta"])
            await asyncio.sleep(rnd.expovariate(1 / gap) if gap else 0)
        if not gap:
            # The backlog is complete: from now on nothing arrives, and every ETA can be held to its word.
            for job_id in told:
                job = json.loads((await connection.request("GET", f"/v1/jobs/{job_id}")).body)
                told[job_id] = (time.time(), job["eta"])
            told = {job_id: (at, predicted) for job_id, (at, predicted) in told.items() if predicted is not None}
        wrong = []
        for job_id, (at, predicted) in told.items():
            took = await _end(connection, job_id) - at
            wrong.append(abs(predicted - took) / max(took, 0.2))
        connection.close()
        return wrong


async def _end(connection: Connection, job_id: str) -> float:
    while True:
        job = json.loads((await connection.request("GET", f"/v1/jobs/{job_id}")).body)
        if job["finished_at"]:
            return float(job["finished_at"])
        await asyncio.sleep(0.05)


ROWS: dict[str, Callable[[], list[Row]]] = {
    "overhead": overhead,
    "espeak": espeak,
    "article": article,
    "book": behind_a_book,
    "own-novel": behind_own_novel,
    "burst": burst,
    "eta": eta,
}
