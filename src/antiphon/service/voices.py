"""Which of a model's voices a request means: its own names, OpenAI's names, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from antiphon.domain import errors
from antiphon.domain import voice as uploaded
from antiphon.domain.engine import Capabilities, Voice
from antiphon.domain.voice import Reference

#: OpenAI's voices and how they sound; what decides when a model has no voice of that name.
OPENAI: dict[str, str] = {
    "alloy": "female", "ash": "male", "ballad": "male", "coral": "female", "echo": "male", "fable": "male",
    "nova": "female", "onyx": "male", "sage": "female", "shimmer": "female", "verse": "male",
    "marin": "female", "cedar": "male",
}  # fmt: skip

_MIX = re.compile(r"^[\w.\-]+(\(\d+(\.\d+)?\))?(\+[\w.\-]+(\(\d+(\.\d+)?\))?)*$")
_NONE: Mapping[str, Reference] = MappingProxyType({})


def choose(
    asked: str | None,
    language: str,
    can: Capabilities,
    references: Mapping[str, Reference] = _NONE,
    cloning: Sequence[str] = (),
) -> tuple[str, str | None]:
    """The engine's voice for a request and, where it had to be bent, a warning. Raises `UnknownVoice`.

    `references` are the voices that the caller uploaded, by id and by name: they go before the model's own of the same
    name, unless the model cannot clone. `cloning` names the served models that can, for the refusal.
    """
    speaking = [v for v in can.voices if language in v.languages]
    if asked is None or asked in ("", "default"):
        return default(language, can, speaking), None
    voice = next((v for v in can.voices if v.id == asked), None)
    reference = references.get(asked)
    if reference is not None:
        if can.cloning:
            return reference.voice, _foreign(reference, language)
        if voice is None and asked.lower() not in OPENAI:
            raise cannot_clone(asked, cloning)
    if voice is not None:
        if speaking and language not in voice.languages:
            return voice.id, f"voice {voice.id} is not made for language {language}"
        return voice.id, None
    if asked.lower() in OPENAI:
        return stand_in(asked.lower(), language, can, speaking), None
    if "+" in asked or "(" in asked:
        return mix(asked, can), None
    if asked.lower().startswith(uploaded.PREFIX):
        raise errors.UnknownVoice(
            "A recording cannot be named by its digest; name the voice that you uploaded, or send it as ref_audio",
            param="voice",
        )
    raise errors.UnknownVoice(
        f"There is no voice {asked[:60]!r} in this model; GET /v1/audio/voices lists those that exist",
        param="voice",
    )


def has(can: Capabilities, asked: str) -> bool:
    """Whether the model itself has that voice, or all voices of that mix."""
    known = {v.id for v in can.voices}
    return asked in known or all(part.partition("(")[0] in known for part in asked.split("+"))


def cannot_clone(asked: str, cloning: Sequence[str]) -> errors.UnknownVoice:
    """Why an uploaded voice is refused by a model that cannot imitate, and what would help."""
    help = f'name one that can with "model": {", ".join(cloning)}' if cloning else "no model that is served here can"
    return errors.UnknownVoice(
        f"{asked[:60]!r} is an uploaded voice, and this model cannot imitate one; {help}", param="voice"
    )


def _foreign(reference: Reference, language: str) -> str | None:
    if reference.languages and language not in reference.languages:
        return f"voice {reference.name} was not recorded in language {language}"
    return None


def default(language: str, can: Capabilities, speaking: list[Voice]) -> str:
    if language in can.voice_by_language:
        return can.voice_by_language[language]
    if speaking and can.default_voice not in {v.id for v in speaking}:
        return speaking[0].id
    return can.default_voice


def stand_in(name: str, language: str, can: Capabilities, speaking: list[Voice]) -> str:
    """The model's own voice of that name if it speaks the language, else one of the same gender, always the same."""
    for voice in speaking:
        if voice.id.rpartition("_")[2] == name:
            return voice.id
    alike = [v for v in speaking if v.gender == OPENAI[name]] or speaking
    if not alike:
        return can.default_voice
    return alike[sorted(OPENAI).index(name) % len(alike)].id


def mix(asked: str, can: Capabilities) -> str:
    """A mix such as `a(2)+b`, checked part by part."""
    if not _MIX.match(asked) or len(asked) > 300:
        raise errors.UnknownVoice(f"{asked[:60]!r} is no voice mix; write it like af_bella(2)+af_sky", param="voice")
    if not can.mixing:
        raise errors.UnknownVoice("This model cannot mix voices; name one voice", param="voice")
    known = {v.id for v in can.voices}
    for part in asked.split("+"):
        name = part.partition("(")[0]
        if name not in known:
            raise errors.UnknownVoice(f"There is no voice {name[:60]!r} to mix", param="voice")
    return asked
