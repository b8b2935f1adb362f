"""Morse code for Antiphon: an engine that speaks it and one that reads it, without a model.

The code is International Morse code, as in recommendation ITU-R M.1677.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice

RATE = 16_000
#: Seconds of a dot at speed 1: twenty words a minute.
DOT = 0.06
#: Hz by voice.
PITCH = {"beep": 600.0, "buzz": 300.0}
_SIGNS = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
CODE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789", _SIGNS.split(), strict=True))
LETTER = {code: letter for letter, code in CODE.items()}


class Morse:
    """Speaks letters and digits; everything else is a pause."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are JSON values; `options["dir"]` would be the folder of a model's files."""

    def load(self, phase: Phase) -> None:
        phase("learning the alphabet")

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision="morse-1",
            voices=tuple(Voice(id, id.title(), ("en",)) for id in PITCH),
            default_voice="beep",
            speed_min=0.5,
            speed_max=2.0,
            deterministic=True,
            cut=Cut(max_chars=120, target_chars=80),
            licence="Apache-2.0",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        if params["voice"] not in PITCH:
            raise errors.UnknownVoice(f"There is no voice {params['voice']!r}; there are: {', '.join(PITCH)}")
        words = ["".join(ch for ch in word if ch in CODE) for word in params["text"].lower().split()]
        if not any(words):
            raise errors.NothingToSay("Morse code has letters and digits only, and there is none in the text")
        dot = DOT / params["speed"]
        beeps = {sign: _beep(PITCH[params["voice"]], dot * length) for sign, length in ((".", 1), ("-", 3))}
        for word in filter(None, words):
            if context.cancelled():
                return
            signs = (_silence(dot).join(beeps[sign] for sign in CODE[letter]) for letter in word)
            yield Chunk(_silence(3 * dot).join(signs) + _silence(7 * dot))

    def close(self) -> None:
        return


class Reader:
    """Reads what `Morse` speaks. MORSE_READER_DELAY: seconds that every piece takes, to watch a queue."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._uploads = Path(options["uploads"])
        self._delay = float(os.environ.get("MORSE_READER_DELAY") or 0.0)

    def load(self, phase: Phase) -> None:
        phase("learning the alphabet")

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("transcription", RATE, "morse-reader-1", languages=("en",), deterministic=True)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        samples = self._samples(params)
        until = time.monotonic() + self._delay
        while time.monotonic() < until and not context.cancelled():
            time.sleep(0.01)
        words = [] if context.cancelled() else list(_words(samples))
        text = " ".join(word["text"] for word in words)
        yield Chunk(json.dumps({"language": "en", "text": text, "segments": words}).encode())

    def close(self) -> None:
        return

    def _samples(self, params: Mapping[str, Any]) -> array[int]:
        """The piece of the recording: mono, 16 bit, 16 kHz."""
        first, last = params["start"], params["end"]
        samples = array("h")
        try:
            with (self._uploads / f"{params['audio']}.pcm").open("rb") as file:
                file.seek(2 * first)
                samples.frombytes(file.read(2 * (last - first)))
        except FileNotFoundError:
            raise errors.NotFound("The recording is gone; send it again") from None
        if len(samples) < last - first:
            raise errors.InvalidRequest("The recording is shorter than it was")
        return samples


def _beep(pitch: float, seconds: float) -> bytes:
    count = round(seconds * RATE)
    # It rises and falls in 5 ms, to avoid clicks.
    edge = round(0.005 * RATE)
    level = (min(1.0, n / edge, (count - n) / edge) for n in range(count))
    wave = (int(12_000 * loud * math.sin(2 * math.pi * pitch * n / RATE)) for n, loud in enumerate(level))
    return array("h", wave).tobytes()


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def _words(samples: array[int]) -> Iterator[dict[str, Any]]:
    """Words with their times in seconds from the first sample."""
    frame = RATE // 100
    loud = [max(map(abs, samples[n : n + frame])) for n in range(0, len(samples), frame)]
    least = max(loud, default=0) / 4
    if least < 100:
        return
    # (whether it sounds, length in frames, first frame)
    runs: list[tuple[bool, int, int]] = []
    at = 0
    for on, group in itertools.groupby(loud, lambda level: level > least):
        length = len(list(group))
        runs.append((on, length, at))
        at += length
    lengths = [length for on, length, _ in runs if on]
    dot = min(min(lengths), max(lengths) / 3) if max(lengths) > 2 * min(lengths) else min(lengths)
    word, code, begun, ended = "", "", 0, 0
    for on, length, at in runs:
        if on:
            begun = begun if word or code else at
            code += "." if length < 2 * dot else "-"
            ended = at + length
        elif length > 2 * dot:
            word, code = word + LETTER.get(code, ""), ""
            if length > 5 * dot and word:
                yield {"text": word, "start": begun / 100, "end": ended / 100}
                word = ""
    word += LETTER.get(code, "")
    if word:
        yield {"text": word, "start": begun / 100, "end": ended / 100}
