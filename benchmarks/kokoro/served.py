"""Kokoro through servers: seconds of sound a second with eight clients at once, side by side in one run.

Ours, with its queue, its cache and its journal, beside what the machine can do without a server (processes that speak
in a loop: our engine, and the package on the graph as it came), the article's server, and two model servers around
the same engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import servers
from benchmarks.http import Answer, Connection, load
from benchmarks.kokoro.sentences import ENGLISH
from benchmarks.rows import Row

HERE = Path(__file__).parent
#: Hz, and bytes of a sample.
RATE, WIDTH = 24000, 2
CLIENTS, PROCESSES = 8, 2
#: Nothing comes from the cache.
FRESH = {"Cache-Control": "no-store"}
SHORT = {
    "en": "Good morning, and welcome. The library opens at nine today. Please leave your bags at the front desk.",
    "zh": "早上好，欢迎光临。图书馆今天九点开门。请把您的包放在前台。",
}
#: An interpreter with Ray Serve and LitServe; `make bench-servers` names it.
OTHERS = os.environ.get("ANTIPHON_BENCH_SERVERS", "")


def texts(turn: str, count: int) -> list[str]:
    """Sentences that nobody has asked for yet, so that none comes from a cache."""
    return [f"{ENGLISH[n % len(ENGLISH)]} That was number {n} of {turn}." for n in range(count)]


# What is compared: each takes texts and returns seconds of sound a second


def through(port: int, path: str, body: Callable[[str], dict[str, Any]], asked: list[str]) -> float:
    bodies = [json.dumps(body(text)).encode() for text in asked]
    took, answers = asyncio.run(load(port, path, bodies, CLIENTS))
    return sum(_seconds(answer, port) for answer in answers) / took


def _seconds(answer: Answer, port: int) -> float:
    """Of raw samples, or of the file that the article's server names."""
    if answer.headers.get("content-type", "").startswith("application/json"):
        file = servers.ARTICLE / json.loads(answer.body)["audio_path"].lstrip("/")
        return (file.stat().st_size - 44) / WIDTH / RATE
    return len(answer.body) / WIDTH / RATE


def speech(text: str) -> dict[str, Any]:
    return {"model": "kokoro", "input": text, "response_format": "pcm", "stream": False}


def plain(text: str) -> dict[str, Any]:
    return {"text": text}


def bare(kind: str, asked: list[str]) -> float:
    """Processes with one thread each that speak their part of the texts in a loop; loading is not counted."""
    context = multiprocessing.get_context("spawn")
    ready, go, told = context.Semaphore(0), context.Event(), context.Queue()
    parts = [asked[n::PROCESSES] for n in range(PROCESSES)]
    running = [context.Process(target=_loop, args=(kind, part, ready, go, told)) for part in parts]
    for process in running:
        process.start()
    for _ in running:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    sound = sum(told.get() for _ in running)
    took = time.perf_counter() - began
    for process in running:
        process.join()
    return float(sound) / took


def _loop(kind: str, asked: list[str], ready: Any, go: Any, told: Any) -> None:
    say = speaker() if kind == "engine" else package()
    say("Ready.")
    ready.release()
    go.wait()
    told.put(sum(say(text) for text in asked) / RATE)


def speaker() -> Callable[[str], int]:
    """Our engine; returns the number of samples."""
    from benchmarks.kokoro.__main__ import chunks, engine

    kokoro = engine()
    return lambda text: sum(map(len, chunks(kokoro, text, "en"))) // WIDTH


def package() -> Callable[[str], int]:
    """The package as its documentation shows it, on the graph as it came."""
    from benchmarks.kokoro.__main__ import VOICES
    from benchmarks.kokoro.__main__ import package as load_package

    model = load_package()
    return lambda text: len(model.create(text, voice=VOICES["en"], lang="en-us")[0])


