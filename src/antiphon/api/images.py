"""OpenAI's images: POST /v1/images/generations."""

from __future__ import annotations

import base64
import errno
import time
from datetime import datetime
from typing import Any, Literal, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictInt, StrictStr
from starlette.responses import Response

from antiphon.api import openapi, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.errors import reply
from antiphon.api.request_log import note
from antiphon.api.schemas import ErrorObject, Foreign, JobView, Number, Own, PriorityName, WebhookBody
from antiphon.api.tts import finished, warning
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.domain.image import FORMATS, MAX_IMAGES, MAX_PROMPT, MAX_STEPS, Format, ImageRequest, parse_size
from antiphon.domain.request import parse_deadline
from antiphon.imaging import kind as imaging
from antiphon.jobs.waiting import WaitingJob
from antiphon.text.normalise import log_text

#: OpenAI's older models answer with addresses where nothing else is asked for, the newer ones with the images.
BY_URL = ("dall-e-2", "dall-e-3")
#: Seconds after which a full disk is asked for again.
RETRY = 5.0


class ImageFields(BaseModel):
    """A prompt and how it is to be drawn."""

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

    def request(self) -> ImageRequest:
        """In our own words. Raises `InvalidRequest`."""
        width, height = parse_size(self.size)
        if self.steps is not None and self.steps < 1:
            raise errors.InvalidRequest(f"steps must be between 1 and {MAX_STEPS}", param="steps")
        deadline = getattr(self, "deadline", None)
        return ImageRequest(
            self.prompt,
            seed=imaging.any_seed() if self.seed is None else self.seed,
            n=1 if self.n is None else self.n,
            width=width,
            height=height,
            steps=self.steps or 0,
            guidance=None if self.guidance is None else float(self.guidance),
            negative_prompt=self.negative_prompt or "",
            model=self.model,
            format=cast("Format", self.output_format or "png"),
            priority=self.priority,
            deadline=None if deadline is None else parse_deadline(deadline, datetime.now().astimezone()),
        )


class ImageBody(ImageFields, Foreign):
    """`POST /v1/images/generations`, OpenAI's and more."""

    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="b64_json: the images in the answer; url: their addresses on this server."
    )

    @property
    def by_url(self) -> bool:
        return self.response_format == "url" or (self.response_format is None and self.model in BY_URL)


class ImageJob(ImageFields, Own):
    """`POST /v1/jobs` for images."""

    type: Literal["image"]
    webhook: StrictStr | WebhookBody | None = Field(None, description="A URL that is told when the job has ended.")
    deadline: StrictStr | None = Field(None, description="06:00 or an ISO 8601 time.")


class ImageData(BaseModel):
    b64_json: str | None = Field(None, description="The file in base64.")
    url: str | None = Field(None, description="Where the file is, as long as the server keeps it.")
    seed: int = Field(description="Asked for alone, it gives this image again.")


