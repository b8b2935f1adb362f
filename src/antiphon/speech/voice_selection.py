"""Voice selection: the voice of a model for a request that names one of its voices, a voice of OpenAI, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from antiphon.catalog import piper_voices
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Voice, voice_of
from antiphon.domain.request import MAX_VOICE

#: OpenAI's voices with their gender, by which a substitute is chosen.
OPENAI: dict[str, str] = {
    "alloy": "female", "ash": "male", "ballad": "male", "coral": "female", "echo": "male", "fable": "male",
    "nova": "female", "onyx": "male", "sage": "female", "shimmer": "female", "verse": "male",
    "marin": "female", "cedar": "male",
}  # fmt: skip

#: One voice of a mix, and its weight.
_PART = re.compile(r"([\w.-]+)(?:\(([0-9]{1,9}(?:\.[0-9]{1,9})?)\))?")


def choose(asked: str | None, language: str, capabilities: Capabilities) -> tuple[str, str | None]:
    """The model's voice for a request, and a warning if the voice does not suit the language. Raises `UnknownVoice`."""
    speaking = [v for v in capabilities.voices if language in v.languages]
    if asked is None or asked in ("", "default"):
        return default(language, capabilities, speaking), None
    if (voice := voice_of(capabilities, asked)) is not None:
        if speaking and language not in voice.languages:
            return asked, f"voice {voice.id} is not made for language {language}"
        return asked, None
    if asked.lower() in OPENAI:
        return substitute(asked.lower(), language, capabilities, speaking), None
    if "+" in asked or "(" in asked:
        return mix(asked, capabilities), None
    name = asked.partition("#")[0]
    fetch = f"; the operator can fetch it: antiphon pull {piper_voices.MODEL}:{name}" * (name in piper_voices.voices())
    why = f"There is no voice {asked[:60]!r} in this model; GET /v1/audio/voices lists those that exist{fetch}"
    raise errors.UnknownVoice(why, param="voice")


def language_of(asked: str | None, named: str | None, language: str, capabilities: Capabilities) -> str:
    """The language in which a text is read: `language`, which the request named or which was guessed, or that of a
    voice that reads no other. Raises `UnsupportedLanguage` if the request `named` another one than its voice reads."""
    voice = voice_of(capabilities, asked) if capabilities.voice_sets_language and asked else None
    if voice is None or language in voice.languages or not voice.languages:
        return language
    if named:
        reads = ", ".join(voice.languages)
        why = f"The voice {voice.id} reads {reads}, not {language!r}; name a voice for {language!r}, or no language"
        raise errors.UnsupportedLanguage(why, param="language")
    return voice.languages[0]


def cannot_clone(asked: str, cloning: Sequence[str], param: str) -> errors.UnknownVoice:
    """The error for an uploaded voice and a model that cannot clone; names the models of `cloning`, which can."""
    what = "a recording was given" if asked.startswith("data:") else f"{asked[:60]!r} is an uploaded voice"
    help = f'name one that can with "model": {", ".join(cloning)}' if cloning else "no model that is served here can"
    return errors.UnknownVoice(f"{what}, and this model cannot imitate one; {help}", param=param)


def default(language: str, capabilities: Capabilities, speaking: list[Voice]) -> str:
    """The voice for a request that names none; `speaking` are the model's voices for the language."""
    if language in capabilities.voice_by_language:
        return capabilities.voice_by_language[language]
    if speaking and capabilities.default_voice not in {v.id for v in speaking}:
        return speaking[0].id
    return capabilities.default_voice


def substitute(name: str, language: str, capabilities: Capabilities, speaking: list[Voice]) -> str:
    """The model's voice for a voice of OpenAI: one of that name that speaks the language, else one of its gender, the
    same every time."""
    for voice in speaking:
        if voice.id.rpartition("_")[2] == name:
            return voice.id
    alike = [v for v in speaking if v.gender == OPENAI[name]] or speaking
    if not alike:
        return capabilities.default_voice
    return alike[sorted(OPENAI).index(name) % len(alike)].id


def mix(asked: str, capabilities: Capabilities) -> str:
    """A voice mix such as `a(2)+b`, after a check of its parts. Raises `UnknownVoice`."""
    parts = [_PART.fullmatch(part) for part in asked.split("+")] if len(asked) <= MAX_VOICE else [None]
    if None in parts:
        raise errors.UnknownVoice(f"{asked[:60]!r} is no voice mix; write it like af_bella(2)+af_sky", param="voice")
    if not capabilities.mixing:
        raise errors.UnknownVoice("This model cannot mix voices; name one voice", param="voice")
    known = {v.id for v in capabilities.voices}
    found = [part for part in parts if part is not None]
    for part in found:
        if part[1] not in known:
            raise errors.UnknownVoice(f"There is no voice {part[1][:60]!r} to mix", param="voice")
    if not any(float(part[2] or 1) for part in found):
        raise errors.UnknownVoice(f"The weights of {asked[:60]!r} are all 0", param="voice")
    return asked
