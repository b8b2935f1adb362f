"""Many streams at once, sample by sample, and readers that are slower than what is made for them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from antiphon.audio import pcm
from antiphon.domain.engine import Cut
from antiphon.domain.unit import SpeechParams
from antiphon.engines.tone import SAMPLE_RATE, Tone
from antiphon.text.normalise import clean
from antiphon.text.segment import segment
from tests.conftest import Server, Start, wait_until

STREAMS, READERS = 30, 20
MIB = 2**20
#: Bytes that a slow reader takes before it stops: what went out already must not be held either.
READ = MIB * 3 // 2
#: Seconds of audio of one slow reader's text: 24 MB of it, far more than any buffer holds.
LONG = 500


def text(name: str, sentences: int) -> str:
    """Every sentence is another one, so that each segment has a tone of its own, whoever's it is."""
    return " ".join(f"This is sentence number {n} of {name}, and nobody else says it." for n in range(sentences))


class Wanted:
    """A context in which nothing is cancelled."""

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        """Nobody listens."""


def samples(tone: Tone, text: str) -> bytes:
    """What a stream of the text must be, made here from the rules: cut, sounded, and joined with the pauses."""
    made = []
    for each in segment(clean(text), Cut(), "en", quick_first=True):
        params = SpeechParams(text=each.text.strip(), voice="tone", language="en").as_params()
        made += [chunk.payload for chunk in tone.run(params, Wanted())]
        made.append(pcm.silence(each.pause, SAMPLE_RATE))
    return b"".join(made)


@pytest.mark.parametrize("headers", [{}, {"Cache-Control": "no-store"}], ids=["cached", "no-store"])
def test_thirty_streams_at_once_deliver_every_sample_in_order(tone: Server, headers: dict[str, str]) -> None:
    start = threading.Barrier(STREAMS)
    texts = [text(f"story {n}", 12) for n in range(STREAMS)]

    def listen(said: str) -> bytes:
        start.wait()
        # What is compared is computed from the text as it is written.
        body = {"input": said, "response_format": "pcm", "reading": "off"}
        with tone.client.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer:
            assert answer.status_code == 200
            return b"".join(answer.iter_raw())

    with ThreadPoolExecutor(STREAMS) as pool:
        heard = list(pool.map(listen, texts))
    engine = Tone({})
    engine.load(lambda name, fraction=None: None)
    for said, audio in zip(texts, heard, strict=True):
        assert audio == samples(engine, said), f"other samples than those of {said[:40]!r}"


@contextlib.contextmanager
def readers(server: Server, texts: list[str], *headers: str) -> Iterator[list[socket.socket]]:
    """Connections that have asked for their audio and have read the head of the answer."""
    with contextlib.ExitStack() as stack:
        opened = []
        for said in texts:
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(60)
            sock.connect(("127.0.0.1", server.port))
            body = json.dumps({"input": said, "response_format": "pcm"}).encode()
            head = ["POST /v1/audio/speech HTTP/1.1", "Host: [::1]", f"Content-Length: {len(body)}", *headers, "", ""]
            sock.sendall("\r\n".join(head).encode() + body)
            opened.append(sock)
        for sock in opened:
            assert b" 200 " in sock.recv(256).partition(b"\r\n")[0]
            left = READ
            while left > 0:
                left -= len(sock.recv(left)) or pytest.fail("the answer ended early")
        yield opened


def rss(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


@pytest.mark.parametrize("headers", [(), ("Cache-Control: no-store",)], ids=["cached", "no-store"])
def test_a_reader_slower_than_real_time_holds_less_than_a_mebibyte(serve: Start, headers: tuple[str, ...]) -> None:
    # The cache's own memory has a bound of its own and is no reader's; it is made small to see theirs.
    # All of them are read from in turn, which may take a busy machine longer than a reader may stall.
    server = serve("--model", "tone", "--workers", "2", "--cache-memory", str(MIB), "--stall-seconds", "300")
    texts = [text(f"reader {n}", LONG // 2) for n in range(READERS)]

    def idle() -> bool:
        health = server.health()
        return health["concurrent"] == health["queued"] == 0

    with readers(server, texts[:2], *headers):
        wait_until(idle, "what is made for a few, so that what the server needs once is there")
    before = rss(server)
    with readers(server, texts, *headers) as opened:
        # By then the work that was not held back is done, and all of it waits for somebody who does not read.
        wait_until(idle, "nothing more is made for those who do not read")
        grown = rss(server) - before
        assert all(sock.recv(1024) for sock in opened), "they are still served"
    print(f"{READERS} slow readers: {grown / MIB:+.1f} MiB")
    assert grown <= READERS * MIB
