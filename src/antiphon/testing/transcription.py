"""Transcription checks: what every engine for speech recognition must do."""

from __future__ import annotations

import json
from typing import Any

from antiphon.domain import errors
from antiphon.testing.bench import RATE, Bench, Check, Skip, expect


def params(audio: str, seconds: float, start: float = 0.0, **more: Any) -> dict[str, Any]:
    """Parameters as the server passes them: a recording by its digest, and the piece of it in samples at 16 kHz."""
    bounds = {"audio": audio, "start": int(start * RATE), "end": int((start + seconds) * RATE)}
    # A tone is no speech: at temperature 0 Whisper would try it again at five others.
    asked = {"task": "transcribe", "language": None, "prompt": "", "temperature": 0.2, "words": False}
    return bounds | asked | more


async def hear(bench: Bench, asked: dict[str, Any]) -> dict[str, Any]:
    result = await bench.run(asked)
    try:
        found = json.loads(result.payload)
    except ValueError:
        found = None
    expect(isinstance(found, dict), "the result must be a JSON object in UTF-8")
    expect(isinstance(found.get("text"), str), "`text` must be a string")
    expect(isinstance(found.get("language"), str) and found["language"], "`language` must be a tag such as en")
    length = (asked["end"] - asked["start"]) / RATE
    for segment in found.get("segments", [None]):
        expect(isinstance(segment, dict) and isinstance(segment.get("text"), str), "a segment must have its `text`")
        inside = 0 <= segment["start"] <= segment["end"] <= length + 30
        expect(inside, f"a segment lies from {segment['start']} to {segment['end']} of {length:g} s")
    return dict(found)


async def capabilities_are_whole(bench: Bench) -> None:
    expect(bench.capabilities.revision, "revision is empty: two versions of the weights would share their cache")
    expect(bench.capabilities.sample_rate == RATE, f"sample_rate must be {RATE}: that is what it is given")


async def it_hears(bench: Bench) -> None:
    await hear(bench, params(bench.record("tone", 3), 3))


async def it_hears_a_piece_of_a_recording(bench: Bench) -> None:
    await hear(bench, params(bench.record("long", 8), 2.5, start=4))


async def silence_is_no_end(bench: Bench) -> None:
    await hear(bench, params(bench.record("silence", 2, loud=False), 2))


async def a_recording_that_is_gone_is_an_error_and_no_end(bench: Bench) -> None:
    for asked in (params("gone", 1), params(bench.record("short", 1), 5)):
        try:
            await bench.run(asked)
        except errors.AntiphonError:
            continue
        expect(False, "a recording that is not there, or too short, must raise an error")
    await silence_is_no_end(bench)


async def deterministic_engines_repeat_themselves(bench: Bench) -> None:
    if not bench.capabilities.deterministic:
        raise Skip("it does not say that it is deterministic")
    asked = params(bench.record("tone", 3), 3, temperature=0.0)
    expect(await hear(bench, asked) == await hear(bench, asked), "the same recipe gave another result")


async def a_cancelled_unit_ends(bench: Bench) -> None:
    await bench.cancel(params(bench.record("long", 8), 8))
    await silence_is_no_end(bench)


CHECKS: tuple[Check, ...] = (
    capabilities_are_whole,
    it_hears,
    it_hears_a_piece_of_a_recording,
    silence_is_no_end,
    a_recording_that_is_gone_is_an_error_and_no_end,
    deterministic_engines_repeat_themselves,
    a_cancelled_unit_ends,
)
