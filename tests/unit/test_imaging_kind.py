"""Image kind: requests, plans and image files, without a model."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from antiphon.cache import Entry
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.engine import Canvas, Capabilities, problems
from antiphon.domain.image import ImageRequest, parse_size
from antiphon.imaging import image_codec
from antiphon.imaging import kind as imaging
from tests.plugins.drawing_engines import bands

CAN = Capabilities("image", 0, "1", options=("steps",), canvas=Canvas((64, 64), 64, 256, 16, 4))
PROMPT = "A lighthouse at dusk"


# The request


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prompt": "  "}, "1-4000"),
        ({"prompt": "x" * 4001}, "1-4000"),
        ({"negative_prompt": "x" * 4001}, "at most 4000"),
        ({"n": 0}, "between 1 and 10"),
        ({"n": 11}, "between 1 and 10"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"steps": 151}, "steps"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": 31.0}, "guidance"),
        ({"width": 512}, "size"),
        ({"width": 500, "height": 512}, "multiples of 8"),
        ({"width": 4104, "height": 64}, "64 to 4096"),
        ({"format": "gif"}, "output_format"),
        ({"priority": "first"}, "priority"),
    ],
)
def test_what_no_model_could_draw_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=complaint) as e:
        ImageRequest(**{"prompt": PROMPT, **fields})
    assert e.value.param


@pytest.mark.parametrize("text", ["512", "512x", "x512", "1e3x512", "-64x64", "0x0", "64x0", "512x512x3", "999999x64"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(errors.InvalidRequest) as e:
        parse_size(text)
    assert e.value.param == "size"


def test_sizes() -> None:
    assert parse_size("1024x768") == parse_size("1024×768") == (1024, 768)
    assert parse_size(None) == parse_size("auto") == parse_size("") == (0, 0)


def test_a_kept_request_is_read_as_it_was() -> None:
    request = ImageRequest(
        PROMPT, seed=7, n=3, width=64, height=128, steps=3, guidance=0.0, negative_prompt="fog", model="m",
        format="webp", priority="bulk", deadline=1e9, takes={"1": 2},
    )  # fmt: skip
    assert ImageRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    assert ImageRequest(PROMPT).to_json() == {"prompt": PROMPT}


def test_an_image_made_anew_gets_a_seed_that_no_other_has() -> None:
    request = ImageRequest(PROMPT, seed=2**32 - 2, n=3)
    seeds = [request.seed_of(index) for index in range(3)]
    for _ in range(3):
        request = request.with_another_take(1)
        seeds.append(request.seed_of(1))
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)


# The plan


def test_each_image_is_a_unit_with_the_next_seed() -> None:
    plan = imaging.ImagePlan(ImageRequest(PROMPT, seed=5, n=3), "m", CAN)
    params = [plan.unit("j", index).recipe.params for index in range(3)]
    assert [each["seed"] for each in params] == [5, 6, 7]
    assert (params[0]["width"], params[0]["height"], params[0]["steps"]) == (64, 64, 0)
    # Six of seed 5 hold the three: what one made is found by the other.
    assert imaging.ImagePlan(ImageRequest(PROMPT, seed=5, n=6), "m", CAN).keys[:3] == plan.keys
    assert len(set(plan.keys)) == 3


@pytest.mark.parametrize("size", [(320, 64), (64, 320), (72, 64), (64, 72)])
def test_sizes_that_the_model_cannot_draw_are_refused_with_those_it_can(size: tuple[int, int]) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"64 to 256 pixels, in multiples of 16, .* 64x64 suits") as e:
        imaging.ImagePlan(ImageRequest(PROMPT, width=size[0], height=size[1]), "m", CAN)
    assert e.value.param == "size"


def test_what_the_model_does_not_know_is_a_warning_and_no_other_recipe() -> None:
    plain = imaging.ImagePlan(ImageRequest(PROMPT), "m", CAN)
    asked = imaging.ImagePlan(ImageRequest(PROMPT, guidance=7.5, negative_prompt="fog"), "m", CAN)
    assert asked.keys == plain.keys
    assert asked.warnings == (
        "m knows no guidance; that was not used",
        "m knows no negative prompts; that was not used",
    )
    capable = replace(CAN, options=("steps", "guidance", "negative_prompt"))
    other = imaging.ImagePlan(ImageRequest(PROMPT, guidance=7.5, negative_prompt="fog"), "m", capable)
    assert other.warnings == ()
    assert other.keys != plain.keys
    # No guidance at all is something else than the model's own.
    assert imaging.ImagePlan(ImageRequest(PROMPT, guidance=0.0), "m", CAN).warnings != ()


def test_work_is_steps_and_pixels() -> None:
    def length(can: Capabilities = CAN, **fields: Any) -> float:
        return imaging.ImagePlan(ImageRequest(PROMPT, **fields), "m", can).length(0)

    assert length(width=256, height=256, steps=8) == 8 / 4
    assert length(width=256, height=256) == 4 / 4
    # A model of one step takes one, whatever was asked.
    assert length(replace(CAN, options=()), width=256, height=256, steps=100) == 4 / 4


@pytest.mark.parametrize("canvas", [Canvas((64, 60)), Canvas((2048, 64)), Canvas(steps=0), Canvas(multiple=0)])
def test_a_canvas_that_refuses_its_own_size_is_a_defect(canvas: Canvas) -> None:
    assert problems(CAN) == []
    assert any("canvas" in each for each in problems(replace(CAN, canvas=canvas)))


# Files


class FinishedRun:
    """A run whose images are done."""

    job = "0" * 26

    def __init__(self, *payloads: bytes) -> None:
        self.payloads = payloads

    async def entries(self) -> Any:
        for payload in self.payloads:
            yield Entry(payload, {})


def write(folder: Path, *payloads: bytes, **fields: Any) -> Any:
    plan = imaging.ImagePlan(ImageRequest(PROMPT, seed=3, n=len(payloads), **fields), "m", CAN)
    threads = Threads()
    try:
        return asyncio.run(imaging.write(FinishedRun(*payloads), plan, folder, threads))  # type: ignore[arg-type]
    finally:
        threads.close()


def test_every_image_is_a_file(tmp_path: Path) -> None:
    result = write(tmp_path, bands(64, 80, 1), bands(64, 80, 2))
    assert [(file["name"], file["seed"]) for file in result.segments] == [
        (f"image_{'0' * 26}_1.png", 3),
        (f"image_{'0' * 26}_2.png", 4),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {file["name"] for file in result.segments}
    assert result.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert result.digest_of(result.segments[1]["name"]) == result.segments[1]["digest"] != result.digest
    assert result.digest_of("image_x.png") is None


def test_all_files_or_none(tmp_path: Path) -> None:
    with pytest.raises(errors.UnitFailed):
        write(tmp_path, bands(64, 64, 1), b"no PNG at all" * 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", ["jpeg", "webp"])
def test_other_formats_show_the_same(fmt: Any) -> None:
    png = bands(128, 64, 9)
    data = image_codec.convert(png, fmt)

    def colours(file: bytes) -> Any:
        with av.open(io.BytesIO(file)) as opened:
            return next(opened.decode(video=0)).to_ndarray(format="rgb24")

    want, got = colours(png).astype(int), colours(data).astype(int)
    assert want.shape == got.shape == (64, 128, 3)
    # The middle of a band; between two of them lossy formats are soft.
    assert abs(want[4::8] - got[4::8]).mean() < 8
    assert image_codec.convert(png, "png") is png


@pytest.mark.parametrize("broken", [b"", b"GIF89a" * 10, bands(64, 64, 1)[:30], b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_png_is_the_engines_fault(broken: bytes) -> None:
    with pytest.raises(errors.UnitFailed):
        image_codec.size(broken)


def test_a_damaged_png_is_the_engines_fault() -> None:
    with pytest.raises(errors.UnitFailed, match="damaged"):
        image_codec.convert(bands(64, 64, 1)[:60], "jpeg")


def test_the_files_of_one_result_go_together() -> None:
    first = imaging.name_of("j", 0, "jpeg")
    assert {imaging.name_of("j", index, "jpeg") for index in range(10)} == set(imaging.result_files(first))
    for other in ("speech_j.wav", "speech_j_1.wav", "image_j.png", "image_j_1.txt"):
        assert list(imaging.result_files(other)) == [other]
