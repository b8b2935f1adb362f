"""Network: phonemes into samples, by Kokoro's graph as it came or by the two that `dividing` makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.engines.kokoro import parts
from antiphon.engines.kokoro.parts import Bounds
from antiphon.engines.kokoro.tensors import ENERGY, FRAMES, PITCH
from antiphon.engines.onnx_session import Session


class Network(Protocol):
    #: Whether `early` gives something before the whole is computed.
    divides: bool

    def whole(self, tokens: list[int], style: Any, speed: float) -> Any:
        """Samples, float32, without most of the silence around them. Raises `Interrupted`."""

    def early(self, tokens: list[int], style: Any, speed: float) -> Iterator[tuple[Any, bool]]:
        """As `whole`, in parts, of which the first is there soon, each with whether it is the last."""


def feed(tokens: list[int], style: Any, speed: float) -> dict[str, Any]:
    import numpy as np

    return {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        # One style for each number of tokens.
        "style": np.asarray(style[min(len(tokens), len(style)) - 1], np.float32).reshape(1, -1),
        "speed": np.array([speed], np.float32),
    }


class Plain:
    """The graph as it came. It computes the silence around the speech too, and nothing is there before its end."""

    divides = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def whole(self, tokens: list[int], style: Any, speed: float) -> Any:
        return self._session.run(None, feed(tokens, style, speed))[0].ravel()

    def early(self, tokens: list[int], style: Any, speed: float) -> Iterator[tuple[Any, bool]]:
        yield self.whole(tokens, style, speed), True


@dataclass(frozen=True, slots=True)
class Frames:
    """What the encoder gives: for each frame of 25 ms what is said, and for each half frame pitch and energy."""

    content: Any
    pitch: Any
    energy: Any
    #: Loudness of the whole segment with the silence around it.
    loudness: float

    @property
    def count(self) -> int:
        return int(self.content.shape[-1])

    def part(self, start: int, end: int) -> Frames:
        import numpy as np

        def points(values: Any) -> Any:
            return np.ascontiguousarray(values[..., parts.POINTS * start : parts.POINTS * end])

        content = np.ascontiguousarray(self.content[..., start:end])
        return Frames(content, points(self.pitch), points(self.energy), self.loudness)


class Divided:
    """The encoder and the decoder that were made of the graph."""

    divides = True

    def __init__(self, encoder: Session, decoder: Session) -> None:
        self._encoder, self._decoder = encoder, decoder

    def whole(self, tokens: list[int], style: Any, speed: float) -> Any:
        given = feed(tokens, style, speed)
        return self._decode(self._sounding(given), given)

    def early(self, tokens: list[int], style: Any, speed: float) -> Iterator[tuple[Any, bool]]:
        given = feed(tokens, style, speed)
        frames = self._sounding(given)

        def decode(bounds: Bounds) -> Any:
            return self._decode(frames.part(bounds.start, bounds.end), given)

        yield from parts.joined(decode, parts.plan(frames.energy, frames.pitch))

    def _sounding(self, given: dict[str, Any]) -> Frames:
        """The frames of a text from shortly before its first sound to shortly after its last."""
        content, pitch, energy = self._encoder.run([FRAMES, PITCH, ENERGY], given)
        bounds = parts.sounding(energy)
        return Frames(content, pitch, energy, parts.loudness(energy)).part(bounds.start, bounds.end)

    def _decode(self, frames: Frames, given: dict[str, Any]) -> Any:
        import numpy as np

        values = {"style": given["style"], FRAMES: frames.content, PITCH: frames.pitch, ENERGY: frames.energy}
        gain = parts.gain(parts.loudness(frames.energy), frames.loudness)
        return self._decoder.run(None, values)[0].ravel() * np.float32(gain)
