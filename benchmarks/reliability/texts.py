"""P20: hostile texts as long as the limits allow, on every route, beside somebody who asks /livez."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import connect

from benchmarks.http import Connection
from benchmarks.reliability.server import Row, Server, server

#: Seconds that /livez may take.
MOST = 0.25
#: Characters of a text: the most that are taken.
FULL = 1_000_000
#: Beginning, what is repeated, and end.
TEXTS = {
    "combining marks": ("a", "\u0301\u0323", ""),
    "combining marks with a pause": ("a", "\u0301\u0323", "[pause 1ms]b"),
    "ends without a sentence": ("a", "! ", ""),
    "abbreviations": ("", "Dr. ", "x"),
    "letters and pauses": ("a" * 200_000, "[pause 1ms] ", "b"),
    "paragraphs of a letter": ("", "a\n\n", ""),
    "tempo": ("<speak>", '<prosody rate="1.1">a</prosody>b ', "</speak>"),
    "quotations": ("", "「好。」", ""),
    "Chinese without a stop": ("", "好", ""),
    "decoration": ("", "=-", "a"),
    "nothing": ("", " \n", "a"),
}
#: Characters of one WebSocket message, all of which may wait at most.
MESSAGE = 120_000


class Watch(threading.Thread):
    """Asks /livez all the time."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        with contextlib.closing(self._connection) as connection:
            while not self._over.wait(0.005):
                began = time.perf_counter()
                connection.request("GET", "/livez")
                connection.getresponse().read()
                self.seconds.append(time.perf_counter() - began)

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def watched(port: int) -> Iterator[list[float]]:
    watch = Watch(port)
    watch.start()
    try:
        yield watch.seconds
    finally:
        watch.stop()


def text(name: str, scale: float) -> str:
    head, atom, tail = TEXTS[name]
    head = head[: round(len(head) * scale)] if len(head) > len(atom) * 10 else head
    # Some are refused at full length, such as one of more than 20,000 changes of tempo: just below their limits then.
    most = {"paragraphs of a letter": 150_000, "letters and pauses": 600_000, "tempo": 300_000}.get(name, FULL)
    return head + atom * (round(most * scale - len(head) - len(tail)) // len(atom)) + tail


async def _routes(port: int, said: str) -> None:
    connection = Connection(port)
    turns = [{"text": f"a {said[at : at + 900]}"} for at in range(0, min(len(said), 900_000), 1000)][:900]
    for body in ({"input": said}, {"turns": turns}):
        answer = await connection.request("POST", "/v1/jobs", json.dumps(body).encode())
        if answer.status == 202:
            await connection.request("DELETE", f"/v1/jobs/{json.loads(answer.body)['id']}")
    tts = json.dumps({"text": said[:9000], "wait": False}).encode()
    await connection.request("POST", "/tts", tts)
    for path, more in (("speech", {"input": said}), ("dialogue", {"turns": turns})):
        with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError):
            await asyncio.wait_for(connection.first(f"/v1/audio/{path}", json.dumps(more).encode()), 60)
    # The server has closed a connection that was idle so long.
    connection.close()
    items = json.dumps({"items": [{"input": said[:300]}] * 8}).encode()
    await connection.request("POST", "/v1/audio/speech/batch", items)
    connection.close()


async def _conversation(port: int, said: str) -> None:
    async with connect(f"ws://127.0.0.1:{port}/v1/audio/speech/stream", proxy=None, max_size=None) as socket:
        await socket.send(json.dumps({"type": "session.config", "response_format": "pcm"}))
        await socket.send(json.dumps({"type": "input.text", "text": said[:MESSAGE]}))
        for ch in said[:2000]:
            await socket.send(json.dumps({"type": "input.text", "text": ch}))
        await socket.send(json.dumps({"type": "nothing"}))
        async for message in socket:
            if isinstance(message, str) and json.loads(message)["type"] == "error":
                return


def _restart(target: Server, scale: float) -> tuple[float, float, int]:
    """Seconds until a killed server is ready again with hostile texts in its store, and the worst /livez after that."""

    async def store() -> int:
        connection = Connection(target.port)
        taken = 0
        for name in TEXTS:
            body: dict[str, Any] = {"input": text(name, scale), "priority": "bulk"}
            taken += (await connection.request("POST", "/v1/jobs", json.dumps(body).encode())).status == 202
        connection.close()
        return taken

    taken = asyncio.run(store())
    target.kill()
    ready = target.start()
    with watched(target.port) as seconds:
        time.sleep(10 * scale)
    return ready, max(seconds), taken


def texts(seed: int, scale: float) -> list[Row]:
    """Every text on every route, over the WebSocket, and in the store at a start."""
    rows: list[Row] = []
    with server("--model", "tone", "--workers", "1", "--max-client-seconds", "10000000") as target:
        for where, send in (("six routes", _routes), ("the WebSocket", _conversation)):
            worst: dict[str, float] = {}
            count = 0
            for name in TEXTS:
                with watched(target.port) as seconds:
                    asyncio.run(send(target.port, text(name, scale)))
                worst[name], count = max(seconds), count + len(seconds)
            most = max(worst, key=worst.__getitem__)
            figure = f"/livez asked {count} times, at most {worst[most] * 1000:.0f} ms ({most})"
            what = f"{len(TEXTS)} hostile texts of up to {round(FULL * scale):,} characters on {where}"
            rows.append(Row("P20", what, figure, worst[most] <= MOST))
        ready, slowest, taken = _restart(target, scale)
    figure = f"ready after {ready:.1f} s; /livez then at most {slowest * 1000:.0f} ms"
    rows.append(Row("P20", f"killed and started with {taken} such jobs", figure, ready <= 5 and slowest <= MOST))
    return rows
