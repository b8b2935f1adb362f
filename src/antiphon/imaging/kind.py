"""Image kind: plans a prompt as one unit for each image, and turns the results into files or bytes."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.engine import Canvas, Capabilities
from antiphon.domain.image import FORMATS, MAX_IMAGES, ImageRequest
from antiphon.domain.job import Result
from antiphon.domain.kind import KindTraits
from antiphon.domain.request import MAX_SEED
from antiphon.domain.unit import Recipe, Unit, UnitResult
from antiphon.files import atomic
from antiphon.imaging import image_codec
from antiphon.jobs.kind import JobKind
from antiphon.jobs.run import JobRun
from antiphon.jobs.waiting import WaitingJob
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel

#: Pixels of the image whose denoising steps are the unit of length.
REFERENCE_PIXELS = 512 * 512
#: First bytes of the image files that browsers show.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
#: Fields that a model may not support: the value that asks for nothing, and the name in a warning.
_ABILITIES = {"steps": (0, "steps"), "guidance": (None, "guidance"), "negative_prompt": ("", "negative prompts")}


def check_result(capabilities: Capabilities, result: UnitResult) -> str | None:
    return None if result.payload.startswith(SIGNATURES) else "it is no PNG, JPEG or WebP"


TRAITS = KindTraits(
    ImageRequest.type, "steps at 512×512 pixels", reference_length=20.0, check_result=check_result, audio=False
)


@dataclass(slots=True)
class ImagePlan:
    """The units of a request for one model; implements `domain.plan.Plan`."""

    request: ImageRequest
    model: str
    capabilities: Capabilities
    warnings: tuple[str, ...] = field(init=False)
    keys: list[str] = field(init=False)
    width: int = field(init=False)
    height: int = field(init=False)
    source: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Raises `InvalidRequest` for a size that the model cannot draw."""
        request, canvas = self.request, self.canvas
        self.width, self.height = (request.width, request.height) if request.width else canvas.size
        check_canvas(canvas, self.width, self.height)
        self.warnings = tuple(
            f"{self.model} knows no {called}; that was not used"
            for name, (unset, called) in _ABILITIES.items()
            if name not in self.capabilities.options and getattr(request, name) != unset
        )
        self.keys = [self._recipe(index).key() for index in range(request.n)]

    @property
    def canvas(self) -> Canvas:
        return self.capabilities.canvas or Canvas()

    @property
    def nbytes(self) -> int:
        """Bytes that the request takes in memory; the images are in the cache and on disk."""
        return 200 + 4 * len(self.request.prompt) + 4 * len(self.request.negative_prompt)

    def _recipe(self, index: int) -> Recipe:
        request, supported = self.request, self.capabilities.options
        params: dict[str, Any] = {
            "prompt": request.prompt.strip(),
            "negative_prompt": request.negative_prompt.strip() if "negative_prompt" in supported else "",
            "width": self.width,
            "height": self.height,
            "steps": request.steps if "steps" in supported else 0,
            "guidance": request.guidance if "guidance" in supported else None,
            "seed": request.seed_of(index),
        }
        return Recipe("image", self.model, self.capabilities.revision, params)

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self._recipe(index), self.length(index))

    def length(self, index: int) -> float:
        """Denoising steps of an image of 512×512 pixels that takes as much work."""
        steps = self.request.steps if "steps" in self.capabilities.options else 0
        return (steps or self.canvas.steps) * self.width * self.height / REFERENCE_PIXELS

    def expected_audio(self, per_length: float | None) -> float:
        return 0.0

    def audio_seconds(self, result: UnitResult) -> float | None:
        return None

    @property
    def media_type(self) -> str:
        return image_codec.MEDIA_TYPES[self.request.format]


def random_seed() -> int:
    """A seed for a request that names none; the response gives it, so that the image can be made again."""
    return secrets.randbelow(MAX_SEED + 1)


