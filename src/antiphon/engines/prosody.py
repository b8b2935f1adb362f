"""Prosody: the article's moods as tempo, pitch and level, for neural engines that have voices and no emotions.

It is no acting: the words are stressed as before. Samples in, samples out, in parts if they come in parts. The pitch is
raised by playing the samples faster, and the engine, which can speak slower, makes up for the time; that costs no
vocoder, and moves the colour of the voice a little with its pitch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Prosody:
    """Factors; 1 leaves a voice as it is."""

    tempo: float = 1.0
    pitch: float = 1.0
    level: float = 1.0

    def engine_speed(self, speed: float) -> float:
        """The speed at which an engine speaks, so that it comes out `speed` times the mood's tempo."""
        return speed * self.tempo / self.pitch


#: A change needs a new revision of every engine that uses them.
EMOTIONS: Mapping[str, Prosody] = {
    "happy": Prosody(1.08, 1.10, 1.1),
    "angry": Prosody(1.04, 0.95, 1.3),
    "sad": Prosody(0.84, 0.92, 0.75),
}
PLAIN = Prosody()
#: The amplitude above which a level above 1 bends the samples and does not cut them off.
_KNEE = 0.7


def mixed(emotion: Mapping[str, float]) -> Prosody:
    """The prosody of weighted emotions: each pulls in proportion to its weight. `PLAIN` if none of them changes
    anything."""

    def pull(field: str) -> float:
        return math.exp(sum(weight * math.log(getattr(EMOTIONS[name], field)) for name, weight in emotion.items()))

    if not any(emotion.values()):
        return PLAIN
    return Prosody(pull("tempo"), pull("pitch"), pull("level"))


def shaped(parts: Iterable[tuple[Any, bool]], prosody: Prosody, rate: int) -> Iterator[tuple[Any, bool]]:
    """Float32 samples of an engine, which spoke at `engine_speed`, with the mood's pitch and level; in parts, each with
    whether it is the last. They join as those of the engine do: one filter goes through all of them."""
    if prosody == PLAIN:
        yield from parts
        return
    import numpy as np
    import soxr

    stream = soxr.ResampleStream(rate * prosody.pitch, rate, 1, dtype="float32")
    for samples, last in parts:
        given = np.ascontiguousarray(samples, np.float32)
        heard = stream.resample_chunk(given, last=last) if prosody.pitch != 1.0 else given
        if last or len(heard):
            yield _louder(heard, prosody.level), last


def _louder(samples: Any, level: float) -> Any:
    import numpy as np

    scaled = samples * np.float32(level)
    if level <= 1.0:
        return scaled
    over = np.abs(scaled) - _KNEE
    bent = np.sign(scaled) * (_KNEE + (1.0 - _KNEE) * np.tanh(over / (1.0 - _KNEE)))
    return np.where(over > 0, bent, scaled).astype(np.float32)
