"""Small engines named after the failure they cause. A text that starts with `ok` is always spoken."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase

RATE = 8000


class Fine:
    """Speaks: a tenth of a second of silence, and the text's length in the first sample."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def load(self, phase: Phase) -> None:
        phase("reading nothing")

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("speech", RATE, "1", slots=int(self.options.get("slots", 1)))

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        if not params["text"].startswith("ok"):
            yield from self.fail(params, context)
        yield Chunk(len(params["text"]).to_bytes(2, "little") + bytes(RATE // 5 - 2))

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield from ()

    def close(self) -> None:
        return


class DiesOnLoad(Fine):
    def load(self, phase: Phase) -> None:
        raise FileNotFoundError("weights.bin is missing")


class DiesOnceOnLoad(Fine):
    def load(self, phase: Phase) -> None:
        mark = Path(self.options["mark"])
        if not mark.exists():
            mark.touch()
            os._exit(3)


class ExitsOnUnit(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        print("goodbye", file=sys.stderr, flush=True)
        os._exit(7)
        yield


class Segfaults(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        ctypes.string_at(0)
        yield from ()


class HoldsTheInterpreter(Fine):
    """A call that never gives the lock back: not even the heart can beat."""

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        ctypes.PyDLL(None).sleep(1000)
        yield from ()


class StopsItself(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        os.kill(os.getpid(), signal.SIGSTOP)
        yield from ()


class Spins(Fine):
    """Beats, but never answers, and looks at no flag."""

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        while True:
            time.sleep(0.01)
        yield


class WaitsForCancel(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        while not context.cancelled():
            time.sleep(0.01)
        yield from ()


class BreaksOff(Fine):
    """Says the text sign by sign, and then waits until nobody wants the rest."""

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        for sign in params["text"]:
            yield Chunk(ord(sign).to_bytes(2, "little"))
        while not context.cancelled():
            time.sleep(0.01)


class Raises(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        raise ValueError("cannot say that")
        yield


class CudaError(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        raise RuntimeError("CUDA error: device-side assert triggered")
        yield


def _pipe() -> int:
    """The descriptor of the pipe to the server, found as a hostile library could."""
    return int(sys.argv[1])


class WritesGarbage(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        os.write(_pipe(), os.urandom(4096))
        time.sleep(1000)
        yield


class LiesAboutLength(Fine):
    """Announces a frame of four gigabytes."""

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        os.write(_pipe(), b"ANT\x01" + b"\xff" * 8 + b"x" * 4096)
        time.sleep(1000)
        yield


class PrintsToStdout(Fine):
    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        print("hello from a library" * 1000)
        os.write(1, b"and from its native half\n")
        yield from ()


class Leaks(Fine):
    """Holds ten megabytes more after each unit."""

    kept: list[bytearray] = []

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        self.kept.append(bytearray(b"x") * 10_000_000)
        return super().run(params, context)
