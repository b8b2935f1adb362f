"""Webhooks: a URL is told that a job ended, at least once, whatever dies in between.

Signed as Standard Webhooks 1.0 says (headers `webhook-id`, `webhook-timestamp`, `webhook-signature`)."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import os
import random
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import structlog
from standardwebhooks.webhooks import Webhook as Signer

from antiphon.bus import Bus
from antiphon.concurrency.tasks import TaskSet, log_and_wait, retry_until
from antiphon.domain import client_values, errors, ids
from antiphon.domain.event import FINAL_EVENTS, Event
from antiphon.jobs import views
from antiphon.jobs.public_address import is_public
from antiphon.store.base import JobStore, Webhook

log = structlog.get_logger("antiphon.webhooks")

T = TypeVar("T")

#: Seconds until the second, third … try; after the last one the webhook is given up. About three days in all.
SCHEDULE = (5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
#: Seconds for one try, and tries at a time to one host: a dead host must not hold up the others.
TIMEOUT, PER_HOST = 10.0, 4
#: Seconds between tries while the store is away, or its disk full.
STORE_RETRY = 2.0
#: The addresses of a host and port, as text. Raises `OSError`.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
#: Bytes of a secret; what Standard Webhooks asks for.
SECRET_BYTES = range(24, 65)


def new_webhook(url: str, secret: str | None) -> Webhook:
    """A webhook as a client asked for it. The store fills in the job. Raises `InvalidRequest`."""
    client_values.url(url, "webhook")
    if secret is not None:
        try:
            fits = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) in SECRET_BYTES
        except ValueError:
            fits = False
        if not fits:
            raise errors.InvalidRequest("webhook.secret must be whsec_ and 24 to 64 bytes in base64", param="webhook")
    return Webhook(f"msg_{ids.new_id()}", "", url, secret)


class Refused(Exception):
    """This try failed; the text says why. `final`: another try is of no use."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Webhooks:
    """Holds what is pending in memory, and everything that must survive in the store."""

    def __init__(
        self,
        store: JobStore,
        bus: Bus,
        *,
        private: bool = False,
        clock: Callable[[], float] = time.time,
        resolve: Resolve | None = None,
    ) -> None:
        """`private`: whether addresses that are not public may be called."""
        self._store, self._bus, self._private, self._clock = store, bus, private, clock
        self._resolve = resolve or _resolve
        self._pending: dict[str, Webhook] = {}
        #: Ids of those that are pending or being delivered.
        self._known: set[str] = set()
        self._tasks = TaskSet("antiphon.webhooks")
        self._hosts: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PER_HOST))
        self._client: httpx.AsyncClient | None = None
        self.secret = ""

    async def start(self) -> None:
        """Takes up what a previous process did not deliver, also for jobs that ended while no server ran."""
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        self.secret = await self._store.set_default("webhook secret", secret)
        self._bus.listen(self._on_event)
        await self.take_up()

    async def take_up(self) -> None:
        """Expects what the store says is pending and this server's to deliver."""
        for hook in await self._store.pending_webhooks():
            if hook.id in self._known:
                continue
            self.expect(hook, hook.job)
            job = await self._store.get(hook.job)
            if job is not None and job.state.final and hook.job in self._pending:
                self._deliver_soon(hook.job)

    async def stop(self) -> None:
        await self._tasks.stop()
        if self._client is not None:
            await self._client.aclose()

    def expect(self, hook: Webhook, job: str) -> None:
        """A job was accepted together with this webhook."""
        self._pending[job] = replace(hook, job=job)
        self._known.add(hook.id)

    def _on_event(self, event: Event) -> None:
        if event.type in FINAL_EVENTS and event.job in self._pending:
            self._deliver_soon(event.job)

    def _deliver_soon(self, job: str) -> None:
        hook = self._pending.pop(job)
        self._tasks.spawn(self._deliver(hook), f"webhook {hook.id}")

    async def _deliver(self, hook: Webhook) -> None:
        while True:
            await asyncio.sleep(max(0.0, (hook.next_at or 0.0) - self._clock()))
            try:
                async with self._hosts[urlsplit(hook.url).netloc]:
                    await self._try(hook)
            except Refused as e:
                log.warning("a webhook was not taken", webhook=hook.id, job=hook.job, tries=hook.tries + 1, why=str(e))
                if e.final or hook.tries >= len(SCHEDULE):
                    break
                wait = SCHEDULE[hook.tries] * random.uniform(0.9, 1.2)  # noqa: S311 - spreads, keeps no secret
                hook = replace(hook, tries=hook.tries + 1, next_at=self._clock() + wait)
                assert hook.next_at is not None
                await self._surely(partial(self._store.webhook_failed, hook.id, hook.next_at, str(e)))
            else:
                break
        await self._surely(partial(self._store.webhook_done, hook.id))
        self._known.discard(hook.id)

    async def _surely(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The answer of the store, however long it is away: a webhook that is given up here would never be sent."""
        waits = log_and_wait(log, "a webhook waits for the store", again_in=STORE_RETRY)
        return await retry_until(attempt, (errors.StoreAway, errors.StorageFull), STORE_RETRY, waits)

    async def _try(self, hook: Webhook) -> None:
        if (job := await self._surely(partial(self._store.get, hook.job))) is None:
            raise Refused("its job was removed", final=True)
        now = datetime.now(UTC)
        message = {"type": f"job.{job.state}", "timestamp": now.isoformat(), "data": views.of_stored(job)}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            "user-agent": "Antiphon-Webhooks",
            "webhook-id": hook.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(hook.secret or self.secret).sign(hook.id, now, body),
        }
        try:
            url, pinned = await self._pin(hook.url)
        except ValueError as e:
            # Kept by a version that checked less: it can never be delivered.
            raise Refused(f"the URL cannot be called: {e}"[:300], final=True) from e
        self._client = self._client or httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False)
        try:
            async with asyncio.timeout(TIMEOUT):
                request = self._client.build_request("POST", url, content=body, headers=headers | pinned["headers"])
                request.extensions.update(pinned["extensions"])
                # Only the status counts; a huge answer is not read.
                answer = await self._client.send(request, stream=True)
                await answer.aclose()
        except (httpx.HTTPError, TimeoutError, OSError) as e:
            raise Refused(f"{type(e).__name__}: {e}"[:300]) from e
        if answer.status_code == httpx.codes.GONE:
            raise Refused("the receiver says 410 Gone", final=True)
        if not answer.is_success:
            raise Refused(f"the receiver answered {answer.status_code}")

    async def _pin(self, url: str) -> tuple[str, dict[str, Any]]:
        """The URL with its host resolved once, so that the address that was checked is the one that is called (DNS
        rebinding), and the headers and extensions that keep the host's name."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = [ipaddress.ip_address(each) for each in await self._resolve(host, port)]
        except OSError as e:
            raise Refused(f"{host} has no address: {e.strerror}") from e
        address = next((each for each in found if self._private or is_public(each)), None)
        if address is None:
            raise Refused(f"{host} is not a public address; the server was not told to allow that", final=True)
        literal = f"[{address}]" if address.version == 6 else str(address)
        pinned = urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, ""))
        return pinned, {"headers": {"host": parts.netloc}, "extensions": {"sni_hostname": host}}


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]
