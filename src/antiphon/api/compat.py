"""Compatibility: routes that clients of other servers call, Kokoro-FastAPI's captioned speech and index-tts-vllm's
/tts_url."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr
from starlette.responses import Response

from antiphon.api import callers, openapi, request_body
from antiphon.api.bodies import LenientBody, Number, SpeechBody, Weights
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.replies import reply, warning
from antiphon.api.request_log import note
from antiphon.api.schemas import ErrorText
from antiphon.audio import subtitles
from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS, SpeechRequest, check_number
from antiphon.speech.response import SpeechResponse
from antiphon.speech.service import SpeechService
from antiphon.text import language as languages
from antiphon.text.length import length

#: Characters: the whole answer is in memory, and 20,000 are some 80 MB of WAV.
MAX_TEXT = 20_000
#: index-tts's bound on the sum of the eight weights.
MAX_EMOTIONS = 1.5
#: index-tts's own default of `max_text_tokens_per_sentence`; a request with it changes nothing.
SENTENCE_TOKENS = 120
#: In a caption each Chinese or Japanese character is a word; in other scripts white space separates words.
_WORD = re.compile(rf"[{languages.UNSPACED}][^\w\s]*|[^\s{languages.UNSPACED}]+")


class CaptionedBody(SpeechBody):
    """`POST /dev/captioned_speech`."""

    lang_code: StrictStr | None = Field(None, max_length=20, description="Kokoro's letter, a to z, or a BCP-47 tag.")
    return_timestamps: StrictBool = True

    def to_request(self) -> tuple[SpeechRequest, list[str]]:
        if self.language is None and self.lang_code:
            return self.model_copy(update={"language": KOKORO.get(self.lang_code, self.lang_code)}).to_request()
        return super().to_request()


#: Kokoro's one-letter languages.
KOKORO: Mapping[str, str] = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "zh",
}  # fmt: skip
WAV: dict[str, Any] = {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}


class WordTime(BaseModel):
    word: str
    start_time: float
    end_time: float


class Captioned(BaseModel):
    audio: str = Field(description="Base64.")
    audio_format: str = Field(examples=["mp3"])
    timestamps: list[WordTime] | None


class TtsUrlBody(LenientBody):
    """`POST /tts_url` of index-tts-vllm, version 2."""

    text: StrictStr
    spk_audio_path: StrictStr = Field(description="A voice's id or name; no path is ever opened.")
    emo_control_method: Literal[0, 1, 2, 3] = Field(
        0, description="0: the voice's own mood; 1: emo_ref_path's; 2: emo_vec; 3: emo_text's."
    )
    emo_ref_path: StrictStr | None = Field(None, description="A voice's id or name whose mood is taken.")
    emo_weight: Number = Field(1.0, description="0 to 1; scales the emotion.")
    emo_vec: Weights = Field(
        default_factory=lambda: [0.0] * len(EMOTIONS), description=f"Weights of {', '.join(EMOTIONS)}; sum up to 1.5."
    )
    emo_text: StrictStr | None = Field(None, max_length=1000)
    emo_random: StrictBool = False
    max_text_tokens_per_sentence: StrictInt = SENTENCE_TOKENS

    def to_request(self) -> tuple[SpeechRequest, list[str]]:
        """The request, and warnings about fields that have no effect here. Raises `InvalidRequest`."""
        check_number("emo_weight", self.emo_weight, 0.0, 1.0)
        body = SpeechBody(
            input=self.text,
            voice=self.spk_audio_path,
            response_format="wav",
            emotion_strength=self.emo_weight,
            **self._emotion(),
        )
        request, warnings = body.to_request()
        if self.emo_random:
            warnings.append("emo_random is not supported; the same request sounds the same")
        if self.max_text_tokens_per_sentence != SENTENCE_TOKENS:
            warnings.append("max_text_tokens_per_sentence is not supported; the model's own cut was used")
        return request, warnings

    def _emotion(self) -> dict[str, Any]:
        match self.emo_control_method:
            case 1 if not self.emo_ref_path:
                raise errors.InvalidRequest("emo_control_method 1 needs emo_ref_path", param="emo_ref_path")
            case 1:
                return {"emotion_audio": self.emo_ref_path}
            case 2 if len(self.emo_vec) != len(EMOTIONS):
                raise errors.InvalidRequest(f"emo_vec must have {len(EMOTIONS)} numbers", param="emo_vec")
            case 2 if not sum(self.emo_vec) <= MAX_EMOTIONS:
                raise errors.InvalidRequest(f"The sum of emo_vec must be at most {MAX_EMOTIONS}", param="emo_vec")
            case 2:
                return {"emotion": self.emo_vec}
            case 3:
                return {"emotion_text": self.emo_text or self.text[:1000]}
        return {}


def routes(speech: SpeechService, *, max_body: int) -> APIRouter:
    """`max_body`: bytes of a request's body."""
    router = APIRouter(tags=["compatibility"])
    responses = openapi.errors(400, 413, 429, 500, 503, shape=ErrorText)

    @router.post(
        "/dev/captioned_speech",
        summary="Speech with the times of its words, as Kokoro-FastAPI answers",
        responses={200: {"model": Captioned}, **responses},
        openapi_extra=openapi.takes(CaptionedBody),
    )
    async def captioned_speech(request: Request) -> Response:
        """The times of segments are exact; those of words within a segment are estimated from their length."""
        body = request_body.parse(CaptionedBody, await request_body.body(request, max_body))
        data, response, headers = await speak(speech, request, *body.to_request())
        assert response.result is not None
        segments = response.result.segments if body.return_timestamps else ()
        times = await speech.text_threads.run_text(len(response.plan.request.text), word_times, segments)
        answer = {
            "audio": base64.b64encode(data).decode(),
            "audio_format": response.plan.request.format,
            "timestamps": times if body.return_timestamps else None,
        }
        return reply(answer, headers=headers)

    @router.post(
        "/tts_url",
        summary="Speech as index-tts-vllm answers",
        response_class=Response,
        responses={200: {"description": "The audio, whole.", "content": WAV}, **responses},
        openapi_extra=openapi.takes(TtsUrlBody),
    )
    async def tts_url(request: Request) -> Response:
        body = request_body.parse(TtsUrlBody, await request_body.body(request, max_body))
        data, _, headers = await speak(speech, request, *body.to_request())
        return Response(data, headers=headers, media_type="audio/wav")

    return router


