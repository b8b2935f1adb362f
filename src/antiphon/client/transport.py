"""The client's way to httpx: where the server is, and calls and answers in httpx's words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from antiphon.client.retrying import Answer, Call, Lost, Retries

SERVER = "http://127.0.0.1:7860"
#: Seconds to connect; an answer may take as long as the client was told.
CONNECT = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What both clients are made with."""

    base_url: str
    api_key: str | None
    timeout: float
    retries: Retries

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None, timeout: float, retries: int, patience: float) -> Options:
        address = base_url or os.environ.get("ANTIPHON_SERVER") or SERVER
        return cls(address.rstrip("/"), api_key or os.environ.get("ANTIPHON_KEY"), timeout, Retries(retries, patience))

    def httpx(self) -> dict[str, Any]:
        """The arguments of `httpx.Client` and of `httpx.AsyncClient`."""
        return {
            "base_url": self.base_url,
            "headers": {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {},
            "timeout": httpx.Timeout(self.timeout, connect=CONNECT),
            # To an object storage, which is not told the key: httpx keeps that for its own origin.
            "follow_redirects": True,
            # A proxy has no way to this machine's own loopback.
            "trust_env": urlsplit(self.base_url).hostname not in ("127.0.0.1", "::1", "localhost"),
        }


def arguments(call: Call[Any]) -> dict[str, Any]:
    """The arguments of `build_request`."""
    more: dict[str, Any] = {} if call.timeout is None else {"timeout": httpx.Timeout(call.timeout, connect=CONNECT)}
    return more | {
        "method": call.method,
        "url": call.path,
        "json": call.json,
        "params": call.params,
        "headers": dict(call.headers),
        "files": call.files,
        "data": call.form,
    }


def answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def lost(error: httpx.TransportError, base_url: str) -> Lost:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Lost(f"no server answers at {base_url}: {error}; start it, or set ANTIPHON_SERVER", sent=False)
    return Lost(f"the connection to {base_url} broke off: {type(error).__name__} {error}".rstrip(), sent=True)
