"""P21, P22 over a whole server: what is open at the same time, and replays that nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from antiphon.domain.event import Event
from antiphon.domain.job import Job, State
from antiphon.store.sqlite import SqliteStore
from tests.conftest import Server, Start, launch, wait_until
from tests.e2e.test_keys import bearer, create

MIB = 2**20
READERS, EVENTS, JOBS = 60, 9_700, 60
STREAMS = 4


@pytest.fixture
def few(tmp_path: Path) -> Any:
    """A server with two keys, each of which may have a few streams open."""
    tokens = create(tmp_path / "data", "anna"), create(tmp_path / "data", "ben")
    server = launch(tmp_path / "data", "--model", "tone", "--max-streams", str(STREAMS), ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")
    yield server, *tokens
    server.stop()


def test_a_key_has_so_many_streams_and_no_more(few: tuple[Server, str, str]) -> None:
    server, anna, ben = few
    url = f"ws://127.0.0.1:{server.port}"
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listen(server, anna)) for _ in range(STREAMS - 2)]
        for path in ("/ws", "/v1/audio/speech/stream"):
            stack.enter_context(connect(url + path, additional_headers=bearer(anna), proxy=None))
        assert [each.status_code for each in streams] == [200] * (STREAMS - 2)
        refused = server.client.get("/v1/events", headers=bearer(anna))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "too_many_open"
        long = {"input": " ".join(f"Sentence {n} of a text that is streamed." for n in range(40))}
        assert server.client.post("/v1/audio/speech", json=long, headers=bearer(anna)).status_code == 429
        for path in ("/ws", "/v1/audio/speech/stream"):
            with (
                pytest.raises(InvalidStatus) as refusal,
                connect(url + path, additional_headers=bearer(anna), proxy=None),
            ):
                pass
            assert refusal.value.response.status_code == 429
            assert int(refusal.value.response.headers["retry-after"]) >= 1
            assert json.loads(refusal.value.response.body)["error"]
        # What is answered at once, and what belongs to another key, is not a stream of hers.
        assert server.client.get("/v1/jobs", headers=bearer(anna)).status_code == 200
        with listen(server, ben) as other:
            assert other.status_code == 200
        streams[0].close()

        def taken() -> bool:
            with listen(server, anna) as again:
                return again.status_code == 200

        wait_until(taken, "there is room again")


def test_a_client_behind_a_proxy_is_counted_by_its_own_address(serve: Start) -> None:
    args = "--max-address-connections", "2", "--trusted-proxies", "127.0.0.1"
    server = serve("--model", "tone", *args)
    with contextlib.ExitStack() as stack:
        for client in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
            assert stack.enter_context(listen(server, None, client)).status_code == 200
        with listen(server, None, "203.0.113.1") as refused:
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert "trusted-proxies" in refused.read().decode()
        with listen(server, None, "203.0.113.2") as taken:
            assert taken.status_code == 200
        # IPv6 gives a whole network to one client.
        for n in range(2):
            assert stack.enter_context(listen(server, None, f"2001:db8::{n}")).status_code == 200
        with listen(server, None, "2001:db8::2") as refused:
            assert refused.status_code == 429
        assert server.client.get("/livez").status_code == 200
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with (
        httpx.Client(base_url=server.base, transport=transport, trust_env=False) as direct,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(2):
            assert stack.enter_context(direct.stream("GET", "/v1/events")).status_code == 200
        assert direct.get("/livez").status_code == 429


def listen(server: Server, token: str | None, client: str | None = None) -> Any:
    headers = {} if token is None else bearer(token)
    if client is not None:
        headers["X-Forwarded-For"] = client
    return server.client.stream("GET", "/v1/events", headers=headers)


def test_readers_of_a_long_replay_who_do_not_read_cost_little(serve: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    asyncio.run(store_events(tmp_path / "data" / "antiphon.db"))
    server = serve("--model", "tone", data=tmp_path / "data")
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    socks = [stalled(server, n % 2 == 1) for n in range(READERS)]
    try:
        for sock in socks:
            # So every replay has begun.
            assert sock.recv(64)
        assert server.client.get("/livez").status_code == 200
        grown = process.memory_info().rss - before
        with server.client.stream("GET", "/v1/events", headers={"Last-Event-ID": "1"}) as answer:
            ids = []
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    ids.append(int(line[4:]))
                if len(ids) == EVENTS:
                    break
    finally:
        for sock in socks:
            sock.close()
    print(f"{READERS} readers of {EVENTS} events: {grown / MIB:+.1f} MiB")
    assert ids == [n + 10 for n in range(EVENTS)]
    assert grown < 16 * MIB


def test_a_list_of_jobs_does_not_hold_their_texts(serve: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    asyncio.run(store_jobs(tmp_path / "data" / "antiphon.db"))
    server = serve("--model", "tone", data=tmp_path / "data")
    before = most_memory(server)
    listed = server.client.get("/v1/jobs", params={"limit": 500}).json()
    grown = most_memory(server) - before
    print(f"a list of {JOBS} jobs: {grown / MIB:+.1f} MiB")
    assert [job["id"] for job in listed["data"]] == [f"{n:026d}" for n in reversed(range(JOBS))]
    assert listed["next"] is None
    some = server.client.get("/v1/jobs", params={"limit": 20, "after": f"{30:026d}"}).json()
    assert [job["id"] for job in some["data"]] == [f"{n:026d}" for n in reversed(range(10, 30))]
    assert grown < 40 * MIB


async def store_jobs(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    for n in range(JOBS):
        request = {"text": chr(97 + n % 26) * 900_000}
        job = Job(f"{n:026d}", "speech", State.QUEUED, "127.0.0.1", "normal", request, time.time())
        await store.add(job)
        await store.cancel(job.id)
    await store.close()


def most_memory(server: Server) -> int:
    """The most that the process ever had, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def store_events(path: Path) -> None:
    data = {"status": "running", "progress": 0.5, "units": {"total": 1, "done": 1, "cached": 0}, "index": 1}
    store = SqliteStore(path)
    await store.open()
    await store.append_events([Event(n + 10, "unit.done", time.time(), None, None, data) for n in range(EVENTS)])
    await store.close()


def stalled(server: Server, websocket: bool) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", server.port))
    path = "/ws?last_event_id=1" if websocket else "/v1/events"
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: bm90IGEgc2VjcmV0ISEhIQ==\r\n"
    )
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 1\r\n{upgrade if websocket else ''}\r\n"
    sock.sendall(head.encode())
    return sock


def test_no_message_grows_when_it_is_read(serve: Start) -> None:
    """Forty messages of 4 kB, decompressed, took 300 MiB."""
    server = serve("--model", "tone", ready=False)
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream", proxy=None, compression="deflate") as ws:
        assert ws.response is not None
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
