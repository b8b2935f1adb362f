"""Speech WebSocket, as vLLM-Omni has it: text comes in while a language model writes it, spoken sentences go out.

The client sends `session.config` (any field of `POST /v1/audio/speech` but the text, and `stream_audio`,
`split_granularity`), then `input.text {text}` as often as it likes, `input.done` at the end of an utterance (the
connection stays), `input.cancel` to interrupt (ours), `session.close`. The server sends for every sentence
`audio.start`, binary frames, `audio.done`; after each utterance `session.done`; and `error {message}`, after which the
connection stays unless a limit of time was passed. Every sentence is an audio of its own, with its own header.

`input.cancel` ends the sentence that is being sent with `audio.done {cancelled: true}` and the utterance with
`session.done {cancelled: true}`; no sound of it follows. `api.write_timeout` cuts off a client that reads nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import structlog
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from starlette.websockets import WebSocketDisconnect

from antiphon.api import callers, request_body
from antiphon.api.bodies import DeliveryFields, LenientBody
from antiphon.domain import errors
from antiphon.domain.request import FORMATS, SpeechRequest
from antiphon.speech.service import SpeechService
from antiphon.speech.session import Ended, Event, SpeechSession, Started, UtteranceEnded, Voice
from antiphon.text.incremental import MAX_HELD, Granularity

log = structlog.get_logger("antiphon.socket")

#: WebSocket close codes (RFC 6455, section 7.4.1).
NORMAL, POLICY, FAILED = 1000, 1008, 1011


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """vLLM-Omni's limits. A message larger than 4 MiB ends the connection with 1009 before it gets here."""

    #: Seconds within which `session.config` must come.
    config: float = 10.0
    #: Seconds without a message while nothing is spoken.
    idle: float = 30.0
    #: Bytes of one `input.text`, and characters that may wait to be spoken.
    text: int = MAX_HELD


class SessionConfig(DeliveryFields, LenientBody):
    """`session.config`."""

    response_format: StrictStr = Field("wav", description=f"One of {', '.join(FORMATS)}.")
    stream_audio: StrictBool = Field(False, description="Frames as the audio is made, else one for each sentence.")
    split_granularity: Granularity = Field("sentence", description="What is spoken as soon as it is complete.")
    extra_params: dict[str, Any] | None = None

    def to_voice(self) -> tuple[Voice, list[str]]:
        """The voice of the session, and warnings about fields that have no effect here. Raises `InvalidRequest`."""
        fields, warnings = self.delivery(self.extra_params)
        return Voice(SpeechRequest(text="a", **fields), self.split_granularity, self.stream_audio), warnings


class Message(BaseModel):
    """Any message of the client."""

    model_config = ConfigDict(extra="ignore")
    type: StrictStr


class InputText(Message):
    type: Literal["input.text"]
    text: StrictStr


