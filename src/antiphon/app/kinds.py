"""Kinds: the kinds of work that this server does. A new kind is a room of its own and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from antiphon.domain.job import Kind
from antiphon.domain.kind import KindTraits
from antiphon.imaging import kind as imaging
from antiphon.jobs.kind import JobKind, Kinds
from antiphon.models.selection import ModelSelector
from antiphon.speech import kind as speech
from antiphon.speech.planner import SpeechPlanner
from antiphon.transcription import kind as transcription
from antiphon.transcription.recordings import RecordingStore


@dataclass(frozen=True, slots=True)
class KindParts:
    """What kinds are made of."""

    selector: ModelSelector
    planner: SpeechPlanner
    recordings: RecordingStore


#: How each kind is made, by its traits.
KindRegistry = Mapping[KindTraits, Callable[[KindParts], JobKind]]

KINDS: KindRegistry = {
    speech.TRAITS: lambda parts: speech.kind(parts.planner),
    transcription.TRAITS: lambda parts: transcription.kind(parts.selector, parts.recordings),
    imaging.TRAITS: lambda parts: imaging.kind(parts.selector),
}


def traits_of(registry: KindRegistry) -> Mapping[Kind, KindTraits]:
    return {traits.name: traits for traits in registry}


def make_kinds(registry: KindRegistry, parts: KindParts) -> Kinds:
    return {traits.name: make_kind(parts) for traits, make_kind in registry.items()}
