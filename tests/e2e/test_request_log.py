"""Every request has its line, and what is said stays with who said it: no text is in a log, a metric or a trace."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.conftest import PATIENCE, Start, wait_until

#: Stands after the thirtieth character, where the log is silent.
CANARY = "zanzibar"
TEXT = f"This one has thirty characters and then the word {CANARY} in it."
#: What API.md says that a request's line has.
LINE = {"timestamp", "method", "path", "status", "ms", "text", "emotion", "model", "cached", "active", "queued"}


# The log


def test_every_request_has_its_line(serve: Start) -> None:
    server = serve("--model", "tone")
    server.client.get("/metrics")
    server.client.post("/tts", json={"text": TEXT, "emotion": "happy"})
    server.client.post("/v1/audio/speech", json={"input": TEXT, "voice": "tone", "emotion": "sad"})
    server.client.post("/v1/audio/speech/batch", json={"items": [{"input": TEXT}], "voice": "tone"})
    job = server.client.post("/v1/jobs", json={"input": TEXT, "emotion": "angry"}).json()
    server.wait_job(job["id"])
    server.client.get("/v1/jobs", params={"after": CANARY})
    with connect(f"ws://127.0.0.1:{server.port}/ws?id={job['id']}&x={CANARY}", proxy=None) as socket:
        list(socket)
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream", proxy=None) as socket:
        socket.send(json.dumps({"type": "session.config", "response_format": "pcm"}))
        socket.send(json.dumps({"type": "input.text", "text": TEXT}))
        socket.send(json.dumps({"type": "input.done"}))
        while isinstance(told := socket.recv(timeout=PATIENCE), bytes) or json.loads(told)["type"] != "session.done":
            pass
    server.client.get("/%1b%5b31mred" + "a" * 500)

    def requests() -> list[dict[str, Any]]:
        return [x for x in server.lines() if x["message"] == "request" and not x["path"].startswith("/v1/jobs/")]

    wait_until(lambda: len(requests()) >= 8, "all lines")
    lines = requests()
    by_path = {line["path"]: line for line in lines}
    # Machines ask for these all the time.
    assert by_path.keys() & {"/health", "/metrics"} == set()
    for path in ("/tts", "/v1/audio/speech", "/v1/audio/speech/batch", "/v1/audio/speech/stream"):
        line = by_path[path]
        assert line.keys() >= LINE, path
        assert (line["text"], line["model"]) == (TEXT[:30], "tone")
    assert (by_path["/tts"]["emotion"], by_path["/v1/audio/speech"]["emotion"]) == ("happy", "sad")
    assert (by_path["/tts"]["cached"], by_path["/v1/audio/speech/stream"]["cached"]) == ("miss", "hit")
    assert next(x for x in lines if x["path"] == "/v1/jobs" and x["method"] == "POST")["emotion"] == "angry"
    assert (by_path["/ws"]["method"], by_path["/ws"]["status"]) == ("WS", 1000)
    assert by_path["/v1/audio/speech/stream"]["method"] == "WS"
    strange = next(path for path in by_path if "red" in path)
    assert len(strange) <= 200
    assert "\x1b" not in strange
    assert CANARY not in server.log.read_text()


def test_machines_that_ask_all_the_time_are_in_the_log_only_at_its_finest(serve: Start) -> None:
    server = serve("--model", "tone", "--log-level", "debug")
    server.client.get("/metrics")
    lines = wait_until(lambda: [line for line in server.lines() if line.get("path") == "/metrics"], "the line")
    assert lines[0]["level"] == "debug"


# No text anywhere


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP endpoint that keeps what it is sent."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_canary_is_in_no_line_no_metric_and_no_trace(serve: Start) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs pip install 'antiphon[otel]'")
    with collector() as (endpoint, received):
        server = serve("--model", "tone", "--otlp-endpoint", endpoint)
        client, key = server.client, {"Idempotency-Key": f"key-{CANARY}", "Authorization": f"Bearer {CANARY}"}
        long = " ".join([TEXT] * 12)
        assert client.post("/tts", json={"text": TEXT, "emotion": "happy"}, headers=key).status_code == 200
        assert client.post("/v1/audio/speech", json={"input": long, "voice": "tone"}).status_code == 200
        assert (
            client.post("/v1/audio/speech", json={"input": long, "voice": "tone", "stream_format": "sse"}).status_code
            == 200
        )
        server.wait_job(client.post("/v1/jobs", json={"input": long}, headers={"Idempotency-Key": CANARY}).json()["id"])
        client.get("/v1/jobs", params={"after": CANARY})
        client.post("/tts", json={"text": TEXT, "emotion": CANARY})
        client.post("/tts", content=b'{"text": "' + CANARY.encode() + b'", }')
        client.post("/v1/audio/speech", json={"input": TEXT, "model": CANARY, "voice": CANARY})
        client.get(f"/v1/nothing?{CANARY}")
        shown = client.get("/metrics").text + client.get("/v1/stats").text
        assert server.stop() == 0
        assert received
        assert b"/v1/audio/speech" in b"".join(received)
        assert CANARY.encode() not in b"".join(received)
    assert CANARY not in shown
    assert "127.0.0.1" not in shown
    assert CANARY not in server.log.read_text()


def test_a_traceback_for_eyes_has_no_values() -> None:
    code = (
        "import structlog\n"
        "from antiphon.cli import logs\n"
        "from antiphon.settings import Settings\n"
        "logs.configure(Settings(log_format='console'))\n"
        "def speak(text):\n"
        "    raise ValueError('too long')\n"
        "try:\n"
        f"    speak(''.join(['{CANARY[:4]}', '{CANARY[4:]}']))\n"
        "except ValueError:\n"
        "    structlog.get_logger('antiphon').exception('it failed')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert "ValueError: too long" in found.stderr
    assert CANARY not in found.stderr
