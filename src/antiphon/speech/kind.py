"""Speech kind: the traits of speech, and the functions with which its jobs are planned and written."""

from __future__ import annotations

from antiphon.domain.kind import KindTraits
from antiphon.domain.request import SpeechRequest
from antiphon.jobs.kind import JobKind
from antiphon.speech import render
from antiphon.speech.planner import SpeechPlanner

TRAITS = KindTraits(SpeechRequest.type, length_unit="characters", reference_length=60.0)


def kind(planner: SpeechPlanner) -> JobKind:
    return JobKind(TRAITS, SpeechRequest.from_json, planner.prepare, planner.plan, render.write, file_prefix="speech")
