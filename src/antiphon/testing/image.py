"""Image checks: what every engine for images must do."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from antiphon.domain import errors
from antiphon.testing.bench import Bench, Check, Skip, expect

PROMPT = "a lighthouse at dusk, oil on canvas"


def params(prompt: str = PROMPT, **more: Any) -> dict[str, Any]:
    """Parameters as the server passes them. Sizes are in pixels; 0 steps mean the engine's own number."""
    asked = {"prompt": prompt, "negative_prompt": "", "width": 64, "height": 64, "steps": 2, "guidance": 0.0, "seed": 1}
    return asked | more


async def draw(bench: Bench, asked: dict[str, Any]) -> bytes:
    png = (await bench.run(asked)).payload
    expect(png[:8] == b"\x89PNG\r\n\x1a\n" and png[12:16] == b"IHDR", "the result must be a PNG file")
    width, height = struct.unpack(">II", png[16:24])
    expect((width, height) == (asked["width"], asked["height"]), f"the image has {width}x{height} pixels")
    return png


async def capabilities_are_whole(bench: Bench) -> None:
    expect(bench.capabilities.revision, "revision is empty: two versions of the weights would share their cache")


async def it_draws(bench: Bench) -> None:
    await draw(bench, params())


async def the_seed_decides(bench: Bench) -> None:
    first, again, other = [await draw(bench, params(seed=seed)) for seed in (1, 1, 2)]
    expect(first != other, "another seed gave the same image")
    if not bench.capabilities.deterministic:
        raise Skip("it does not say that it is deterministic")
    expect(first == again, "the same seed gave another image")


async def nonsense_is_an_error_and_no_end(bench: Bench) -> None:
    for asked in (params(width=7, height=0), params(steps=-1), params("\0" * 10)):
        with contextlib.suppress(errors.AntiphonError):
            await bench.run(asked)
    await it_draws(bench)


async def a_cancelled_unit_ends(bench: Bench) -> None:
    await bench.cancel(params(steps=20))
    await it_draws(bench)


CHECKS: tuple[Check, ...] = (
    capabilities_are_whole,
    it_draws,
    the_seed_decides,
    nonsense_is_an_error_and_no_end,
    a_cancelled_unit_ends,
)
