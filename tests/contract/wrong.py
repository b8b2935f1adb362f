"""Engines that each break one line of the contract."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase
from antiphon.engines.tone import Tone


class Silent(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        for chunk in super().run(params, context):
            yield Chunk(bytes(len(chunk.payload)))


class Mixed(Tone):
    """Two units at a time, which both get what came last."""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), slots=2)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        self.last = params
        time.sleep(0.3)
        return super().run(self.last, context)


class Odd(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield from super().run(params, context)
        yield Chunk(b"x")


class Anybody(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        return super().run({**params, "voice": "tone"}, context)


class Flat(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        return super().run({**params, "emotion": {}}, context)

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), emotions=("happy",))


class Random(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield from super().run(params, context)
        yield Chunk(random.randbytes(2000))

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), deterministic=True)


class Deaf(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield from super().run(params, context)
        if len(params["text"]) > 100:
            time.sleep(20)  # It does not ask whether anybody still listens.


class Mortal(Tone):
    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        if params["text"] == "...":
            os._exit(3)
        yield from super().run(params, context)


class Absent(Tone):
    def load(self, phase: Phase) -> None:
        raise FileNotFoundError("weights are missing")


class Careless(Tone):
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), default_voice="x")
