"""Reading: POST /v1/audio/reading tells what would be said for a text, and makes no audio."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictBool, StrictStr
from starlette.responses import Response

from antiphon.api import callers, openapi, request_body
from antiphon.api.bodies import ReadingFields, StrictBody, VoiceId, voice_name
from antiphon.api.replies import reply
from antiphon.api.request_log import note
from antiphon.domain import errors
from antiphon.domain.request import SpeechRequest
from antiphon.speech.service import SpeechService
from antiphon.text.normalise import log_text

#: Characters: the answer is in memory, and may be some ten times as long.
MAX_TEXT = 100_000
#: Characters of a text whose phonemes are told: a worker is asked for those of each segment.
MAX_SPELLED = 5_000


class ReadingBody(ReadingFields, StrictBody):
    """`POST /v1/audio/reading`."""

    input: StrictStr = Field(description=f"The text, up to {MAX_TEXT:,} characters.")
    language: StrictStr | None = Field(None, max_length=20, description="BCP-47; without it the text decides.")
    model: StrictStr | None = Field(None, description="A served model: what is said depends on it.")
    voice: StrictStr | VoiceId | None = Field(None, description="A voice of the model, which may decide for a model.")
    ssml: StrictBool | None = Field(None, description="As in a request for speech.")

    phonemes: StrictBool = Field(
        False, description=f"Also how the model says them, of a text up to {MAX_SPELLED:,} characters."
    )

    def to_request(self) -> SpeechRequest:
        """Raises `InvalidRequest`."""
        if len(self.input) > (most := MAX_SPELLED if self.phonemes else MAX_TEXT):
            raise errors.InvalidText(f"Text must be 1-{most} characters here; send a longer one in parts")
        return SpeechRequest(
            self.input, self.model, voice_name(self.voice), self.language, ssml=self.ssml, **self.reading_fields()
        )


class SegmentReading(BaseModel):
    text: str = Field(description="As it is written, without markup: what subtitles show.")
    reading: str = Field(description="What the model is given to say.")
    phonemes: str | None = Field(None, description="In the model's own letters; of Chinese, pinyin with tones.")


class ReadingAnswer(BaseModel):
    language: str = Field(description="Of the first segment.", examples=["en"])
    model: str
    segments: list[SegmentReading] = Field(description="In the order in which they are said.")
    warnings: list[str] = Field(description="What the model cannot do, and what would be left out.")


def routes(speech: SpeechService, *, max_body: int, log_chars: int) -> APIRouter:
    """`max_body`: bytes of a request's body; `log_chars`: characters of a text that the log shows."""
    router = APIRouter(prefix="/v1/audio", tags=["speech"])

    @router.post(
        "/reading",
        summary="What would be said for a text; no audio is made",
        responses={200: {"model": ReadingAnswer}, **openapi.errors(400, 404, 413, 422, 429, 500, 503)},
        openapi_extra=openapi.takes(ReadingBody),
    )
    async def reading(request: Request) -> Response:
        """The words that the model is given for each segment: numbers, signs and abbreviations as they are read,
        without markup. A model that reads them by itself is given the text as it is written."""
        body = request_body.parse(ReadingBody, await request_body.body(request, max_body))
        speech_request = body.to_request()
        note(request.scope, **speech_request.brief() | {"text": log_text(speech_request.text, log_chars)})
        return reply(await speech.reading(speech_request, callers.owner(request), phonemes=body.phonemes))

    return router
