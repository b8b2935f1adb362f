"""Voices: reads what the names of Kokoro's voices say, and mixes voices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Voice

#: Language and adjective by the first letter of a voice's name.
_SPEAKS = {
    "a": ("en", "American"),
    "b": ("en", "British"),
    "e": ("es", "Spanish"),
    "f": ("fr", "French"),
    "h": ("hi", "Hindi"),
    "i": ("it", "Italian"),
    "j": ("ja", "Japanese"),
    "p": ("pt", "Brazilian"),
    "z": ("zh", "Mandarin"),
}
_GENDER = {"f": "female", "m": "male"}

#: By language the voice that a recogniser understood best; for Mandarin, with English words in it too.
DEFAULTS = {
    "en": "af_heart", "zh": "zm_yunxia", "es": "ef_dora", "fr": "ff_siwis", "it": "if_sara", "pt": "pf_dora",
    "hi": "hf_beta", "ja": "jf_alpha",
}  # fmt: skip

_TERM = re.compile(r"([a-z0-9_]+)(?:\((\d+(?:\.\d+)?)\))?")


def describe(name: str) -> Voice:
    """The voice of a name: `af_heart` is Heart, American, female."""
    prefix, _, own = name.partition("_")
    language, people = _SPEAKS[prefix[0]]
    gender = _GENDER[prefix[1]]
    return Voice(name, f"{own.capitalize()} ({people}, {gender})", (language,), gender)


def parse(text: str, known: Iterable[str]) -> dict[str, float]:
    """Weights, which add up to 1, of a voice or a mix such as `af_bella(2)+af_sky`. Raises `UnknownVoice`."""
    known = frozenset(known)
    weights: dict[str, float] = {}
    for term in text.split("+"):
        found = _TERM.fullmatch(term.strip())
        if found is None or found[1] not in known:
            raise errors.UnknownVoice(
                f"Kokoro has no voice {term.strip()[:60]!r}; a mix is written like af_bella(2)+af_sky", param="voice"
            )
        weights[found[1]] = weights.get(found[1], 0.0) + float(found[2] or 1)
    total = sum(weights.values())
    if total <= 0:
        raise errors.UnknownVoice(f"The weights of {text[:60]!r} are all 0", param="voice")
    return {name: weight / total for name, weight in weights.items()}


def blend(weights: Mapping[str, float], styles: Mapping[str, Any]) -> Any:
    """The style vectors of a mix: float32, shape (tokens, 1, 256)."""
    (first, weight), *others = weights.items()
    if not others:
        return styles[first]
    mixed = styles[first] * weight
    for name, weight in others:
        mixed = mixed + styles[name] * weight
    return mixed


def accent(weights: Mapping[str, float]) -> str:
    """The accent in which a mix reads English: British if more than half of the mix is."""
    british = sum(weight for name, weight in weights.items() if name.startswith("b"))
    return "en-gb" if british > 0.5 else "en-us"
