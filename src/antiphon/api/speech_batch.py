"""vLLM-Omni's batch: POST /v1/audio/speech/batch, many short texts at once, each with its own outcome."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine
from contextlib import closing
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from antiphon.api import callers, openapi, request_body
from antiphon.api.bodies import DeliveryFields, LenientBody, SpeechBody
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.replies import reply
from antiphon.api.request_log import note
from antiphon.api.speech import usage_of
from antiphon.domain import errors, ids
from antiphon.domain.request import SpeechRequest
from antiphon.speech.service import SpeechService

log = structlog.get_logger("antiphon.http")

MAX_ITEMS = 32
#: Characters of all items together: the whole answer is in memory, and 10,000 are some 40 MB of WAV.
MAX_TEXT = 10_000


class BatchBody(DeliveryFields, LenientBody):
    """`POST /v1/audio/speech/batch`. The fields beside `items` are the defaults of each item."""

    items: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="Each as the body of POST /v1/audio/speech: an input, and what differs from the rest.",
    )
    extra_params: dict[str, Any] | None = None


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


def routes(speech: SpeechService, *, max_body: int) -> APIRouter:
    """`max_body`: bytes of a request's body."""
    router = APIRouter(prefix="/v1/audio", tags=["speech"])

    @router.post(
        "/speech/batch",
        summary="Speak up to 32 texts; what fails does not stop the others",
        responses={200: {"model": BatchResult}, **openapi.errors(400, 413, 500)},
        openapi_extra=openapi.takes(BatchBody),
    )
    async def batch(request: Request) -> Response:
        body = request_body.parse(BatchBody, await request_body.body(request, max_body))
        texts = [item.get("input") for item in body.items]
        if sum(len(text) for text in texts if isinstance(text, str)) > MAX_TEXT:
            raise errors.InvalidText(
                f"All inputs together may have {MAX_TEXT} characters; send longer ones to POST /v1/jobs", param="items"
            )
        note(request.scope, items=len(body.items))
        owner, common = callers.owner(request), body.model_dump(exclude_unset=True, exclude={"items"})
        items = [item_result(speech, owner, index, {**common, **item}) for index, item in enumerate(body.items)]
        results = await unless_disconnected(request, _all(items))
        succeeded = sum(result["status"] == "success" for result in results)
        counts = {"total": len(results), "succeeded": succeeded, "failed": len(results) - succeeded}
        return reply({"id": f"batch_{ids.new_id()}", "results": results, **counts})

    return router


async def _all(items: list[Coroutine[Any, Any, dict[str, Any]]]) -> list[dict[str, Any]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in items]
    return [task.result() for task in tasks]


async def item_result(speech: SpeechService, owner: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    """One item's outcome. An error of the item becomes its status and does not stop the others."""
    nothing: dict[str, Any] = {"audio_data": None, "media_type": None, "usage": None, "warnings": []}
    try:
        speech_request, warnings = request_body.validate(SpeechBody, item).to_request()
        audio = await _speak(speech, owner, speech_request, warnings)
    except errors.AntiphonError as e:
        return {"index": index, "status": "error", "error": e.public, **nothing}
    except Exception as e:
        # A defect of the server over one item is no reason to take the others away.
        log.exception("an item of a batch failed inside the server", item=index)
        why = f"Something went wrong in the server over this item ({type(e).__name__}); its log says what"
        return {"index": index, "status": "error", "error": why, **nothing}
    return {"index": index, "status": "success", "error": None, **audio}


async def _speak(
    speech: SpeechService, owner: str, speech_request: SpeechRequest, warnings: list[str]
) -> dict[str, Any]:
    with closing(await speech.speak(speech_request, owner)) as response:
        data = await response.whole()
    assert response.result is not None
    return {
        "audio_data": base64.b64encode(data).decode(),
        "media_type": response.result.media_type,
        "usage": usage_of(len(speech_request.text), response.result.duration),
        "warnings": [*response.warnings, *warnings],
    }
