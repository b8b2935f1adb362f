"""The cost model: how many seconds a unit of a given length takes, learned for each model from every unit that is done.

seconds = a + b · length, by recursive least squares with forgetting. Errors count relative to the prediction, so that
one long unit does not outweigh a hundred short ones. An error of several times the usual one is cut off, so that a unit
that met a busy machine changes little. If the median of the last few units says that all predictions are off by one
factor (the prior was a guess, or the machine is slower now), both coefficients are multiplied by it.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

#: Weight of earlier units when one more is learned: half of it is lost in 70 units.
FORGET = 0.99
#: Largest uncertainty of the two coefficients, relative to the prior. Without a bound, forgetting would make it grow
#: for ever while all units have the same length.
DOUBT = 25.0
#: Errors beyond this many usual ones are cut off.
OUTLIER = 3.0
#: Number of units whose median is taken, and the factor from which the coefficients are multiplied by it.
WINDOW, JUMP = 7, 1.5
#: Part of the way by which the usual error moves to a new one.
FOLLOW = 0.1
#: Seconds; no unit is predicted to take less.
LEAST = 0.005
#: Seconds, and seconds per length, of an unknown model: a character takes some 70 ms to say, and a model that is worth
#: serving speaks a few times as fast as that.
PRIOR = (0.1, 0.02)


class CostModel:
    """What the units of one model cost."""

    def __init__(self, prior: tuple[float, float] = PRIOR) -> None:
        """`prior`: (seconds, seconds per length) before anything is learned; both ≥ 0, not both 0."""
        if not (all(math.isfinite(p) and p >= 0 for p in prior) and sum(prior) > 0):
            raise ValueError(f"a prior must be two finite numbers ≥ 0, not both 0, not {prior}")
        self.a, self.b = prior
        #: Units learned from.
        self.count = 0
        #: Usual error of a prediction, as a part of it.
        self.error = 1.0
        #: Seconds of audio per length; None before the first unit.
        self.audio_per_length: float | None = None
        self._last: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        # With a prior of 0 for one of the two, the first units alone would decide it.
        self._scale = (max(self.a, LEAST), max(self.b, 1e-6))
        self._p = (DOUBT * self._scale[0] ** 2, 0.0, DOUBT * self._scale[1] ** 2)

    def predict(self, length: float) -> float:
        """Seconds of computing for a unit of this length."""
        return max(LEAST, self.a + self.b * length)

    def learn(self, length: float, seconds: float) -> None:
        """Learns what a unit really took. Impossible numbers are ignored."""
        if not (math.isfinite(length) and math.isfinite(seconds) and length >= 0 and seconds >= 0):
            return
        self._last.append((length, max(seconds, LEAST)))
        self._jump()
        predicted = self.predict(length)
        error = (max(seconds, LEAST) - predicted) / predicted
        bound = OUTLIER * max(self.error, 0.02)
        self.error += FOLLOW * (min(abs(error), bound) - self.error)
        self._update(1 / predicted, length / predicted, max(-bound, min(bound, error)))
        self.count += 1

    def learn_audio(self, length: float, seconds: float) -> None:
        """Learns how many seconds of audio a unit became. Impossible numbers are ignored."""
        if not (math.isfinite(length) and math.isfinite(seconds) and length > 0 and seconds > 0):
            return
        ratio = seconds / length
        known = self.audio_per_length or ratio
        self.audio_per_length = known + FOLLOW * (min(ratio, OUTLIER * known) - known)

    def predict_audio(self, length: float) -> float | None:
        """Seconds of audio that a unit of this length becomes; None before the first unit."""
        return None if self.audio_per_length is None else self.audio_per_length * length

    def _jump(self) -> None:
        factor = median(seconds / self.predict(length) for length, seconds in self._last)
        if (1 / JUMP < factor < JUMP) or (self.count >= WINDOW and len(self._last) < WINDOW):
            return
        self.a, self.b = self.a * factor, self.b * factor
        self._scale = (self._scale[0] * factor, self._scale[1] * factor)
        p, q, r = self._p
        self._p = (p * factor**2, q * factor**2, r * factor**2)

    def _update(self, x: float, y: float, error: float) -> None:
        """One step of recursive least squares for the row (x, y), whose residual is `error`."""
        p, q, r = self._p
        gx, gy = p * x + q * y, q * x + r * y
        total = FORGET + x * gx + y * gy
        self.a += gx / total * error
        self.b += gy / total * error
        p, q, r = (p - gx * gx / total) / FORGET, (q - gx * gy / total) / FORGET, (r - gy * gy / total) / FORGET
        # Neither may be negative: the other then takes the best value that is left to it.
        if self.a < 0:
            self.b -= q / p * self.a if p > 0 else 0.0
            self.a = 0.0
        if self.b < 0:
            self.a = max(0.0, self.a - (q / r * self.b if r > 0 else 0.0))
            self.b = 0.0
        shrink = min(1.0, DOUBT * self._scale[0] ** 2 / max(p, 1e-30), DOUBT * self._scale[1] ** 2 / max(r, 1e-30))
        self._p = (p * shrink, q * shrink, r * shrink)

    def to_json(self) -> dict[str, Any]:
        known = {"a": self.a, "b": self.b, "count": self.count, "error": self.error}
        return known | {"audio_per_length": self.audio_per_length, "scale": list(self._scale), "p": list(self._p)}

    def load_json(self, data: Mapping[str, Any]) -> None:
        """Restores what `to_json` gave. Raises `ValueError` for anything else, and then changes nothing."""
        try:
            a, b, error = (float(data[name]) for name in ("a", "b", "error"))
            (scale_a, scale_b), (p, q, r) = map(float, data["scale"]), map(float, data["p"])
            audio = None if data["audio_per_length"] is None else float(data["audio_per_length"])
            count = int(data["count"])
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"not a cost model: {e!r}") from e
        numbers = (a, b, error, scale_a, scale_b, p, q, r, audio or 0.0)
        if not all(map(math.isfinite, numbers)) or min(a, b, error, scale_a, scale_b, p, r, audio or 0.0, count) < 0:
            raise ValueError("not a cost model: a number is out of range")
        self.a, self.b, self.error, self.count, self.audio_per_length = a, b, error, count, audio
        self._scale, self._p = (scale_a, scale_b), (p, q, r)


class CostModels:
    """Cost models by name."""

    def __init__(self) -> None:
        self._models: dict[str, CostModel] = {}

    def model(self, name: str, prior: tuple[float, float] = PRIOR) -> CostModel:
        """The model of that name; a new one begins with `prior`."""
        return self._models.setdefault(name, CostModel(prior))

    def to_json(self) -> dict[str, Any]:
        return {name: model.to_json() for name, model in self._models.items()}

    def load_json(self, data: object) -> None:
        """Restores what `to_json` gave, in place. Unreadable models are left out: they are learned again."""
        if not isinstance(data, Mapping):
            return
        for name, kept in data.items():
            model = self._models.get(str(name)) or CostModel()
            with contextlib.suppress(ValueError):
                model.load_json(kept)
                self._models[str(name)] = model
