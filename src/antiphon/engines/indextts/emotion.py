"""Emotion vectors: eight weights in a fixed order, whose sum is bounded, as IndexTTS takes them."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS, NEUTRAL, check_number

#: Above this sum the voice itself is lost: what the weights leave of 1 is the speaker's own emotion.
MAX_SUM = 0.8


#: What the official page multiplies each weight by, so that no emotion costs more of the voice than another.
EMPHASIS = {
    "happy": 0.9375, "angry": 0.875, "disgusted": 0.9375, "melancholic": 0.9375, "surprised": 0.6875, "calm": 0.5625,
}  # fmt: skip


def asked(emotion: Mapping[str, float], calm: float) -> list[float] | None:
    """`vector` of what a client asks for, with the official page's `EMPHASIS`. `neutral` is the weight `calm` for calm,
    as it is."""
    if emotion.keys() == {NEUTRAL}:
        return vector({"calm": calm})
    # Bounds are those of what the client wrote.
    return None if vector(emotion) is None else vector({n: w * EMPHASIS.get(n, 1.0) for n, w in emotion.items()})


def vector(weights: Mapping[str, float]) -> list[float] | None:
    """Eight weights in the order of `EMOTIONS`, or None, which leaves the emotion to the reference.

    Weights (0 to 1.2 each) whose sum is above `MAX_SUM` are scaled down together. Raises `InvalidRequest`; NaN too is
    refused, since the model makes noise of it.
    """
    for name, weight in weights.items():
        if name not in EMOTIONS:
            raise errors.InvalidRequest(f"emotion must be one of {', '.join(EMOTIONS)}", param="emotion")
        check_number("emotion weights", float(weight), 0.0, 1.2, param="emotion")
    whole = sum(weights.values())
    if not whole:
        return None
    scale = min(1.0, MAX_SUM / whole)
    return [float(weights.get(name, 0.0)) * scale for name in EMOTIONS]
