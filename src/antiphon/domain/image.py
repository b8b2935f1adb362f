"""Image requests: what a client can ask of an image model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from antiphon.domain import errors
from antiphon.domain.job import PRIORITIES, Kind, Priority
from antiphon.domain.request import MAX_SEED, check_choice, check_number, without_defaults

Format = Literal["png", "jpeg", "webp"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")

#: Characters. Most models read about the first hundred words; a longer prompt is a mistake.
MAX_PROMPT = 4000
MAX_IMAGES = 10
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
#: Pixels of a side. A model may support fewer sizes; see `domain.engine.Canvas`.
SIDE_MIN, SIDE_MAX, SIDE_MULTIPLE = 64, 4096, 8
_SIZE = re.compile(r"([0-9]{1,5})[x×]([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Images of one prompt. Values are in range; planning checks whether the model can draw that size."""

    type: ClassVar[Kind] = "image"
    prompt: str
    #: Of the first image; each further image has the next number. The API picks one if the client names none.
    seed: int = 0
    n: int = 1
    #: Pixels; both 0: the model's default size.
    width: int = 0
    height: int = 0
    #: Denoising steps; 0: the model's default.
    steps: int = 0
    #: Strength of classifier-free guidance; None: the model's default.
    guidance: float | None = None
    #: What the images should not show.
    negative_prompt: str = ""
    model: str | None = None
    format: Format = "png"
    priority: Priority = "normal"
    #: Seconds since the epoch.
    deadline: float | None = None
    #: How often the client asked for another version of an image, by its number as text.
    takes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.prompt.strip() or len(self.prompt) > MAX_PROMPT:
            raise errors.InvalidRequest(f"prompt must be 1-{MAX_PROMPT} characters", param="prompt")
        if len(self.negative_prompt) > MAX_PROMPT:
            raise errors.InvalidRequest(
                f"negative_prompt must have at most {MAX_PROMPT} characters", param="negative_prompt"
            )
        check_number("n", self.n, 1, MAX_IMAGES)
        check_number("seed", self.seed, 0, MAX_SEED)
        check_number("steps", self.steps, 0, MAX_STEPS)
        if self.guidance is not None:
            check_number("guidance", self.guidance, 0.0, MAX_GUIDANCE)
        if self.width or self.height:
            check_sides(self.width, self.height)
        check_choice("output_format", self.format, FORMATS)
        check_choice("priority", self.priority, PRIORITIES)

    def seed_of(self, index: int) -> int:
        """The seed of an image. Another version of an image gets a seed that no other image of the request has."""
        return (self.seed + index + self.n * self.takes.get(str(index), 0)) % (MAX_SEED + 1)

    def to_json(self) -> dict[str, Any]:
        return without_defaults(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)

    def brief(self) -> dict[str, str]:
        return {"text": self.prompt, "images": str(self.n)}

    def with_another_take(self, index: int) -> Self:
        return replace(self, takes={**self.takes, str(index): self.takes.get(str(index), 0) + 1})


def check_sides(*sides: int) -> None:
    """Raises `InvalidRequest` for sides that no model can draw."""
    if any(not SIDE_MIN <= side <= SIDE_MAX or side % SIDE_MULTIPLE for side in sides):
        raise errors.InvalidRequest(
            f"size must have sides of {SIDE_MIN} to {SIDE_MAX} pixels, in multiples of {SIDE_MULTIPLE}", param="size"
        )


def parse_size(text: str | None) -> tuple[int, int]:
    """`1024x768` as (width, height); (0, 0) for None, the empty text and `auto`. Raises `InvalidRequest`."""
    if not text or text == "auto":
        return 0, 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise errors.InvalidRequest(f"size must be like 512x512, or auto, not {text[:20]!r}", param="size")
    width, height = int(match[1]), int(match[2])
    # (0, 0) means the model's default size; a client cannot ask for it by number.
    check_sides(width, height)
    return width, height
