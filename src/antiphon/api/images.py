"""OpenAI's images: POST /v1/images/generations."""

from __future__ import annotations

import base64
import errno
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictInt, StrictStr
from starlette.responses import Response

from antiphon.api import callers, idempotency, openapi, request_body
from antiphon.api.bodies import LenientBody, Number, PriorityName
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.replies import reply, warning
from antiphon.api.request_log import note
from antiphon.api.schemas import JobView
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.image import FORMATS, MAX_IMAGES, MAX_PROMPT, MAX_STEPS, Format, ImageRequest, parse_size
from antiphon.files.disk_space import DiskSpace
from antiphon.files.store import FileStore
from antiphon.imaging import kind as imaging
from antiphon.jobs.service import JobService
from antiphon.jobs.waiting import WaitingJob
from antiphon.settings import Settings
from antiphon.store.base import Idempotency
from antiphon.text.normalise import log_text

#: Models of OpenAI's that answer with addresses by default; the newer ones answer with the images.
BY_URL = ("dall-e-2", "dall-e-3")
#: Seconds after which a client may try a full disk again.
RETRY = 5.0


class ImageFields(BaseModel):
    """A prompt, and the size and manner of its images."""

    prompt: StrictStr = Field(description=f"1 to {MAX_PROMPT} characters.", examples=["A lighthouse at dusk"])
    model: StrictStr | None = Field(None, description="A served model; without it the best that draws.")
    n: StrictInt | None = Field(None, description=f"Images, 1 to {MAX_IMAGES}; 1 if not given.")
    size: StrictStr | None = Field(None, description="512x512 and the like; auto: the model's own.")
    seed: StrictInt | None = Field(
        None, description="0 to 4294967295, of the first image; each further one has the next. Without it, chance."
    )
    steps: StrictInt | None = Field(None, description=f"Of denoising, 1 to {MAX_STEPS}; without it the model's own.")
    guidance: Number | None = Field(None, description="0 to 30: how closely the prompt is followed.")
    negative_prompt: StrictStr | None = Field(None, description="What is not to be seen.")
    output_format: StrictStr | None = Field(None, description=f"One of {', '.join(FORMATS)}.")
    priority: PriorityName = "normal"

    def to_image_request(self, deadline: float | None = None) -> ImageRequest:
        """`deadline`: seconds since the epoch. Raises `InvalidRequest`."""
        width, height = parse_size(self.size)
        if self.steps is not None and self.steps < 1:
            raise errors.InvalidRequest(f"steps must be between 1 and {MAX_STEPS}", param="steps")
        return ImageRequest(
            self.prompt,
            seed=imaging.random_seed() if self.seed is None else self.seed, n=1 if self.n is None else self.n,
            width=width, height=height, steps=self.steps or 0, negative_prompt=self.negative_prompt or "",
            guidance=None if self.guidance is None else float(self.guidance), model=self.model,
            format=cast("Format", self.output_format or "png"), priority=self.priority, deadline=deadline,
        )  # fmt: skip


class ImageBody(ImageFields, LenientBody):
    """`POST /v1/images/generations`, OpenAI's and more."""

    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="b64_json: the images in the answer; url: their addresses on this server."
    )

    @property
    def by_url(self) -> bool:
        return self.response_format == "url" or (self.response_format is None and self.model in BY_URL)


class ImageData(BaseModel):
    b64_json: str | None = Field(None, description="The file in base64.")
    url: str | None = Field(None, description="Where the file is, as long as the server keeps it.")
    seed: int = Field(description="Asked for alone, it gives this image again.")


class ImageAnswer(BaseModel):
    created: int = Field(description="Seconds since the epoch.")
    data: list[ImageData]
    output_format: str
    size: str = Field(examples=["512x512"])


_RESPONSES: openapi.Responses = {
    200: {"model": ImageAnswer, "description": "The images, or where they are."},
    202: {"model": JobView, "description": "With `Prefer: respond-async`: a durable job."},
    **openapi.errors(400, 404, 413, 422, 429, 500, 503),
}


