"""Emotions as IndexTTS takes them: eight weights in a fixed order, whose sum is bounded."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS, check_number

#: Above this sum the voice itself is lost: what the weights leave of 1 is the speaker's own manner.
MAX_SUM = 0.8


def vector(emotion: Mapping[str, float], calm: float) -> list[float] | None:
    """Eight weights in the order of `EMOTIONS`, or None: then the recording's own mood is spoken.

    No emotion is neutral, which here means `calm` of that weight. Weights (0 to 1.2 each) whose sum is above
    `MAX_SUM` are scaled down together. Raises `InvalidRequest`, since a model given NaN answers with noise.
    """
    weights = dict(emotion) or {"calm": calm}
    for name, weight in weights.items():
        if name not in EMOTIONS:
            raise errors.InvalidRequest(f"emotion must be one of {', '.join(EMOTIONS)}", param="emotion")
        check_number("emotion weights", float(weight), 0.0, 1.2, param="emotion")
    whole = sum(weights.values())
    if not whole:
        return None
    scale = min(1.0, MAX_SUM / whole)
    return [float(weights.get(name, 0.0)) * scale for name in EMOTIONS]
