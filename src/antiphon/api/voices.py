"""The voices that can be asked for: the models' own, and those that were uploaded to be imitated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from antiphon.api import multipart, openapi, request_body, voice_preview
from antiphon.api.errors import TooLarge, reply
from antiphon.api.files import plain_file
from antiphon.api.schemas import ErrorObject
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.domain.voice import Reference
from antiphon.sandbox import reference_audio

PREFIX = "/v1/audio/voices"


class VoiceEntry(BaseModel):
    id: str = Field(description="What a request names as `voice`.")
    name: str
    model: str
    languages: list[str]
    gender: str | None
    sample: str = Field(description="Path of a short recording of it.")


class UploadedVoice(BaseModel):
    id: str
    name: str
    consent: str
    created_at: int = Field(description="Seconds since the epoch.")
    file_size: int = Field(description="Bytes of the recording as it is kept.")
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
    "type": "object",
    "required": ["name", "audio_sample", "consent"],
    "properties": {
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
    },
}
_UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
_404: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorObject, "description": "There is no such voice, or it is not yours."}
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorObject, "description": "Something is missing, or the recording cannot be used; it says why."},
    409: {"model": ErrorObject, "description": "You have a voice of that name, or as many as one client may have."},
    413: {"model": ErrorObject, "description": "The recording is larger than 10 MiB."},
    503: {"model": ErrorObject, "description": "Too many recordings are being read; see Retry-After."},
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["voices"])
    references = antiphon.references

    @router.get("", summary="Voices of the served models, and those you uploaded", response_model=VoiceCollection)
    async def listing(
        request: Request, legacy: bool = Query(False, description="Only ids, as Kokoro-FastAPI once answered.")
    ) -> Response:
        mine = await references.list(request_body.owner(request))
        entries = [*entries_of(mine, antiphon), *map(_entry, antiphon.voices())]
        voices = [entry["id"] for entry in entries] if legacy else entries
        return reply({"voices": voices, "uploaded_voices": [view(each) for each in mine]})

    @router.post(
        "",
        summary="Upload a voice to be imitated",
        responses={200: {"model": VoiceChange}, **_REFUSED},
        openapi_extra=_UPLOAD,
    )
    async def upload(request: Request) -> Response:
        async with multipart.multipart(request, reference_audio.MAX_BYTES) as form:
            file = form.get("audio_sample")
            if not isinstance(file, UploadFile):
                raise errors.InvalidRequest("The file `audio_sample` is missing", param="audio_sample")
            # One byte more than is taken, so that what is too large is known to be.
            data = await file.read(reference_audio.MAX_BYTES + 1)
            if len(data) > reference_audio.MAX_BYTES:
                raise TooLarge(f"The recording is larger than {reference_audio.MAX_BYTES} bytes")
            fields = {key: value for key, value in form.multi_items() if isinstance(value, str)}
        made = await references.upload(
            request_body.owner(request),
            _required(fields, "name").strip(),
            data,
            consent=fields.get("consent", ""),
            ref_text=fields.get("ref_text"),
            description=fields.get("speaker_description"),
        )
        return reply({"success": True, "voice": view(made)})

    @router.delete(
        "/{voice}", summary="Delete a voice that you uploaded", responses={200: {"model": VoiceChange}, **_404}
    )
    async def delete(request: Request, voice: str) -> Response:
        gone = await references.delete(request_body.owner(request), voice)
        if gone is None:
            raise errors.NotFound(f"You have uploaded no voice {voice[:60]!r}; a model's own cannot be deleted")
        return reply({"success": True, "voice": view(gone)})

    @router.get(
        "/{voice}/sample",
        summary="Hear a voice: the recording that was uploaded, or a sentence spoken by a model's own",
        responses={
            200: openapi.audio("A WAV file."),
            206: openapi.audio("The part that was asked for."),
            304: {"description": "It has not changed."},
            416: {"description": "The part that was asked for is not in it."},
            429: {"model": ErrorObject, "description": "Too much work of yours is waiting; see Retry-After."},
            500: {"model": ErrorObject, "description": "The synthesis failed."},
            503: {"model": ErrorObject, "description": "The model cannot speak now; see Retry-After."},
            **_404,
        },
    )
    async def sample(
        request: Request, voice: str, model: str | None = Query(None, description="Where several models have it.")
    ) -> Response:
        owner = request_body.owner(request)
        reference = await references.find(owner, voice)
        if reference is None:
            return await voice_preview.spoken(antiphon, request, voice, model, owner)
        if not await references.ensure_local(reference.digest):
            raise errors.NotFound("The recording of that voice is no longer here; upload it again")
        path = references.library.path(reference.digest)
        answer = plain_file(request, path, reference.digest, reference.media_type)
        # Unlike a finished file's, the name may be given to another recording one day.
        answer.headers["Cache-Control"] = "private, no-cache"
        return answer

    return router


def entries_of(mine: Sequence[Reference], antiphon: Antiphon) -> list[dict[str, Any]]:
    """Uploaded voices among the others, as long as a model is served that can imitate them."""
    able = antiphon.models.selector.cloning()
    if not able:
        return []
    return [
        {
            "id": each.id,
            "name": each.name,
            "model": able[0].name,
            "languages": list(each.languages),
            "gender": None,
            "sample": _sample(each.id),
        }
        for each in mine
    ]


def view(reference: Reference) -> dict[str, Any]:
    """As vLLM-Omni describes one, with our id, seconds and sample."""
    r = reference
    told = {
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
    return told | {key: value for key, value in optional.items() if value is not None}


def _entry(voice: dict[str, Any]) -> dict[str, Any]:
    return {**voice, "sample": f"{_sample(voice['id'])}?model={quote(voice['model'], safe='')}"}


def _sample(id: str) -> str:
    return f"{PREFIX}/{quote(id, safe='')}/sample"


def _required(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise errors.InvalidRequest(f"The field {name!r} is missing", param=name)
    return fields[name]