def routes(jobs: JobService, files: FileStore, threads: Threads, space: DiskSpace, settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/v1/images", tags=["images"])
    answers = ImageAnswers(jobs, files, threads, space, settings)

    @router.post(
        "/generations",
        summary="Draw images of a prompt",
        responses=_RESPONSES,
        openapi_extra=openapi.takes(ImageBody, headers=openapi.IDEMPOTENCY),
    )
    async def generate(request: Request) -> Response:
        return await answers.respond(request)

    return router


@dataclass(frozen=True, slots=True)
class ImageAnswers:
    """`POST /v1/images/generations`."""

    jobs: JobService
    files: FileStore
    threads: Threads
    space: DiskSpace
    settings: Settings

    async def respond(self, request: Request) -> Response:
        raw = await request_body.body(request, self.settings.max_body)
        body = request_body.parse(ImageBody, raw)
        image_request = body.to_image_request()
        prompt = log_text(image_request.prompt, self.settings.log_text)
        note(request.scope, **image_request.brief() | {"text": prompt})
        owner = callers.owner(request)
        key = idempotency.key_of(request, owner, raw)
        if "respond-async" in request.headers.get("prefer", ""):
            job, _ = await self.jobs.submit(image_request, owner, key)
            return reply(job, 202, {"Location": f"/v1/jobs/{job['id']}", **warning(job["warnings"])})
        if key is not None:
            return await self._once(request, image_request, key, by_url=body.by_url)
        return await self._draw(request, image_request, owner, by_url=body.by_url)

    async def _once(self, request: Request, image_request: ImageRequest, key: Idempotency, *, by_url: bool) -> Response:
        """The first caller and every repetition wait for the same job."""
        job, result = await idempotency.once(request, self.jobs, image_request, key)
        data = [await self._stored_image(request, file, by_url=by_url) for file in result.segments]
        first = result.segments[0]
        size = f"{first['width']}x{first['height']}"
        return _answer(data, image_request, size, {"X-Job-Id": job["id"], **warning(job["warnings"])})

    async def _draw(self, request: Request, image_request: ImageRequest, owner: str, *, by_url: bool) -> Response:
        if by_url:
            self.space.check()
        async with self.jobs.waiting(image_request, owner) as job:
            note(request.scope, model=job.active.served.name)
            work = self._write(request, job) if by_url else self._encode(job)
            data = await unless_disconnected(request, work)
        if by_url:
            await self.jobs.recorded(job.id)
        plan = imaging.plan_of(job)
        headers = {"X-Job-Id": job.id, "X-Cache": job.cache_status, "Cache-Control": "no-store"}
        return _answer(data, image_request, f"{plan.width}x{plan.height}", headers | warning(plan.warnings))

    async def _write(self, request: Request, job: WaitingJob) -> list[dict[str, Any]]:
        """The images as files of the output directory. Raises what ended the run, and `StorageFull`."""
        plan = imaging.plan_of(job)
        try:
            result = await imaging.write(job.run, plan, self.settings.output_path, self.threads)
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise errors.StorageFull("The disk is full; ask for b64_json, or later", retry_after=RETRY) from e
        await self.files.publish_soon(result)
        data = [await self._stored_image(request, file, by_url=True) for file in result.segments]
        job.succeed(result)
        return data

    async def _encode(self, job: WaitingJob) -> list[dict[str, Any]]:
        """The images themselves, in base64. Raises what ended the run."""
        images = await imaging.whole(job, self.threads)
        return [{"b64_json": base64.b64encode(image.data).decode(), "seed": image.seed} for image in images]

    async def _stored_image(self, request: Request, file: Mapping[str, Any], *, by_url: bool) -> dict[str, Any]:
        """A file of a finished job, as its address or with its bytes. Raises `NotFound` if it was removed."""
        if by_url:
            return {"url": f"{request.base_url}output/{file['name']}", "seed": file["seed"]}
        data = await self.files.read(file["name"], file["digest"])
        if data is None:
            raise errors.NotFound(
                "The images were removed because they were old, or to make room (--output-bytes); use another key"
            )
        return {"b64_json": base64.b64encode(data).decode(), "seed": file["seed"]}


def _answer(data: list[dict[str, Any]], image_request: ImageRequest, size: str, headers: dict[str, str]) -> Response:
    body = {"created": int(time.time()), "data": data, "output_format": image_request.format, "size": size}
    return reply(body, headers=headers)
