"""Client of the other speech server: asks what it offers, uploads references, and has it speak.

Sources: OpenAI's reference of `/v1/audio/speech`; vLLM-Omni's reference of `extra_params` and `/v1/audio/voices`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.engines.remote.options import Options

T = TypeVar("T")

#: Seconds between two checks for a cancel, and between attempts to reach a server that is away.
LOOK, PAUSES = 0.05, (0.2, 0.5, 1.0, 2.0, 5.0)
#: Most bytes of a response, and of an error message.
MOST, MESSAGE = 512 * 1024 * 1024, 64 * 1024
#: Prefix of the names under which references are uploaded.
NAMED = "antiphon-"


class Away(Exception):
    """The server gave no usable response; another attempt may succeed. `wait`: seconds that the server asked for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Known:
    """What the server says that it offers."""

    model: str
    voices: tuple[str, ...]
    #: Whether it takes vLLM-Omni's fields.
    omni: bool
    uploaded: frozenset[str]


class Remote:
    """Thread-safe: each request has its own connection and event loop."""

    def __init__(self, base: str, options: Options) -> None:
        key = options.key()
        self._base, self._options = base, options
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._verify = httpx.create_ssl_context() if base.startswith("https") else False
        self._uploaded: set[str] = set()

    # Look

    def look(self) -> Known:
        """Asks for models and voices. Raises `RuntimeError` with a message for the operator."""
        try:
            return asyncio.run(self._look())
        except (Away, errors.AntiphonError) as e:
            raise RuntimeError(f"the speech server at {self._base} cannot be used: {e}") from e

    async def _look(self) -> Known:
        async with self._client() as client:
            models = [str(entry["id"]) for entry in (await self._get(client, "/v1/models") or {}).get("data", [])]
            told = await self._get(client, "/v1/audio/voices") or {}
        voices = [str(v["id"] if isinstance(v, Mapping) else v) for v in told.get("voices") or ()]
        uploaded = [str(v["name"]) for v in told.get("uploaded_voices") or ()]
        self._uploaded.update(name for name in uploaded if name.startswith(NAMED))
        omni = self._options.dialect == "vllm-omni" or (self._options.dialect == "auto" and "uploaded_voices" in told)
        own = tuple(name for name in voices if not name.startswith(NAMED))
        model = self._options.remote or (models[0] if models else "tts-1")
        return Known(model, self._options.voices or own, omni, frozenset(uploaded))

    async def _get(self, client: httpx.AsyncClient, path: str) -> dict[str, Any] | None:
        """The JSON object at a path; None if the server has none."""
        try:
            answer = await client.get(self._base + path)
        except httpx.HTTPError as e:
            raise Away(_said(e)) from e
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Away(f"it refused the key (HTTP {answer.status_code}); --model-option NAME:key_env=VARIABLE")
        found = answer.json() if answer.is_success and "json" in answer.headers.get("content-type", "") else None
        return found if isinstance(found, dict) else None

    # Speak

    def speak(self, body: Mapping[str, Any], cancelled: Callable[[], bool], sample: tuple[str, bytes] | None) -> bytes:
        """All bytes of the response. `sample` is the digest and the bytes of an uploaded reference.

        Asks a server that is away or busy again for `Options.patience` seconds. Raises `Cancelled`, `InvalidRequest`
        for what the server calls the client's mistake, and `UnitFailed` otherwise.
        """
        return asyncio.run(self._unless(self._patiently(body, sample), cancelled))

    async def _unless(self, work: Awaitable[T], cancelled: Callable[[], bool]) -> T:
        """Closes the connection as soon as the unit is cancelled. Raises `Cancelled` then."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=LOOK)
            if cancelled() and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                raise errors.Cancelled
        return task.result()

    async def _patiently(self, body: Mapping[str, Any], sample: tuple[str, bytes] | None) -> bytes:
        began, tries = time.monotonic(), 0
        while True:
            try:
                async with self._client() as client:
                    voice = await self._voice(client, sample) if sample else {}
                    return await self._once(client, {**body, **voice})
            except Away as e:
                pause = e.wait if e.wait is not None else PAUSES[min(tries, len(PAUSES) - 1)]
                tries += 1
                if time.monotonic() + pause - began > self._options.patience:
                    raise errors.UnitFailed(f"The speech server behind this model does not answer: {e}") from e
                await asyncio.sleep(pause)

    async def _once(self, client: httpx.AsyncClient, body: Mapping[str, Any]) -> bytes:
        try:
            async with client.stream("POST", f"{self._base}/v1/audio/speech", json=body) as answer:
                if not answer.is_success:
                    raise self._refused(answer, await _text(answer))
                kind = answer.headers.get("content-type", "")
                if "json" in kind or "text/" in kind:
                    raise errors.UnitFailed(f"The speech server sent no audio: {(await _text(answer))[:200]}")
                data = bytearray()
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > MOST:
                        raise errors.UnitFailed("The speech server sends audio without end")
                return bytes(data)
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            # A response cut short raises too: httpx notices a wrong length, or that the last chunk is missing.
            raise Away(_said(e)) from e

    def _refused(self, answer: httpx.Response, text: str) -> Exception:
        status, message = answer.status_code, _message(text)
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            return Away(f"it is busy (HTTP {status}: {message})", _retry_after(answer.headers.get("retry-after")))
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return errors.UnitFailed(f"The speech server refused this server's key (HTTP {status})")
        if status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.CONFLICT):
            return Away(f"HTTP {status}: {message}")
        if "voice" in message.lower():
            # The server may have restarted, and then has no uploads.
            self._uploaded.clear()
        if _is_about_text(text):
            return errors.NothingToSay(f"The speech server refused the text: {message}")
        return errors.InvalidRequest(f"The speech server refused this: {message}")

    # Voices of references

    async def _voice(self, client: httpx.AsyncClient, sample: tuple[str, bytes]) -> dict[str, Any]:
        """Fields that ask for a reference's voice: its name if the server takes uploads, else the recording itself."""
        digest, data = sample
        name = NAMED + digest[:24]
        if name not in self._uploaded:
            form = {"name": name, "consent": "given to the server that sends this"}
            files = {"audio_sample": (f"{name}.wav", data, "audio/wav")}
            try:
                answer = await client.post(f"{self._base}/v1/audio/voices", data=form, files=files)
            except httpx.HTTPError as e:
                raise Away(_said(e)) from e
            if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
                return {"ref_audio": "data:audio/wav;base64," + base64.b64encode(data).decode()}
            if not answer.is_success and "exist" not in answer.text.lower():
                raise self._refused(answer, answer.text)
            self._uploaded.add(name)
        return {"voice": name}

    def forgot_uploads(self) -> bool:
        """Whether a refusal cleared the list of uploads, so that another attempt uploads the reference again."""
        return not self._uploaded

    def rate(self, body: Mapping[str, Any]) -> int:
        """Hz of the server's audio, from the header of a short sentence. Raises `RuntimeError` for the operator."""
        try:
            data = self.speak({**body, "response_format": "wav", "stream": False}, lambda: False, None)
            return wav.read(data)[1]
        except (errors.AntiphonError, ValueError) as e:
            raise RuntimeError(f"the speech server at {self._base} does not speak: {e}") from e

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self._options.stall_seconds, connect=self._options.connect_seconds)
        return httpx.AsyncClient(timeout=timeout, headers=self._headers, trust_env=False, verify=self._verify)


async def _text(answer: httpx.Response) -> str:
    data = bytearray()
    async for piece in answer.aiter_bytes():
        data += piece
        if len(data) > MESSAGE:
            break
    return data.decode("utf-8", "replace")


def _message(text: str) -> str:
    """The message of an error response in OpenAI's form, in FastAPI's, or as plain text."""
    with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
        told = json.loads(text)
        found = told.get("error") or told.get("detail") or told.get("message") or told
        return str(found.get("message", found) if isinstance(found, dict) else found)[:300]
    return text.strip()[:300]


def _is_about_text(text: str) -> bool:
    """Whether an error response in OpenAI's form says that the text is what cannot be done."""
    with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
        error = json.loads(text)["error"]
        return error.get("param") in ("input", "text") or error.get("code") in ("invalid_text", "nothing_to_say")
    return False


def _retry_after(text: str | None) -> float | None:
    if text is None:
        return None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if text.isdecimal():
            return max(0.0, float(text))
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _said(e: Exception) -> str:
    return f"{type(e).__name__}: {' '.join(str(e).split())[:160]}".rstrip(": ")