@contextlib.contextmanager
def article() -> Iterator[int]:
    before = {name: os.environ.get(name) for name in ("ENGINE", "ENGINE_DIR")}
    os.environ |= {"ENGINE": "kokoro", "ENGINE_DIR": str(servers.models("kokoro") / "kokoro")}
    try:
        with servers.article() as port:
            yield port
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def other(script: str) -> Iterator[int]:
    """A model server around the same engine, with as many copies of it as we have workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    folder = servers.models("kokoro") / "kokoro"
    command = [OTHERS, str(HERE / script), str(port), str(folder), str(PROCESSES)]
    env = os.environ | {"PYTHONPATH": str(HERE.parent.parent), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    try:
        servers.wait(f"http://127.0.0.1:{port}/health", 120)
        yield port
    finally:
        servers.end(process)


# The rows


def kokoro(rounds: int = 3, each: int = 16) -> list[Row]:
    """Ours against bare processes, the package and the article's server."""
    found: dict[str, list[float]] = {"ours": [], "engine": [], "package": [], "article": []}
    with servers.antiphon("--model", "kokoro", "--models-dir", str(servers.models("kokoro"))) as port:
        through(port, "/v1/audio/speech", speech, texts("the warm-up", 4))
        for turn in range(rounds):
            asked = texts(f"round {turn}", each)
            found["ours"].append(through(port, "/v1/audio/speech", speech, asked))
            for kind in ("engine", "package"):
                found[kind].append(bare(kind, asked))
            with article() as other_port:
                found["article"].append(through(other_port, "/tts", plain, asked[: each // 2]))
    return rows(found, {
        "engine": ("2 bare processes of the same engine", "≥ 0.95×"),
        "package": ("2 bare processes of the package on the published graph", "≥ 1.4×"),
        "article": ("the article's server", "≥ 2×"),
    })  # fmt: skip


def kokoro_servers(rounds: int = 3, each: int = 16) -> list[Row]:
    """Ours against model servers around the same engine."""
    if not OTHERS:
        sys.exit("Ray Serve and LitServe are measured by: make bench-servers")
    found: dict[str, list[float]] = {"ours": [], "ray": [], "lit": []}
    for turn in range(rounds):
        asked = texts(f"round {turn}", each)
        with servers.antiphon("--model", "kokoro", "--models-dir", str(servers.models("kokoro"))) as port:
            through(port, "/v1/audio/speech", speech, texts("the warm-up", 2))
            found["ours"].append(through(port, "/v1/audio/speech", speech, asked))
        for name, script in (("ray", "ray_serve.py"), ("lit", "lit_serve.py")):
            with other(script) as port:
                through(port, "/predict", plain, texts("the warm-up", 2))
                found[name].append(through(port, "/predict", plain, asked))
    return rows(found, {"ray": ("Ray Serve", "reported"), "lit": ("LitServe", "reported")})


def first_audio() -> list[Row]:
    """The first sound of a text of 2,000 characters against its first sentence as a whole, and of three short
    sentences against all of them."""
    with servers.antiphon("--model", "kokoro", "--models-dir", str(servers.models("kokoro"))) as port:
        return asyncio.run(_first_audio(port))


async def _first_audio(port: int) -> list[Row]:
    from benchmarks.kokoro.__main__ import LONG

    found = []
    for language, sentence in LONG.items():
        text = (sentence * (2000 // len(sentence) + 1))[:2000]
        goal = "≤ 0.4 s on an idle machine, ≤ 0.25×"
        found.append(await _first(port, f"first audio of 2,000 characters on Kokoro, {language}", text, sentence, goal))
    for language, text in SHORT.items():
        found.append(await _first(port, f"first audio of three sentences on Kokoro, {language}", text, text, "≤ 0.5×"))
    return found


async def _first(port: int, what: str, text: str, part: str, goal: str, rounds: int = 5) -> Row:
    soon, whole = [], []
    connection = Connection(port)
    for _ in range(rounds + 1):
        soon.append(await connection.first("/v1/audio/speech", _streamed(text), FRESH))
        while json.loads((await connection.request("GET", "/health")).body)["concurrent"]:
            await asyncio.sleep(0.05)
        whole.append((await connection.request("POST", "/v1/audio/speech", _streamed(part), FRESH)).seconds)
    connection.close()
    # The first round warms up.
    a, b = statistics.median(soon[1:]), statistics.median(whole[1:])
    against = "all of them" if text == part else f"its first sentence whole ({len(part.strip())} characters)"
    return Row(what, f"{a:.2f} s", f"{against} {b:.2f} s", f"{a / b:.2f}×", goal)


def _streamed(text: str) -> bytes:
    return json.dumps({"model": "kokoro", "input": text, "response_format": "pcm"}).encode()


def rows(found: dict[str, list[float]], baselines: dict[str, tuple[str, str]]) -> list[Row]:
    """A row for each baseline, by the medians."""
    ours = statistics.median(found["ours"])
    return [
        Row(
            "seconds of sound a second, Kokoro, 8 at once",
            f"{ours:.2f}",
            f"{what} {statistics.median(found[name]):.2f}",
            f"{statistics.median(a / b for a, b in zip(found['ours'], found[name], strict=True)):.2f}×",
            goal,
        )
        for name, (what, goal) in baselines.items()
    ]