async def speak(
    speech: SpeechService, request: Request, speech_request: SpeechRequest, warnings: list[str]
) -> tuple[bytes, SpeechResponse, dict[str, str]]:
    """The whole audio, the response that it came from, and the answer's headers."""
    if len(speech_request.text) > MAX_TEXT:
        raise errors.InvalidText(f"Text must be 1-{MAX_TEXT} characters here; send longer ones to POST /v1/jobs")
    response = await speech.speak(speech_request, callers.owner(request))
    note(request.scope, model=response.plan.model, cached=response.cache_status)
    with closing(response):
        data = await unless_disconnected(request, response.whole())
    return data, response, {"X-Job-Id": response.id, **warning([*response.warnings, *warnings])}


def word_times(segments: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`{word, start_time, end_time}` in seconds. The bounds of a segment are exact; the times of its words are
    estimated from the length of what is said for them, with a Chinese character as two and a half letters."""
    times: list[dict[str, Any]] = []
    for segment in segments:
        if segment.get("skipped"):
            continue
        until = subtitles.said_until(segment, length) if segment.get("said") else None
        lengths = [
            (word[0], length(word[0]) if until is None else until[word.end()] - until[word.start()])
            for word in _WORD.finditer(segment["text"])
        ]
        at, seconds, total = segment["start"], segment["end"] - segment["start"], sum(size for _, size in lengths) or 1
        for word, size in lengths:
            end = at + seconds * size / total
            times.append({"word": word, "start_time": round(at, 3), "end_time": round(end, 3)})
            at = end
    return times
