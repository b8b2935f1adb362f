"""Voices: those of the served models, and recordings that clients uploaded to be imitated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from antiphon.api import callers, multipart, openapi
from antiphon.api.errors import TooLarge
from antiphon.api.files import plain_file
from antiphon.api.replies import reply
from antiphon.api.voice_preview import VoicePreview
from antiphon.domain import errors
from antiphon.domain.voice import Reference
from antiphon.models.selection import ModelSelector
from antiphon.references.service import References
from antiphon.sandbox import reference_audio

PREFIX = "/v1/audio/voices"


class VoiceEntry(BaseModel):
    id: str = Field(description="What a request names as `voice`.")
    name: str
    model: str
    languages: list[str]
    gender: str | None
    speakers: list[str] = Field(description="Of a voice with several; `id#speaker` names one. Empty for most voices.")
    sample: str = Field(description="Path of a short recording of it.")


class UploadedVoice(BaseModel):
    id: str
    name: str
    consent: str
    created_at: int = Field(description="Seconds since the epoch.")
    file_size: int = Field(description="Bytes of the stored recording.")
    mime_type: str
    seconds: float = Field(description="Length of the recording without the silence at its ends.")
    ref_text: str | None = None
    speaker_description: str | None = None
    sample: str


class VoiceCollection(BaseModel):
    voices: list[VoiceEntry] | list[str] = Field(description="With legacy=true only their ids.")
    uploaded_voices: list[UploadedVoice]


class VoiceChange(BaseModel):
    success: Literal[True]
    voice: UploadedVoice


_FORM: dict[str, Any] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 64},
    "audio_sample": {
        "type": "string",
        "format": "binary",
        "description": "WAV, MP3, FLAC, Ogg, Opus, AAC, M4A or WebM; at most 10 MiB and 120 seconds, of which 1 to "
        "60 are not silent.",
    },
    "consent": {
        "type": "string",
        "description": "The speaker's statement that the voice may be imitated, or the id under which you keep it.",
    },
    "ref_text": {"type": "string", "description": "What is said in the recording."},
    "speaker_description": {"type": "string"},
}


def routes(
    references: References,
    selector: ModelSelector,
    preview: VoicePreview,
    own_voices: Callable[[], list[dict[str, Any]]],
) -> APIRouter:
    """`own_voices`: the voices of every model that can speak, the best model's first."""
    router = APIRouter(prefix=PREFIX, tags=["voices"])
    _add_collection(router, references, selector, own_voices)
    _add_voice(router, references, preview)
    return router


def _add_collection(
    router: APIRouter, references: References, selector: ModelSelector, own_voices: Callable[[], list[dict[str, Any]]]
) -> None:
    @router.get("", summary="Voices of the served models, and those you uploaded", response_model=VoiceCollection)
    async def listing(
        request: Request, legacy: bool = Query(False, description="Only ids, as Kokoro-FastAPI once answered.")
    ) -> Response:
        uploaded = await references.list(callers.owner(request))
        entries = [*entries_of(uploaded, selector), *map(_entry, own_voices())]
        voices = [entry["id"] for entry in entries] if legacy else entries
        return reply({"voices": voices, "uploaded_voices": [view(each) for each in uploaded]})

    @router.post(
        "",
        summary="Upload a voice to be imitated",
        responses={200: {"model": VoiceChange}, **openapi.errors(400, 409, 413, 503)},
        openapi_extra=openapi.takes_form(_FORM, "name", "audio_sample", "consent"),
    )
    async def upload(request: Request) -> Response:
        async with multipart.form_with_file(request, reference_audio.MAX_BYTES) as form:
            file = form.get("audio_sample")
            if not isinstance(file, UploadFile):
                raise errors.InvalidRequest("The file `audio_sample` is missing", param="audio_sample")
            # One byte more than allowed, so that a file that is too large is noticed.
            data = await file.read(reference_audio.MAX_BYTES + 1)
            if len(data) > reference_audio.MAX_BYTES:
                raise TooLarge(f"The recording is larger than {reference_audio.MAX_BYTES} bytes")
            fields = {key: value for key, value in form.multi_items() if isinstance(value, str)}
        if "name" not in fields:
            raise errors.InvalidRequest("The field 'name' is missing", param="name")
        created = await references.upload(
            callers.owner(request),
            fields["name"].strip(),
            data,
            consent=fields.get("consent", ""),
            ref_text=fields.get("ref_text"),
            description=fields.get("speaker_description"),
        )
        return reply({"success": True, "voice": view(created)})


def _add_voice(router: APIRouter, references: References, preview: VoicePreview) -> None:
    @router.delete(
        "/{voice}",
        summary="Delete a voice that you uploaded",
        responses={200: {"model": VoiceChange}, **openapi.errors(404)},
    )
    async def delete(request: Request, voice: str) -> Response:
        deleted = await references.delete(callers.owner(request), voice)
        if deleted is None:
            raise errors.NotFound(f"You have uploaded no voice {voice[:60]!r}; a model's own cannot be deleted")
        return reply({"success": True, "voice": view(deleted)})

    @router.get(
        "/{voice}/sample",
        summary="Hear a voice: the recording that was uploaded, or a sentence spoken by a model's own",
        responses={**openapi.file("A WAV file."), **openapi.errors(404, 429, 500, 503)},
    )
    async def sample(
        request: Request, voice: str, model: str | None = Query(None, description="Where several models have it.")
    ) -> Response:
        owner = callers.owner(request)
        reference = await references.find(owner, voice)
        if reference is None:
            return await preview.respond(request, voice, model, owner)
        if not await references.ensure_local(reference.digest):
            raise errors.NotFound("The recording of that voice is no longer here; upload it again")
        path = references.library.path(reference.digest)
        answer = plain_file(request, path, reference.digest, reference.media_type)
        # Unlike the name of a finished file, a voice's name may stand for another recording later.
        answer.headers["Cache-Control"] = "private, no-cache"
        return answer


def entries_of(uploaded: Sequence[Reference], selector: ModelSelector) -> list[dict[str, Any]]:
    """The entries of uploaded voices; none while no served model can imitate them."""
    able = selector.cloning()
    if not able:
        return []
    return [
        {
            "id": each.id,
            "name": each.name,
            "model": able[0].name,
            "languages": list(each.languages),
            "gender": None,
            "speakers": [],
            "sample": _sample(each.id),
        }
        for each in uploaded
    ]


def view(reference: Reference) -> dict[str, Any]:
    """An uploaded voice as vLLM-Omni describes it, with our id, seconds and sample."""
    r = reference
    required = {
        "id": r.id,
        "name": r.name,
        "consent": r.consent,
        "created_at": int(r.created_at),
        "file_size": r.bytes,
        "mime_type": r.media_type,
        "seconds": round(r.seconds, 3),
        "sample": _sample(r.id),
    }
    optional = {"ref_text": r.ref_text, "speaker_description": r.description}
    return required | {key: value for key, value in optional.items() if value is not None}


def _entry(voice: dict[str, Any]) -> dict[str, Any]:
    return {**voice, "sample": f"{_sample(voice['id'])}?model={quote(voice['model'], safe='')}"}


def _sample(id: str) -> str:
    return f"{PREFIX}/{quote(id, safe='')}/sample"
