"""vLLM-Omni's batch: POST /v1/audio/speech/batch, many short texts at once, each with its own outcome."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from antiphon.api import openapi, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.errors import reply
from antiphon.api.request_log import note
from antiphon.api.schemas import DeliveryFields, Foreign, SpeechBody
from antiphon.api.speech import BROKEN
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors, ids
from antiphon.domain.request import SpeechRequest

MAX_ITEMS = 32
#: Characters of all items together: the answer is held whole, and 10,000 are some 40 MB of WAV.
MAX_TEXT = 10_000


class BatchBody(DeliveryFields, Foreign):
    """`POST /v1/audio/speech/batch`. What stands beside `items` holds for each item that does not say otherwise."""

    items: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="Each as the body of POST /v1/audio/speech: an input, and what differs from the rest.",
    )
    extra_params: dict[str, Any] | None = None

    def common(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"items"})


class BatchUsage(BaseModel):
    input_tokens: int = Field(description="Characters in.")
    output_tokens: int = Field(description="20 ms frames out.")
    total_tokens: int


class BatchItemResult(BaseModel):
    index: int
    status: Literal["success", "error"]
    audio_data: str | None = Field(description="Base64.")
    media_type: str | None
    usage: BatchUsage | None
    error: str | None
    warnings: list[str]


class BatchResult(BaseModel):
    id: str
    results: list[BatchItemResult]
    total: int
    succeeded: int
    failed: int


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["speech"])

    @router.post(
        "/speech/batch",
        summary="Speak up to 32 texts; what fails does not stop the others",
        responses={200: {"model": BatchResult}, **{code: BROKEN[code] for code in (400, 413, 500)}},
        openapi_extra=openapi.takes(BatchBody),
    )
    async def batch(request: Request) -> Response:
        body = request_body.parse(BatchBody, await request_body.body(request, antiphon.settings.max_body))
        texts = [item.get("input") for item in body.items]
        if sum(len(text) for text in texts if isinstance(text, str)) > MAX_TEXT:
            raise errors.InvalidText(
                f"All inputs together may have {MAX_TEXT} characters; send longer ones to POST /v1/jobs", param="items"
            )
        note(request.scope, items=len(body.items))
        owner, common = request_body.owner(request), body.common()
        made = [item_result(antiphon, owner, index, {**common, **item}) for index, item in enumerate(body.items)]
        results = await unless_gone(request, _all(made))
        succeeded = sum(result["status"] == "success" for result in results)
        return reply(
            {
                "id": f"batch_{ids.new_id()}",
                "results": results,
                "total": len(results),
                "succeeded": succeeded,
                "failed": len(results) - succeeded,
            }
        )

    return router


async def _all(made: list[Any]) -> list[dict[str, Any]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in made]
    return [task.result() for task in tasks]


async def item_result(antiphon: Antiphon, owner: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    """One item's outcome; an error that is its own becomes its status."""
    nothing: dict[str, Any] = {"audio_data": None, "media_type": None, "usage": None, "warnings": []}
    try:
        asked, warnings = request_body.parse(SpeechBody, msgspec.json.encode(item)).asked()
        return {"index": index, "status": "success", "error": None, **await _spoken(antiphon, owner, asked, warnings)}
    except errors.AntiphonError as e:
        return {"index": index, "status": "error", "error": e.message, **nothing}


async def _spoken(antiphon: Antiphon, owner: str, asked: SpeechRequest, warnings: list[str]) -> dict[str, Any]:
    speech = await antiphon.speech.speak(asked, owner)
    try:
        data = await speech.whole()
    finally:
        speech.close()
    assert speech.result is not None
    taken, made = len(asked.text), round(speech.result.duration * 50)
    return {
        "audio_data": base64.b64encode(data).decode(),
        "media_type": speech.result.media_type,
        "usage": {"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made},
        "warnings": [*speech.plan.warnings, *warnings],
    }
