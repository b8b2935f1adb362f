"""Connection limits: what one connection may cost before anybody knows whose it is, and how many there may be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from antiphon.api.proxies import TrustedProxies, client_of

#: Seconds after which a client that was refused may try again.
RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection. Sizes are in bytes, times in seconds."""

    #: Request line and header fields of a request, and how many fields.
    head: int = 64 * 1024
    fields: int = 100
    #: The URL. A header field of a WebSocket's handshake has the same bound.
    url: int = 8 * 1024
    #: What a chunked body may have beside its data and the plain heads of its chunks: extensions and trailers.
    chunk_extras: int = 16 * 1024
    #: Until the head of a request is complete, from its first byte or from the connection.
    head_seconds: float = 10.0
    #: Without a byte of a body, or of a WebSocket's message, that has begun.
    body_seconds: float = 30.0
    #: Without a byte of the answer read.
    stall_seconds: float = 30.0
    #: Fragments of one WebSocket message.
    fragments: int = 4096

    @property
    def look(self) -> float:
        """Seconds between two looks at the clock."""
        return min(1.0, self.head_seconds / 4, self.body_seconds / 4)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection or a request is refused, as a plain text for the person who reads it."""

    status: HTTPStatus
    message: str
    retry_after: int | None = None

    def answer(self) -> bytes:
        body = f"{self.message}\n".encode()
        head = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(body)}",
            "connection: close",
            *([] if self.retry_after is None else [f"retry-after: {self.retry_after}"]),
        ]
        return "\r\n".join([*head, "", ""]).encode() + body


class Connections:
    """Counts the open connections, all of them and those of each address. Used in one event loop.

    A trusted proxy's connections carry the requests of many clients. They count towards the total only;
    `client_limits` counts what each of those clients has open."""

    def __init__(self, most: int, most_of_address: int, proxies: TrustedProxies) -> None:
        self.most, self.most_of_address = most, most_of_address
        self.open = 0
        self._proxies = proxies
        self._by_client: Counter[str] = Counter()

    def enter(self, address: str) -> Refusal | None:
        """Counts a connection, which `leave` ends, or says why it is refused and does not count."""
        if self.open >= self.most:
            return Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"This server has {self.most} connections open (--max-connections), and takes no more of them now; "
                "try again in a moment",
                RETRY_AFTER,
            )
        client = self._client(address)
        if client is not None and self._by_client[client] >= self.most_of_address:
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, too_many(self.most_of_address), RETRY_AFTER)
        self.open += 1
        if client is not None:
            self._by_client[client] += 1
        return None

    def leave(self, address: str) -> None:
        self.open -= 1
        if (client := self._client(address)) is not None:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def _client(self, address: str) -> str | None:
        return None if self._proxies.trust(address) else client_of(address)


def too_many(most: int) -> str:
    return (
        f"Your address has {most} connections open (--max-address-connections): close some, or use one for several "
        "requests. Behind a proxy that many clients share, the server must know the proxy (--trusted-proxies)"
    )
