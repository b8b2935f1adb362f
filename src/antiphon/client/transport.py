"""Transport: the client's options, and the conversion of calls and responses to and from httpx."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from antiphon.client.retrying import Answer, Call, Lost, Retries

SERVER = "http://127.0.0.1:7860"
#: Seconds to connect; the client's timeout bounds the response.
CONNECT = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """Options of both clients, from arguments and the environment."""

    base_url: str
    api_key: str | None
    timeout: float
    retries: Retries

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None, timeout: float, retries: Retries) -> Options:
        address = base_url or os.environ.get("ANTIPHON_SERVER") or SERVER
        return cls(address.rstrip("/"), api_key or os.environ.get("ANTIPHON_KEY"), timeout, retries)

    def httpx(self) -> dict[str, Any]:
        """Arguments for `httpx.Client` and `httpx.AsyncClient`."""
        return {
            "base_url": self.base_url,
            "headers": {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {},
            "timeout": httpx.Timeout(self.timeout, connect=CONNECT),
            # Redirects lead to object storage; httpx sends the key only to the server's own origin.
            "follow_redirects": True,
            # A proxy cannot reach this machine's loopback address.
            "trust_env": urlsplit(self.base_url).hostname not in ("127.0.0.1", "::1", "localhost"),
        }


def arguments(call: Call[Any]) -> dict[str, Any]:
    """Arguments for `build_request`."""
    more: dict[str, Any] = {} if call.timeout is None else {"timeout": httpx.Timeout(call.timeout, connect=CONNECT)}
    body = {"json": call.json, "files": call.files, "data": call.form}
    return more | body | {"method": call.method, "url": call.path, "params": call.params, "headers": dict(call.headers)}


def answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def lost(error: httpx.TransportError, base_url: str) -> Lost:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Lost(f"no server answers at {base_url}: {error}; start it, or set ANTIPHON_SERVER", sent=False)
    return Lost(f"the connection to {base_url} broke off: {type(error).__name__} {error}".rstrip(), sent=True)
