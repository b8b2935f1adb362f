"""Job bodies: the JSON of POST /v1/jobs, by the kind of job."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from antiphon.api import request_body
from antiphon.api.bodies import DeliveryFields, PriorityName, StrictBody, TurnBody, dialogue
from antiphon.api.images import ImageFields
from antiphon.api.transcriptions import RecordingReader, data_of_url, language_tag
from antiphon.domain import errors
from antiphon.domain.image import ImageRequest
from antiphon.domain.job import Kind
from antiphon.domain.plan import Request
from antiphon.domain.request import FORMATS, MAX_TURNS, SpeechRequest, parse_deadline
from antiphon.domain.transcription import TranscriptionRequest
from antiphon.jobs.kind import JobKind, Kinds
from antiphon.jobs.webhooks import new_webhook
from antiphon.store.base import Webhook


class WebhookBody(StrictBody):
    url: StrictStr = Field(description="Called once the job has ended, signed as Standard Webhooks says.")
    secret: StrictStr | None = Field(None, description="whsec_…; without it the server's own, GET /v1/webhooks/secret.")


WebhookField = StrictStr | WebhookBody | None


class JobFields(StrictBody):
    """The fields of a job of any kind that has a body model."""

    webhook: WebhookField = Field(None, description="A URL that is told when the job has ended.")
    deadline: StrictStr | None = Field(None, description="06:00 or an ISO 8601 time.")

    @abstractmethod
    async def to_request(self, recordings: RecordingReader) -> tuple[Request, list[str]]:
        """The request, and warnings about fields that have no effect here. Raises `InvalidRequest`."""

    def deadline_at(self) -> float | None:
        """Seconds since the epoch."""
        return None if self.deadline is None else parse_deadline(self.deadline, datetime.now().astimezone())


class JobBody(DeliveryFields, JobFields):
    """`POST /v1/jobs`."""

    type: Literal["speech"] = "speech"
    input: StrictStr | None = Field(None, description="The text, up to 1,000,000 characters.")
    turns: list[TurnBody] | None = Field(
        None, min_length=1, max_length=MAX_TURNS, description="A dialogue, in place of input."
    )
    deadline: StrictStr | None = Field(
        None, description="06:00 or an ISO 8601 time: bulk work that is sped up only when it would be late."
    )
    response_format: StrictStr = Field("wav", description=f"One of {', '.join(FORMATS)}.")

    async def to_request(self, recordings: RecordingReader) -> tuple[SpeechRequest, list[str]]:
        if (self.input is None) == (self.turns is None):
            raise errors.InvalidRequest("Give either input, a text, or turns, a dialogue", param="input")
        fields, warnings = self.delivery()
        fields["deadline"] = self.deadline_at()
        if self.turns is not None:
            return dialogue(self.turns, fields), warnings
        assert self.input is not None
        return SpeechRequest(text=self.input, **fields), warnings


class TranscriptionJob(JobFields):
    """`POST /v1/jobs` for a recording."""

    type: Literal["transcription"]
    audio: StrictStr = Field(description="The recording as a data: URL in base64; larger ones go to the route above.")
    task: Literal["transcribe", "translate"] = "transcribe"
    model: StrictStr | None = None
    language: StrictStr | None = None
    prompt: StrictStr = ""
    temperature: float = 0.0
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    words: bool = Field(False, description="The times of words, in verbose_json.")
    priority: PriorityName = "normal"

    async def to_request(self, recordings: RecordingReader) -> tuple[TranscriptionRequest, list[str]]:
        data, deadline = data_of_url(self.audio), self.deadline_at()
        request = TranscriptionRequest(
            "", (), 0.0, self.task, self.model, language_tag(self.language), self.prompt, self.temperature,
            self.response_format, self.words, self.priority, deadline,
        )  # fmt: skip
        return await recordings.attach(request, io.BytesIO(data)), []


class ImageJob(ImageFields, JobFields):
    """`POST /v1/jobs` for images."""

    type: Literal["image"]

    async def to_request(self, recordings: RecordingReader) -> tuple[ImageRequest, list[str]]:
        return self.to_image_request(self.deadline_at()), []


#: The body models, by the name of the kind that the member `type` gives.
BODIES: Mapping[Kind, type[JobFields]] = {"speech": JobBody, "transcription": TranscriptionJob, "image": ImageJob}


class OtherJob(BaseModel):
    """The body of a kind without a body model: every field but these belongs to the kind's own request."""

    model_config = ConfigDict(extra="allow")
    type: StrictStr
    webhook: WebhookField = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a body asks for."""

    request: Request
    warnings: list[str]
    webhook: Webhook | None


async def read(raw: bytes, kinds: Kinds, recordings: RecordingReader) -> NewJob:
    """Raises `InvalidRequest`, and what `RecordingReader.attach` raises."""
    type_ = request_body.member(raw, "type")
    kind = type_ if isinstance(type_, str) else SpeechRequest.type
    if kind not in kinds:
        raise errors.InvalidRequest(
            f"type: there is no kind of job {kind[:40]!r}; there are: {', '.join(kinds)}", param="type"
        )
    if kind not in BODIES:
        return _read_other(raw, kinds[kind])
    body = request_body.parse(BODIES[kind], raw)
    request, warnings = await body.to_request(recordings)
    return NewJob(request, warnings, webhook_of(body.webhook))


def _read_other(raw: bytes, kind: JobKind) -> NewJob:
    body = request_body.parse(OtherJob, raw)
    fields = request_body.members(raw)
    for name in OtherJob.model_fields:
        fields.pop(name, None)
    try:
        request = kind.parse(fields)
    except KeyError as e:
        raise errors.InvalidRequest(f"The field {e} is missing", param=str(e.args[0])) from e
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as e:
        raise errors.InvalidRequest(f"This is not a job of kind {kind.name}: {e}") from e
    return NewJob(request, [], webhook_of(body.webhook))


def webhook_of(field: str | WebhookBody | None) -> Webhook | None:
    if isinstance(field, WebhookBody):
        return new_webhook(field.url, field.secret)
    return None if field is None else new_webhook(field, None)