def routes(speech: SpeechService, limits: SessionLimits | None = None) -> APIRouter:
    router = APIRouter(tags=["speech"])
    bounds = limits or SessionLimits()

    @router.websocket("/v1/audio/speech/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await Conversation(speech, socket, bounds).run()

    return router


class Conversation:
    """One connection: one task reads the client's messages while another sends what is spoken."""

    def __init__(self, speech: SpeechService, socket: WebSocket, limits: SessionLimits) -> None:
        self._speech, self._socket, self._limits = speech, socket, limits
        self._owner = callers.owner(socket)
        self._warnings: list[str] = []
        self._session: SpeechSession | None = None
        self._configured = asyncio.Event()
        #: With what the connection is closed, once nothing more is sent.
        self._close: tuple[int, str | None] = (NORMAL, None)

    async def run(self) -> None:
        """Returns when the client closes or disconnects, a limit of time is passed, or sending fails."""
        tasks = (
            asyncio.create_task(self._read(), name="speech socket read"),
            asyncio.create_task(self._send(), name="speech socket send"),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(tasks)

    async def _end(self, tasks: tuple[asyncio.Task[None], ...]) -> None:
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                log.error("a speech session failed", error=type(error).__name__, exc_info=error)
                self._close = FAILED, "the server failed"
        if self._session is not None:
            self._session.close()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            if self._close[0] == FAILED:
                await self._error("Something went wrong in the server; its log says what", errors.AntiphonError())
            await self._socket.close(*self._close)

    async def _read(self) -> None:
        """Reads messages until the connection ends or `session.close` comes."""
        deadline = asyncio.get_running_loop().time() + self._limits.config
        while True:
            left = deadline - asyncio.get_running_loop().time() if self._session is None else self._limits.idle
            try:
                async with asyncio.timeout(max(0.0, left)):
                    raw = await self._receive()
            except TimeoutError:
                if self._session is not None and not self._session.idle:
                    continue
                what = "came" if self._session else "of type session.config came"
                seconds = self._limits.idle if self._session else self._limits.config
                await self._error(f"No message {what} for {seconds:g} s")
                self._close = POLICY, "too long without a message"
                return
            try:
                if not await self._handle(raw):
                    return
            except errors.AntiphonError as e:
                await self._error(e.public, e)
            # Messages that have arrived are read without waiting: a thousand of them would hold up everybody else.
            await asyncio.sleep(0)

    async def _receive(self) -> bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        text: str | None = message.get("text")
        return text.encode("utf-8", "surrogatepass") if text is not None else message.get("bytes") or b""

    async def _handle(self, raw: bytes) -> bool:
        """Handles one message; False for the last one. Raises `InvalidRequest`."""
        kind = request_body.parse(Message, raw).type
        if kind == "session.close":
            return False
        if kind == "session.config":
            self._configure(request_body.parse(SessionConfig, raw))
        elif kind not in ("input.text", "input.done", "input.cancel"):
            raise errors.InvalidRequest(
                f"There is no message {kind[:40]!r}; there are: session.config, input.text, input.done, "
                "input.cancel, session.close"
            )
        elif self._session is None:
            raise errors.InvalidRequest("The first message must be session.config")
        elif kind == "input.text":
            text = request_body.parse(InputText, raw).text
            if len(text.encode("utf-8", "surrogatepass")) > self._limits.text:
                raise errors.InvalidText(f"An input.text has at most {self._limits.text} bytes")
            await self._session.put(text)
        elif kind == "input.done":
            self._session.done()
        else:
            self._session.cancel()
        return True

    def _configure(self, config: SessionConfig) -> None:
        voice, warnings = config.to_voice()
        if self._session is None:
            self._session = SpeechSession(self._speech, self._owner, voice)
            self._configured.set()
        else:
            self._session.configure(voice)
        self._warnings = warnings

    async def _send(self) -> None:
        await self._configured.wait()
        assert self._session is not None
        async with contextlib.aclosing(self._session.events()) as events:
            async for event in events:
                if isinstance(event, bytes):
                    await self._socket.send_bytes(event)
                else:
                    await self._send_json(message_of(event, self._warnings))

    async def _error(self, message: str, error: errors.AntiphonError | None = None) -> None:
        detail = {} if error is None else {"code": error.code, "param": error.param}
        await self._send_json({"type": "error", "message": message, **detail})

    async def _send_json(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(msgspec.json.encode(message).decode())


def message_of(event: Event, warnings: list[str]) -> dict[str, Any]:
    """An event as the protocol's message."""
    match event:
        case Started(sentence=sentence, speech=speech):
            return {
                "type": "audio.start",
                "utterance_index": sentence.utterance,
                "sentence_index": sentence.index,
                "sentence_text": sentence.text,
                "format": speech.plan.request.format,
                "sample_rate": event.sample_rate,
                "warnings": [*speech.warnings, *warnings],
            }
        case Ended(sentence=sentence):
            return {
                "type": "audio.done",
                "utterance_index": sentence.utterance,
                "sentence_index": sentence.index,
                "total_bytes": event.bytes,
                "error": event.error.public if event.error else None,
                "warnings": list(event.warnings),
                "cancelled": sentence.cancelled,
            }
        case UtteranceEnded():
            return {
                "type": "session.done",
                "utterance_index": event.utterance,
                "total_sentences": event.sentences,
                "cancelled": event.cancelled,
            }
    raise AssertionError(event)