def check_canvas(canvas: Canvas, width: int, height: int) -> None:
    """Raises `InvalidRequest`, with the sizes that the model can draw, for another size."""
    sides = (width, height)
    if all(canvas.least <= side <= canvas.most and side % canvas.multiple == 0 for side in sides):
        return
    own = "x".join(map(str, canvas.size))
    raise errors.InvalidRequest(
        f"This model draws sides of {canvas.least} to {canvas.most} pixels, in multiples of {canvas.multiple}, "
        f"not {width}x{height}; {own} suits it best",
        param="size",
    )


def kind(selector: ModelSelector) -> JobKind:
    """The functions with which jobs of this kind are planned and written."""

    async def prepare(request: ImageRequest, owner: str) -> tuple[ServedModel, ImagePlan]:
        served = selector.choose_kind(request.model, request.type)
        return served, await plan(request, served)

    async def plan(request: ImageRequest, served: ServedModel) -> ImagePlan:
        assert served.capabilities is not None
        return ImagePlan(request, served.name, served.capabilities)

    return JobKind(
        TRAITS, ImageRequest.from_json, prepare, plan, write,
        file_prefix="image", file_names=result_files, subtitles=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """One finished image in the format of the request. Sizes are in pixels."""

    index: int
    data: bytes
    width: int
    height: int
    seed: int


async def finished(run: JobRun, plan: ImagePlan, threads: Threads) -> AsyncGenerator[Image]:
    """The images in order, each once it and all before it are done. Raises what ended the run."""
    index = 0
    async with contextlib.aclosing(run.entries()) as entries:
        async for entry in entries:
            width, height = image_codec.size(entry.payload)
            data = await threads.run(image_codec.convert, entry.payload, plan.request.format)
            yield Image(index, data, width, height, plan.request.seed_of(index))
            index += 1


async def write(run: JobRun, plan: ImagePlan, folder: Path, threads: Threads) -> Result:
    """Writes each image to a file of its own; on an error no file is left."""
    files: list[dict[str, Any]] = []
    try:
        async with contextlib.aclosing(finished(run, plan, threads)) as images:
            async for image in images:
                name = name_of(run.job, image.index, plan.request.format)
                files.append({"name": name})
                digest = await threads.run(atomic.write, folder, name, image.data)
                files[-1] |= {"digest": digest, "bytes": len(image.data)}
                files[-1] |= {"width": image.width, "height": image.height, "seed": image.seed}
    except BaseException:
        for file in files:
            (folder / file["name"]).unlink(missing_ok=True)
        raise
    total = sum(file["bytes"] for file in files)
    return Result(files[0]["name"], plan.media_type, total, 0.0, files[0]["digest"], tuple(files))


async def whole(job: WaitingJob, threads: Threads) -> list[Image]:
    """The images of a waiting request; ends the job. Raises what ended the run."""
    plan = plan_of(job)
    images = [image async for image in finished(job.run, plan, threads)]
    job.succeed(result_of(sum(len(image.data) for image in images), plan))
    return images


def plan_of(job: WaitingJob) -> ImagePlan:
    assert isinstance(job.run.plan, ImagePlan)
    return job.run.plan


def result_of(size: int, plan: ImagePlan) -> Result:
    """The result of a waiting request, whose response held the images: no file."""
    return Result("", plan.media_type, size, 0.0, "", ())


def name_of(job: str, index: int, fmt: str) -> str:
    """The file name of an image of a job."""
    return f"image_{job}_{index + 1}{EXTENSIONS[fmt]}"


def result_files(name: str) -> Iterator[str]:
    """The names that the files of a result may have, from the name of its first file; only `name` if it is not one."""
    stem, _, ending = name.rpartition(".")
    what, *rest = stem.split("_")
    if what != "image" or len(rest) != 2 or f".{ending}" not in {EXTENSIONS[fmt] for fmt in FORMATS}:
        yield name
        return
    for index in range(MAX_IMAGES):
        yield f"image_{rest[0]}_{index + 1}.{ending}"
