"""P16: receivers that fail, hang or redirect, and a server that is killed; every end is told at least once."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from antiphon.jobs import webhooks
from antiphon.store.base import Webhook
from tests import ports
from tests.conftest import Server, Start, wait_until
from tests.stores.memory import MemoryStore

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@dataclass
class Receiver:
    """Answers with the statuses of `plan` in turn, the last for ever; `hang` holds the answer back until set."""

    plan: list[int] = field(default_factory=lambda: [204])
    hang: threading.Event | None = None
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"


@contextlib.contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            if receiver.hang is not None:
                receiver.hang.wait(30)
            status = receiver.plan[min(len(receiver.got), len(receiver.plan)) - 1]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hang is not None:
            receiver.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


def submit(server: Server, url: Any, text: str = "Tell me when it is done.") -> str:
    answer = server.client.post("/v1/jobs", json={"input": text, "webhook": url})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_an_end_is_told_once_and_signed(serve: Start) -> None:
    server = serve("--model", "tone", "--webhook-private")
    with receiving(Receiver()) as receiver:
        job = submit(server, {"url": receiver.url, "secret": SECRET})
        wait_until(lambda: receiver.got, "the webhook comes")
        headers, body = receiver.got[0]
        told = Verifier(SECRET).verify(body, headers)
        assert told["type"] == "job.succeeded"
        assert told["data"]["id"] == job
        assert told["data"]["result"]["path"] == f"/output/speech_{job}.wav"
        other = submit(server, receiver.url, "With the server's own secret.")
        wait_until(lambda: len(receiver.got) == 2, "the second comes")
        secret = server.client.get("/v1/webhooks/secret").json()["secret"]
        assert Verifier(secret).verify(receiver.got[1][1], receiver.got[1][0])["data"]["id"] == other


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_over_kills(
    serve: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("--model", "tone", "--webhook-private")
    port = ports.steady()
    with receiving(Receiver(port=port, plan=[500])) as receiver:
        job = submit(server, receiver.url)
        wait_until(lambda: receiver.got, "the first try")
    server.kill()
    server = serve("--model", "tone", "--webhook-private", data=server.data)
    server.kill()
    with receiving(Receiver(port=port)) as receiver2:
        server = serve("--model", "tone", "--webhook-private", data=server.data)
        # A server that started slowly tried in vain before; the third try comes half a minute after the second.
        wait_until(lambda: receiver2.got, "the webhook comes after all", 60)
        assert json.loads(receiver2.got[0][1])["data"]["id"] == job
        assert receiver2.got[0][0]["webhook-id"] == receiver.got[0][0]["webhook-id"]


def test_a_dead_endpoint_does_not_hold_up_another(serve: Start) -> None:
    server = serve("--model", "tone", "--webhook-private")
    with receiving(Receiver(hang=threading.Event())) as dead, receiving(Receiver()) as alive:
        for n in range(8):
            submit(server, dead.url, f"Nobody hears number {n}.")
        wait_until(lambda: len(dead.got) >= 4, "the dead one is tried")
        began = time.monotonic()
        submit(server, alive.url, "But this one is heard.")
        wait_until(lambda: alive.got, "the other is told")
        assert time.monotonic() - began < 5
        assert len(dead.got) == webhooks.PER_HOST


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a/b", "http://", "http://user:pw@host/", "http://a/" + "x" * 2000, {"url": "http://a/", "secret": "x"}],
)
def test_what_is_no_webhook_is_refused(tone: Server, url: Any) -> None:
    answer = tone.client.post("/v1/jobs", json={"input": "Hi", "webhook": url})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "webhook"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "192.168.1.1"])
async def test_addresses_that_are_not_public_are_not_called(host: str) -> None:
    hooks = webhooks.Webhooks(MemoryStore(), None)  # type: ignore[arg-type]
    with pytest.raises(webhooks.Refused, match="not a public address") as caught:
        await hooks._pin(f"http://{host}/x")
    assert caught.value.final


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    hooks = webhooks.Webhooks(MemoryStore(), None, private=True)  # type: ignore[arg-type]
    url, more = await hooks._pin("https://localhost:8443/a?b=c")
    assert url.startswith(("https://127.0.0.1:8443/", "https://[::1]:8443/"))
    assert more["headers"]["host"] == "localhost:8443"
    assert more["extensions"]["sni_hostname"] == "localhost"


@pytest.mark.parametrize(("status", "final"), [(200, None), (302, False), (404, False), (410, True), (500, False)])
async def test_what_a_status_means(status: int, final: bool | None) -> None:
    from tests.contract.test_store import job

    store = MemoryStore()
    await store.open()
    await store.add(job("a"))
    await store.cancel("a")
    hooks = webhooks.Webhooks(store, None, private=True)  # type: ignore[arg-type]
    hooks.secret = SECRET
    with receiving(Receiver(plan=[status])) as receiver:
        hook = Webhook("msg_1", "a", receiver.url)
        if final is None:
            await hooks._try(hook)
        else:
            with pytest.raises(webhooks.Refused) as caught:
                await hooks._try(hook)
            assert caught.value.final is final
        assert len(receiver.got) == 1
    await hooks.stop()
