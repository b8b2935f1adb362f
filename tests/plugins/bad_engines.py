"""Engines that misbehave, each in one way. The text `ok` is spoken by all that start."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice

RATE = 16_000


class Fine:
    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("speech", RATE, "1", voices=(Voice("v", "V", ("en",)),), default_voice="v")

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        if params["text"] != "ok":
            yield from self.misbehave(params, context)
        yield Chunk(b"\x10\x20" * RATE)

    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield from ()

    def close(self) -> None:
        return


class Raises(Fine):
    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        raise ZeroDivisionError("a defect of its author's")


class Hangs(Fine):
    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        while True:
            time.sleep(1)
        yield


class Dies(Fine):
    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        os._exit(7)
        yield


class Chatters(Fine):
    """Writes into its standard output and error without end."""

    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        for n in range(1_000):
            print(f"chatter {n} " * 20, flush=True)
        yield from ()


class Odd(Fine):
    """Half a sample."""

    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(b"x")


class Garbage(Fine):
    """Says that it hears, and answers with what is no JSON."""

    def capabilities(self) -> Capabilities:
        return Capabilities("transcription", RATE, "1")

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(b"\xff\xfe no JSON")


class Boastful(Fine):
    """Its meta contradicts its capabilities."""

    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(b"\x10\x20" * 100, {"sample_rate": "very high"})


class Untyped(Fine):
    def misbehave(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield "a string"  # type: ignore[misc]


class NoVoice(Fine):
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), default_voice="nobody")


class NoLength(Fine):
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), cut=Cut(max_chars=0, target_chars=0, first_chars=0))


class NoSpeed(Fine):
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), speed_min=0.0)


class NoCapabilities(Fine):
    def capabilities(self) -> Any:
        return {"kind": "speech"}


class HangsOnLoad(Fine):
    def load(self, phase: Phase) -> None:
        time.sleep(1e6)
