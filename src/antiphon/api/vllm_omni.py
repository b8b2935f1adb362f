"""vLLM-Omni parameters: its `extra_params`, with those of IndexTTS, as fields of a `SpeechRequest`.

Its batch route is `speech_batch`, its WebSocket `speech_ws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.domain import errors
from antiphon.domain.request import check_number

#: Parameters that become an engine's option of the same name, by type.
_OPTIONS = {
    "num_beams": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "repetition_penalty": float,
    "length_penalty": float,
    "text_normalization": bool,
    "diffusion_steps": int,
}


@dataclass(slots=True)
class ExtraParams:
    #: As a body's `emotion` is given; None: not given.
    emotion: object = None
    strength: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


def read(extra: Mapping[str, Any]) -> ExtraParams:
    """Unknown names are left out, as the original does. Raises `InvalidRequest` for values out of range."""
    found = ExtraParams()
    if (vector := extra.get("emo_vector")) is not None:
        found.emotion = vector
    if (alpha := extra.get("emo_alpha")) is not None:
        found.strength = _number("emo_alpha", alpha)
        check_number("emo_alpha", found.strength, 0.0, 1.0, param="extra_params.emo_alpha")
    if extra.get("use_emo_text", True) and isinstance(extra.get("emo_text"), str) and extra["emo_text"]:
        found.options["emotion_text"] = extra["emo_text"][:1000]
    if isinstance(extra.get("emo_audio"), str):
        found.options["emotion_ref"] = extra["emo_audio"]
    for name, kind in _OPTIONS.items():
        if name in extra:
            value = extra[name]
            found.options[name] = bool(value) if kind is bool else kind(_number(name, value))
    return found


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
        raise errors.InvalidRequest(f"{name} must be a number", param=f"extra_params.{name}")
    return float(value)
