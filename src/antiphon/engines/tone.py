"""Tone: speaks a sine whose pitch identifies its text, to test and to measure the server."""

from __future__ import annotations

import hashlib
import math
import os
import time
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.domain import voice as voices
from antiphon.domain.engine import Capabilities, Chunk, Context, Phase, Voice
from antiphon.domain.request import EMOTIONS, SPEED_MAX, SPEED_MIN

SAMPLE_RATE = 24000
REVISION = "tone-1"
#: Seconds of audio per character, and the fewest of a unit.
SECONDS_PER_CHAR, SECONDS_MIN = 0.02, 0.1
#: Hz. The pitch of a text is `LOW` plus its hash modulo `SPAN`.
LOW, SPAN = 200, 3800
HIGHEST = 11000
#: Fraction of full scale.
AMPLITUDE = 0.3
#: Seconds between two checks for a cancel.
STEP = 0.01

#: Fraction by which an emotion of weight 1 raises the pitch; all differ.
PITCH = dict(zip(EMOTIONS, (0.12, 0.21, -0.12, 0.30, -0.21, -0.30, 0.39, -0.05), strict=True))
VOICES = {"tone": 1.0, "low": 0.5, "high": 2.0}


def frequency_of(text: str, *, emotion: Mapping[str, float] | None = None, voice: str = "tone") -> float:
    """Hz, a whole number: 200 plus the first four bytes of the text's SHA-256 (big-endian) modulo 3800, multiplied by
    the voice's factor and by 1 plus the weighted sum of `PITCH`, rounded, and at most 11000."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big")
    return _bent((LOW + number % SPAN) * VOICES[voice], emotion)


def _bent(frequency: float, emotion: Mapping[str, float] | None) -> float:
    bend = 1.0 + sum(PITCH[name] * weight for name, weight in (emotion or {}).items())
    return float(min(HIGHEST, max(1, round(frequency * max(bend, 0.1)))))


def pitch_of(audio: bytes, rate: int) -> float:
    """Hz of the strongest sound in mono PCM, by its zero crossings; exact for a single tone."""
    samples = array("h", audio)
    # Samples below a tenth of the loudest do not count: they are hiss, or what an encoder leaves around a sound.
    least = max(1, max(samples, default=0) // 10)
    at, above = [], False
    for index, sample in enumerate(samples):
        if abs(sample) >= least and (sample > 0) is not above:
            at.append(index)
            above = not above
    # From one crossing to the next is half a wave; silence before the first and after the last does not count.
    return (len(at) - 1) * rate / 2 / (at[-1] - at[0]) if len(at) > 2 else LOW


def seconds_of(text: str, speed: float = 1.0) -> float:
    """Seconds of the tone of a text."""
    return max(SECONDS_MIN, SECONDS_PER_CHAR * len(text)) / speed


class Tone:
    """Options: `delay` (seconds of every unit), `delay_per_char` (more seconds per character), `slots`, and `voices`
    (the folder of the uploaded references). It clones: with a reference every text has the reference's pitch.

    The environment variables `ANTIPHON_TONE_DELAY` and `ANTIPHON_TONE_DELAY_PER_CHAR` are the first two's defaults.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._delay = float(options.get("delay", os.environ.get("ANTIPHON_TONE_DELAY") or 0.0))
        per_char = os.environ.get("ANTIPHON_TONE_DELAY_PER_CHAR") or 0.0
        self._delay_per_char = float(options.get("delay_per_char", per_char))
        self._slots = int(options.get("slots", 1))
        self._voices = Path(options["voices"]) if options.get("voices") else None

    def load(self, phase: Phase) -> None:
        phase("computing the table")
        scale = 32767 * AMPLITUDE
        # A second of 1 Hz: a tone of n Hz takes every n-th sample, without rounding. Several such seconds in a row make
        # fewer and longer slices.
        wave = [round(scale * math.sin(2 * math.pi * i / SAMPLE_RATE)) for i in range(SAMPLE_RATE)]
        self._table = array("h", wave) * 8

    def warm(self) -> None:
        """The first unit is not slower than others."""

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="speech",
            sample_rate=SAMPLE_RATE,
            revision=REVISION,
            voices=tuple(Voice(name, name.capitalize(), ()) for name in VOICES),
            default_voice="tone",
            emotions=EMOTIONS,
            speed_min=SPEED_MIN,
            speed_max=SPEED_MAX,
            cloning=True,
            deterministic=True,
            slots=self._slots,
            footprint=24 * 1024 * 1024,
            licence="Apache-2.0",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        text = params["text"]
        frequency = self._frequency(params)
        if not self._wait(self._delay + self._delay_per_char * len(text), context):
            return
        yield Chunk(self._samples(int(frequency), round(SAMPLE_RATE * seconds_of(text, params["speed"]))))

    def close(self) -> None:
        """Nothing to release."""

    def _frequency(self, params: Mapping[str, Any]) -> float:
        voice = str(params["voice"])
        digest = voices.digest_of(voice)
        if digest is None:
            if voice not in VOICES:
                raise errors.UnknownVoice(f"tone has the voices {', '.join(VOICES)}", param="voice")
            return frequency_of(params["text"], emotion=params["emotion"], voice=voice)
        try:
            if self._voices is None:
                raise FileNotFoundError("no directory of voices")
            recording = (self._voices / f"{digest}.wav").read_bytes()
        except FileNotFoundError as e:
            raise errors.UnknownVoice("The voice's recording is no longer here; upload it again", param="voice") from e
        return _bent(pitch_of(*wav.read(recording)), params["emotion"])

    def _wait(self, seconds: float, context: Context) -> bool:
        """Sleeps; False if the unit was cancelled meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if context.cancelled():
                return False
            time.sleep(min(STEP, left))
            context.progress(1 - left / seconds)
        return not context.cancelled()

    def _samples(self, frequency: int, count: int) -> bytes:
        """`count` samples of mono signed 16-bit PCM, made of slices of the table."""
        samples, start = array("h"), 0
        while len(samples) < min(count, SAMPLE_RATE):
            part = self._table[start::frequency]
            samples.extend(part)
            start += len(part) * frequency - len(self._table)
        second = samples[:SAMPLE_RATE].tobytes()
        return (second * (count // SAMPLE_RATE + 1))[: 2 * count]
