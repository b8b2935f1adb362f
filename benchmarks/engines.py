"""Bare engine processes in a loop: what the machine can do without a server around it."""

from __future__ import annotations

import multiprocessing
import time
from importlib import import_module
from typing import Any


class Context:
    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        return None


def load(name: str) -> Any:
    """An engine of this package, loaded and warm, in this process."""
    module = import_module(f"antiphon.engines.{name}")
    engine = getattr(module, name.capitalize())({})
    engine.load(lambda phase, fraction=None: None)
    engine.warm()
    return engine


def speak(engine: Any, text: str) -> bytes:
    params = {
        "text": text, "voice": engine.capabilities().default_voice, "language": "en", "emotion": {}, "speed": 1.0,
        "seed": 0, "options": {},
    }  # fmt: skip
    return b"".join(chunk.payload for chunk in engine.run(params, Context()))


def _loop(name: str, texts: list[str], ready: Any, go: Any) -> None:
    engine = load(name)
    speak(engine, "Ready.")
    ready.release()
    go.wait()
    for text in texts:
        speak(engine, text)


def in_processes(name: str, texts: list[str], count: int) -> float:
    """Seconds that `count` processes need for all texts, start-up not counted."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    parts = [texts[i::count] for i in range(count)]
    processes = [context.Process(target=_loop, args=(name, part, ready, go)) for part in parts]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    return time.perf_counter() - began