class ImageAnswer(BaseModel):
    created: int = Field(description="Seconds since the epoch.")
    data: list[ImageData]
    output_format: str
    size: str = Field(examples=["512x512"])


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": ImageAnswer, "description": "The images, or where they are."},
    202: {"model": JobView, "description": "With `Prefer: respond-async`: a durable job."},
    400: {"model": ErrorObject, "description": "The request cannot be drawn; it says why."},
    404: {"model": ErrorObject, "description": "There is no such model."},
    413: {"model": ErrorObject},
    422: {"model": ErrorObject, "description": "The Idempotency-Key was used before with another body."},
    429: {"model": ErrorObject, "description": "Too much work of yours is waiting; see Retry-After."},
    500: {"model": ErrorObject, "description": "The model could not draw it."},
    503: {"model": ErrorObject, "description": "No model can do it now, or the queue is full; see Retry-After."},
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/images", tags=["images"])

    @router.post(
        "/generations",
        summary="Draw images of a prompt",
        responses=_ANSWERS,
        openapi_extra=openapi.takes(ImageBody, headers=openapi.IDEMPOTENCY),
    )
    async def generate(request: Request) -> Response:
        raw = await request_body.body(request, antiphon.settings.max_body)
        body = request_body.parse(ImageBody, raw)
        asked = body.request()
        note(request.scope, **asked.brief() | {"text": log_text(asked.prompt, antiphon.settings.log_text)})
        owner = request_body.owner(request)
        key = request_body.idempotency(request, owner, raw)
        if "respond-async" in request.headers.get("prefer", ""):
            job, _ = await antiphon.jobs.submit(asked, owner, key)
            return reply(job, 202, {"Location": f"/v1/jobs/{job['id']}", **warning(job["warnings"])})
        if key is not None:
            # The first caller and every repetition wait for the same job.
            job, _ = await antiphon.jobs.submit(asked, owner, key)
            result = await unless_gone(request, finished(antiphon, job["id"], owner))
            data = [await _kept(antiphon, request, file, by_url=body.by_url) for file in result.segments]
            first = result.segments[0]
            size = f"{first['width']}x{first['height']}"
            return _answer(data, asked, size, {"X-Job-Id": job["id"], **warning(job["warnings"])})
        return await _wait(antiphon, request, asked, owner, by_url=body.by_url)

    return router


async def _wait(antiphon: Antiphon, request: Request, asked: ImageRequest, owner: str, *, by_url: bool) -> Response:
    if by_url:
        antiphon.space.check()
    async with antiphon.jobs.waiting(asked, owner) as job:
        note(request.scope, model=job.active.served.name)
        data = await unless_gone(request, _filed(antiphon, request, job) if by_url else _encoded(antiphon, job))
    if by_url:
        await antiphon.jobs.recorded(job.id)
    plan = imaging.plan_of(job)
    return _answer(data, asked, f"{plan.width}x{plan.height}", _headers(job))


async def _filed(antiphon: Antiphon, request: Request, job: WaitingJob) -> list[dict[str, Any]]:
    """The images as files of the output directory. Raises what ended the run, and `StorageFull`."""
    plan = imaging.plan_of(job)
    try:
        result = await imaging.write(job.run, plan, antiphon.settings.output_path, antiphon.threads)
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise errors.StorageFull("The disk is full; ask for b64_json, or later", retry_after=RETRY) from e
    await antiphon.files.publish_soon(result)
    data = [await _kept(antiphon, request, file, by_url=True) for file in result.segments]
    job.succeed(result)
    return data


async def _encoded(antiphon: Antiphon, job: WaitingJob) -> list[dict[str, Any]]:
    """The images themselves. Raises what ended the run."""
    images = await imaging.whole(job, antiphon.threads)
    return [{"b64_json": base64.b64encode(image.data).decode(), "seed": image.seed} for image in images]


async def _kept(antiphon: Antiphon, request: Request, file: Any, *, by_url: bool) -> dict[str, Any]:
    """A file of a finished job, as its address or with its bytes. Raises `NotFound` if it was removed."""
    if by_url:
        return {"url": f"{request.base_url}output/{file['name']}", "seed": file["seed"]}
    data = await antiphon.files.read(file["name"], file["digest"])
    if data is None:
        raise errors.NotFound(
            "The images were removed because they were old, or to make room (--output-bytes); use another key"
        )
    return {"b64_json": base64.b64encode(data).decode(), "seed": file["seed"]}


def _headers(job: WaitingJob) -> dict[str, str]:
    warnings = warning(imaging.plan_of(job).warnings)
    return {"X-Job-Id": job.id, "X-Cache": job.cache_status, "Cache-Control": "no-store", **warnings}


def _answer(data: list[dict[str, Any]], asked: ImageRequest, size: str, headers: dict[str, str]) -> Response:
    body = {"created": int(time.time()), "data": data, "output_format": asked.format, "size": size}
    return reply(body, headers=headers)
