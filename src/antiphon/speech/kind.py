"""Speech kind: the traits of speech, and the functions with which its jobs are planned and written."""

from __future__ import annotations

from antiphon.domain.engine import Capabilities
from antiphon.domain.kind import KindTraits
from antiphon.domain.request import SpeechRequest
from antiphon.domain.unit import UnitResult
from antiphon.jobs.kind import JobKind
from antiphon.speech import render
from antiphon.speech.planner import SpeechPlanner


def check_result(capabilities: Capabilities, result: UnitResult) -> str | None:
    if len(result.payload) % 2:
        return f"the audio ends in the middle of a sample: it has {len(result.payload)} bytes, an odd number"
    if (rate := result.meta.get("sample_rate")) != capabilities.sample_rate:
        return f"its sample rate is {rate!r}, and was {capabilities.sample_rate} when it started"
    return None


TRAITS = KindTraits(SpeechRequest.type, "characters", reference_length=60.0, check_result=check_result, skips=True)


def kind(planner: SpeechPlanner) -> JobKind:
    return JobKind(TRAITS, SpeechRequest.from_json, planner.prepare, planner.plan, render.write, file_prefix="speech")
