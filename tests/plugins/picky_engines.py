"""Engines with a small alphabet: one that tells it beforehand, one that says so when a text is due, one of the old
form; and one that hears."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Phase
from antiphon.engines.tone import Tone

SILENT = "①②③④⑤"


class Late(Tone):
    """Says that it has no sound for a text when the text is due."""

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        if not any(ch.isalnum() and ch not in SILENT for ch in params["text"]):
            raise self.nothing()
        yield from super().run(params, context)

    def nothing(self) -> errors.AntiphonError:
        return errors.NothingToSay("there is no sound for this")


class Early(Late):
    """Tells beforehand what it has no sound for, reads two languages and has a voice of a third."""

    def capabilities(self) -> Capabilities:
        can = super().capabilities()
        voices = (*can.voices[:-1], replace(can.voices[-1], languages=("ja",)))
        return replace(can, silent=SILENT, languages=("en", "zh"), tries_any_language=False, voices=voices)


class Old(Late):
    """Was written before `NothingToSay`."""

    def nothing(self) -> errors.AntiphonError:
        return errors.InvalidText("there is no sound for this")


class Ear:
    """A recogniser of one language that hears the same in everything."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("transcription", 16000, "ear-1", languages=("en",), deterministic=True)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(json.dumps({"language": "en", "text": "something", "segments": []}).encode())

    def close(self) -> None:
        return


ENGINES = {"late": "Late", "early": "Early", "old": "Old", "ear": "Ear"}
