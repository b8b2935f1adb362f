"""Resolved references: replaces data: URLs and the names of uploaded voices in a request by digests of recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from antiphon.domain import errors, voice
from antiphon.domain.engine import Capabilities, has_voice
from antiphon.domain.request import SpeechRequest
from antiphon.domain.voice import Reference
from antiphon.references.service import References
from antiphon.speech import voice_selection


def needs_cloning(request: SpeechRequest, uploaded: Mapping[str, Reference]) -> bool:
    """Whether a voice of the request is a recording, so that it needs a model that can clone."""
    return any(asked in uploaded or asked.startswith("data:") for asked in _voices(request))


def check(request: SpeechRequest) -> None:
    """Raises `UnknownVoice` for a recording named by its digest, which does not show whose recording it is."""
    for asked in (*_voices(request), str(request.options.get("emotion_ref", ""))):
        if asked.lower().startswith(voice.PREFIX) or voice.is_digest(asked.lower()):
            why = "A recording cannot be named by its digest; name the voice that you uploaded, or send it as ref_audio"
            raise errors.UnknownVoice(why, param="voice")


async def resolve(
    request: SpeechRequest,
    uploaded: Mapping[str, Reference],
    capabilities: Capabilities,
    cloning: list[str],
    references: References,
) -> SpeechRequest:
    """The request with digests of recordings, for a model with these `capabilities`. `uploaded` holds the owner's
    voices by id and by name, `cloning` the names of the served models that can clone. Raises `UnknownVoice` for a
    recording that the model cannot use, `InvalidRequest` for one that cannot be decoded."""

    async def digest(asked: str, param: str) -> str | None:
        if asked in uploaded:
            return uploaded[asked].digest
        if not asked.startswith("data:"):
            return None
        try:
            return await references.put_unnamed(voice.from_data_url(asked, param))
        except errors.InvalidRequest as e:
            raise errors.InvalidRequest(e.message, param=param) from e

    async def resolved(asked: str | None, param: str) -> str | None:
        if asked is None or not (asked in uploaded or asked.startswith("data:")):
            return asked
        if not capabilities.cloning:
            if has_voice(capabilities, asked) or asked.lower() in voice_selection.OPENAI:
                return asked
            raise voice_selection.cannot_clone(asked, cloning, param if asked.startswith("data:") else "voice")
        found = await digest(asked, param)
        return voice.PREFIX + found if found else asked

    options = dict(request.options)
    if "emotion_ref" in options:
        if (emotion_ref := await digest(str(options["emotion_ref"]), "emotion_audio")) is None:
            why = "emotion_audio must be a data: URL, or the name of a voice that you uploaded"
            raise errors.UnknownVoice(why, param="emotion_audio")
        options["emotion_ref"] = emotion_ref
    turns = [replace(turn, voice=await resolved(turn.voice, "turns")) for turn in request.turns]
    return replace(request, voice=await resolved(request.voice, "ref_audio"), turns=tuple(turns), options=options)


def has_unknown_voice(
    request: SpeechRequest, uploaded: Mapping[str, Reference], models: Iterable[Capabilities]
) -> bool:
    """Whether a voice of the request is neither uploaded nor a model's; it may have been uploaded to another server."""
    capabilities_of_all = [*models]
    return any(
        not (asked in uploaded or asked.startswith("data:") or asked.lower() in (*voice_selection.OPENAI, "default"))
        and not any(has_voice(capabilities, asked) for capabilities in capabilities_of_all)
        for asked in names(request)
    )


def digests(request: SpeechRequest) -> set[str]:
    """Digests of the recordings in a request that `resolve` returned."""
    named = {text.removeprefix(voice.PREFIX) for text in names(request) if text.startswith(voice.PREFIX)}
    return named | {text for text in (str(request.options.get("emotion_ref", "")),) if voice.is_digest(text)}


def names(request: SpeechRequest) -> list[str]:
    """All names of voices and recordings in a request."""
    emotion_ref = request.options.get("emotion_ref")
    return _voices(request) + ([str(emotion_ref)] if emotion_ref else [])


def _voices(request: SpeechRequest) -> list[str]:
    return [asked for asked in (request.voice, *(turn.voice for turn in request.turns)) if asked]
