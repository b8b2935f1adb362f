"""Guard: checks the host name, the page, the caller and the rate of every request before its route.

A server without API keys trusts every client that reaches it. So it refuses a foreign host name, which an attacker's
DNS may point at this machine (Host), and a page of another origin that writes or opens a WebSocket (Origin).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from limits import RateLimitItemPerMinute, storage, strategies
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api.proxies import TrustedProxies
from antiphon.auth import ApiKeys, Caller
from antiphon.domain import client_values, errors
from antiphon.settings import Settings
from antiphon.store.cluster import ClusterChannel

#: Paths without a key: signs of life, and the page, which asks for a key itself.
PUBLIC = frozenset({"/livez", "/readyz", "/health", "/", "/openapi.json"})
PUBLIC_FOLDER = "/web/"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Prefix of the key among a WebSocket's protocols, the only header that a browser's page can choose for one.
PROTOCOL = "antiphon.key."
#: Wrong keys per minute from one address; a client that sends more is guessing.
BAD_KEYS = 60
#: Host headers that are remembered as ours, so that they are not parsed again.
KNOWN_HOSTS = 256
SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class RateLimit:
    """A moving window of a minute for each name. The header fields are those of the IETF's draft `ratelimit-headers`
    (RateLimit, RateLimit-Policy)."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._item = RateLimitItemPerMinute(per_minute)
        self._window = strategies.MovingWindowRateLimiter(storage.MemoryStorage())

    def hit(self, name: str) -> dict[str, str]:
        """Counts one request and returns the header fields for its answer. Raises `RateLimited`."""
        allowed = self._window.hit(self._item, name)
        reset, left = self._window.get_window_stats(self._item, name)
        return self._fields(allowed, left, max(0.0, reset - time.time()))

    async def hit_everywhere(self, name: str, channel: ClusterChannel) -> dict[str, str]:
        """As `hit`, counted together with the other servers; alone while the store is away."""
        try:
            allowed, left, wait = await channel.hit(name, self.per_minute)
        except errors.StoreError:
            return self.hit(name)
        return self._fields(allowed, left, wait)

    def _fields(self, allowed: bool, left: int, wait: float) -> dict[str, str]:
        if not allowed:
            raise errors.RateLimited(
                f"At most {self.per_minute} requests a minute; the next one fits in {wait:.0f} s", retry_after=wait
            )
        return {
            "ratelimit-policy": f"{self.per_minute};w=60",
            "ratelimit": f"limit={self.per_minute}, remaining={left}, reset={int(wait) + 1}",
        }


class Guard:
    """Puts the `Caller` into the scope, or refuses."""

    def __init__(self, app: ASGIApp, settings: Settings, api_keys: ApiKeys, channel: ClusterChannel | None) -> None:
        """`channel`: to the servers that share the store, if there are any."""
        self.app, self._api_keys, self._channel = app, api_keys, channel
        self._limit = RateLimit(settings.rate_limit) if settings.rate_limit else None
        self._bad_keys = RateLimit(BAD_KEYS)
        self._names_hosts = bool(settings.allowed_hosts)
        self._hosts = {*settings.allowed_hosts, settings.host, "localhost"}
        self._known_hosts: set[str] = set()
        self._origins = set(settings.allowed_origins)
        self._proxies = TrustedProxies(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        # A dictionary: a dozen searches of the list would cost more than the rest of this function.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            fields = await self._count(self._enter(scope, headers))
        except errors.AntiphonError as e:
            if scope["type"] == "http":
                raise
            scope["antiphon.log"]["code"] = e.code
            # The client sees a close before the handshake as a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": client_values.close_reason(e.message)})
            return
        added = [*SAFE_HEADERS, *((name.encode(), value.encode()) for name, value in fields.items())]

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in present)]
            elif message["type"] == "websocket.accept" and (offered := _offered(headers)):
                message["subprotocol"] = offered
            await send(message)

        await self.app(scope, receive, send_safely)

    async def _count(self, owner: str | None) -> Mapping[str, str]:
        if owner is None or self._limit is None:
            return {}
        if self._channel is None:
            return self._limit.hit(owner)
        return await self._limit.hit_everywhere(owner, self._channel)

    def _enter(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """The owner for whom the request is counted; None for public paths. Raises `Forbidden`, `Unauthorized`."""
        self._check_host(headers.get("host", ""))
        if scope["type"] == "websocket" or scope["method"] not in READS:
            self._check_origin(headers)
        address, forwarded = self._address(scope, headers)
        scope["antiphon.address"] = address
        if scope["path"] in PUBLIC or scope["path"].startswith(PUBLIC_FOLDER):
            scope["antiphon.caller"] = Caller(address, admin=False)
            return None
        token = _token(headers)
        try:
            caller = self._api_keys.caller(token, address)
        except errors.Unauthorized:
            if token is not None:
                self._bad_keys.hit(address)
            raise
        if self._api_keys.open and forwarded and not self._proxies:
            # The client of a proxy that is not trusted only looks as if it ran on this machine.
            caller = Caller(address, admin=False)
        scope["antiphon.caller"] = caller
        return caller.owner

    def _check_host(self, host: str) -> None:
        """Refuses a foreign host name: with one, a page elsewhere reaches a server on loopback (DNS rebinding)."""
        if host in self._known_hosts:
            return
        name = client_values.host_of(host)
        if not (self._api_keys.open or self._names_hosts):
            return
        if name in self._hosts or client_values.is_address(name) or name.endswith(".localhost"):
            if len(self._known_hosts) < KNOWN_HOSTS:
                self._known_hosts.add(host)
            return
        raise errors.Forbidden(f"This server is not called {name[:100]!r}; --allowed-hosts names what it is called")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return
        if (host := client_values.origin_host(origin)) and host == headers.get("host"):
            return
        raise errors.Forbidden(
            f"Pages of {origin[:100]!r} may not do that here; --allowed-origins names those that may"
        )

    def _address(self, scope: Scope, headers: Mapping[str, str]) -> tuple[str, bool]:
        """The caller's address, and whether a proxy forwarded the request. Only trusted proxies' headers count."""
        client = scope.get("client")
        address = client[0] if client else "local"
        if "x-forwarded-for" not in headers and "forwarded" not in headers:
            return address, False
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        forwarded = bool(hops) or "forwarded" in headers
        while hops and self._proxies.trust(address):
            address = hops.pop()
        return (address if client_values.is_address(address) or address == "local" else "unknown"), forwarded


def _token(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if plain := headers.get("x-api-key"):
        return plain.strip()
    offered = _offered(headers)
    return offered.removeprefix(PROTOCOL) if offered else None


def _offered(headers: Mapping[str, str]) -> str | None:
    """The key among a WebSocket's protocols."""
    names = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    return next((name for name in names if name.startswith(PROTOCOL)), None)
