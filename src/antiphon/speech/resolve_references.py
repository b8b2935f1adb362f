"""Recordings in a request: data: URLs, and names that their owner gave, become the digests that engines are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from antiphon.domain import errors, voice
from antiphon.domain.engine import Capabilities, has_voice
from antiphon.domain.request import SpeechRequest
from antiphon.domain.voice import Reference
from antiphon.references.service import References
from antiphon.speech import voice_selection


def wanted(request: SpeechRequest, known: Mapping[str, Reference]) -> bool:
    """Whether some voice of the request is a recording, so that a model that can imitate it is called for."""
    return any(asked in known or asked.startswith("data:") for asked in _voices(request))


def check(request: SpeechRequest) -> None:
    """Raises `UnknownVoice` for a recording named by its digest: whose it is cannot be told from that."""
    for asked in (*_voices(request), str(request.options.get("emotion_ref", ""))):
        if asked.lower().startswith(voice.PREFIX) or voice.is_digest(asked.lower()):
            raise errors.UnknownVoice(
                "A recording cannot be named by its digest; name the voice that you uploaded, or send it as ref_audio",
                param="voice",
            )


async def resolve(
    request: SpeechRequest,
    known: Mapping[str, Reference],
    capabilities: Capabilities,
    cloning: list[str],
    references: References,
) -> SpeechRequest:
    """The request for a model of these `capabilities`, with digests. `cloning` names the served models that can clone.

    Raises `UnknownVoice` for a recording that the model cannot use, `InvalidRequest` for one that cannot be read.
    """

    async def digest(asked: str, param: str) -> str | None:
        if asked in known:
            return known[asked].digest
        if not asked.startswith("data:"):
            return None
        try:
            return await references.put_unnamed(voice.from_data_url(asked, param))
        except errors.InvalidRequest as e:
            raise errors.InvalidRequest(e.message, param=param) from e

    async def resolved(asked: str | None, param: str) -> str | None:
        if asked is None or not (asked in known or asked.startswith("data:")):
            return asked
        if not capabilities.cloning:
            if has_voice(capabilities, asked) or asked.lower() in voice_selection.OPENAI:
                return asked
            raise voice_selection.cannot_clone(asked, cloning, param if asked.startswith("data:") else "voice")
        found = await digest(asked, param)
        return voice.PREFIX + found if found else asked

    options = dict(request.options)
    if "emotion_ref" in options:
        mood = await digest(str(options["emotion_ref"]), "emotion_audio")
        if mood is None:
            raise errors.UnknownVoice(
                "emotion_audio must be a data: URL, or the name of a voice that you uploaded", param="emotion_audio"
            )
        options["emotion_ref"] = mood
    turns = [replace(turn, voice=await resolved(turn.voice, "turns")) for turn in request.turns]
    return replace(request, voice=await resolved(request.voice, "ref_audio"), turns=tuple(turns), options=options)


def strange(request: SpeechRequest, known: Mapping[str, Reference], able: Iterable[Capabilities]) -> bool:
    """Whether some voice of the request is neither known nor any model's: another server may have taken it in."""
    models = [*able]
    return any(
        not (asked in known or asked.startswith("data:") or asked.lower() in (*voice_selection.OPENAI, "default"))
        and not any(has_voice(capabilities, asked) for capabilities in models)
        for asked in names(request)
    )


def digests(request: SpeechRequest) -> set[str]:
    """The recordings that a request for a model names, once `resolve` has been through it."""
    named = {text.removeprefix(voice.PREFIX) for text in names(request) if text.startswith(voice.PREFIX)}
    return named | {text for text in (str(request.options.get("emotion_ref", "")),) if voice.is_digest(text)}


def names(request: SpeechRequest) -> list[str]:
    """What it calls voices and recordings, wherever in it."""
    mood = request.options.get("emotion_ref")
    return _voices(request) + ([str(mood)] if mood else [])


def _voices(request: SpeechRequest) -> list[str]:
    return [asked for asked in (request.voice, *(turn.voice for turn in request.turns)) if asked]
