"""Made-up requests: every operation of the OpenAPI document and both WebSockets, with values that nobody should send.

A try is one request, or one conversation over a WebSocket. It is at fault if the server answers 5xx without saying when
to come again, answers what the document does not say, closes without a word, or does not answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import socket
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from benchmarks.reliability.server import Row, Server, server

TRIES = 20_000
#: Seconds for one answer, and for one message of a WebSocket.
PATIENCE = 30.0
#: One try of so many is a conversation over a WebSocket.
EVERY = 10
#: Faults after which a run ends.
MOST_FAULTS = 50
#: Streams without an end; they are read up to their first bytes.
ENDLESS = re.compile(r"/events$")
#: "Not now": the document has these for every operation that waits, and they say when to come again.
NOT_NOW = frozenset({429, 503})

STRINGS = (
    "", " ", "a", "\x00", "\r\nX: y", "\n\n", "\ud800", "①", "℀", "😀", "ﷺ" * 50, "e" + "\u0301" * 2000, "! " * 500,
    "²", "٣", "NaN", "1e999", "-1", "null", "../../etc/passwd", "%00", "http://[::1", "http://℀/", "//[", "data:,",
    "data:audio/wav;base64,AAAA", "ref:x", "en\r\n", "xx", "zh-Hant-TW-x-private", "a(1e999)+b", "a+a+a", "tone",
    "auto", "whisper", "[pause 999999s]", "[pause ٣s]", "<speak><break time='1s'/>", "<speak>&x;</speak>", "mp3",
    "<speak>hi</speak>", "Hello there.", "你好，世界。", "x" * 1999, "{{7*7}}", "' OR 1=1 --", "<img src=x>",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 0.5, 1.5, 24000, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 1e308, -1e308, 5e-324, 10**400,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], {"": None}, float("nan"), float("inf"), float("-inf"), [0] * 8, [1e308] * 8,
)  # fmt: skip
#: Bodies that are no JSON objects, or hardly.
RAW = (
    b"", b"null", b"[]", b"{", b'"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 50_000,
    b"1" * 5000, b"-", b'{"text":"a","text":"b"}', b'{"input":"\\ud800"}', b'{"input":"\\u0000"}', b"1e400", b"\x00",
)  # fmt: skip
HEADERS = {
    "Host": ("[::1", "evil.example", "", "localhost:99999999", "a" * 300, "[::1]:x"),
    "Origin": ("http://[::1", "null", "http://evil.example", "", "http://℀/"),
    "Last-Event-ID": ("²", "-1", "1" * 30, "x", "0", "1"),
    "Range": ("bytes=0-", "bytes=-0", "bytes=9-1", "bytes=" + "0-0," * 200, f"bytes={10**20}-", "x=1", "bytes=²-"),
    "Content-Length": ("-1", "x", "99999999999999999999"),
    "Content-Type": (
        "text/plain", "application/json; charset=utf-7", "multipart/form-data", "",
        f"multipart/form-data; boundary={'x' * 300}",
    ),
    "Idempotency-Key": ("", "x" * 1000, "é", "k"),
    "If-None-Match": ("*", '"', "W/", ",,,", '"x"'),
    "If-Range": ("x", '"x"', "Mon, 99 Foo 2026 00:00:00 GMT"),
    "Authorization": ("Bearer", "Bearer \t", "Basic AAAA", "x"),
    "Prefer": ("respond-async", "respond-async, wait=" + "9" * 400, "wait=²", ","),
    "Accept-Encoding": ("gzip;q=x", "*;q=0", "identity;q=0"),
    "X-Forwarded-For": ("[::1", "1.2.3.4, x", ","),
    "Forwarded": ("for=[", "for=_x;by=y"),
    "traceparent": ("00-", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x"),
}  # fmt: skip


Operation = dict[str, Any]


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def exchange(port: int, request: bytes, path: str, *, ends: bool) -> tuple[HTTPResponse, bytes]:
    """Sends bytes on a connection of their own, and reads the answer; of an endless one only its beginning.

    `ends`: the request is cut off where its bytes end, since its head says that there are more."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # Refused, and answered, before all of it was taken.
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection, method=request.partition(b" ")[0].decode())
        answer.begin()
        return answer, answer.read(1 if ENDLESS.search(path) else None)


@dataclass(slots=True)
class Fuzzer:
    target: Server
    random: random.Random
    document: dict[str, Any]
    client: httpx.Client
    #: How likely a value is anything at all, and how likely a field is there that need not be. In half of the tries
    #: little is wrong, so that it gets past the first check.
    odds: tuple[float, float] = (0.12, 0.25)
    #: Ids of real jobs, so that some questions are about something.
    jobs: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def operations(self) -> list[tuple[str, str, Operation]]:
        return [(m.upper(), path, op) for path, ops in self.document["paths"].items() for m, op in ops.items()]

    # Values

    def value(self) -> Any:
        return self.random.choice(self.random.choice((STRINGS, STRINGS, NUMBERS, OTHERS)))

    def like(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """A value for a schema: mostly one that fits, now and then anything at all."""
        if self.random.random() < self.odds[0] or depth > 4:
            return self.value()
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self.like(self.random.choice(options), depth)
        if "enum" in schema or "const" in schema:
            return self.random.choice(schema.get("enum") or [schema["const"]])
        match schema.get("type"):
            case "object":
                return self.object(schema, depth)
            case "array":
                return [self.like(schema.get("items", {}), depth + 1) for _ in range(self.random.randrange(4))]
            case "string":
                return self.random.choice(STRINGS)
            case "integer" | "number":
                return self.random.choice(NUMBERS)
            case "boolean":
                return self.random.random() < 0.5
        return self.value()

    def object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        known, wanted = schema.get("properties", {}), schema.get("required", [])
        chosen = [name for name in known if name in wanted or self.random.random() < self.odds[1]]
        made = {name: self.like(known[name], depth + 1) for name in chosen}
        if self.random.random() < 0.6:
            made |= {name: "Hello there." for name in ("text", "input") if name in known}
        if self.random.random() < 0.05:
            made[self.random.choice(STRINGS)] = self.value()
        return made

    def body(self, content: dict[str, Any]) -> tuple[bytes, str]:
        """The bytes of a body, and its type."""
        kind, media = next(iter(content.items()))
        if self.random.random() < 0.08:
            return self.random.choice(RAW), kind
        made = self.like(media.get("schema", {}))
        if kind == "multipart/form-data" and isinstance(made, dict):
            # The client refuses to send some names: lines, and letters that UTF-8 does not have.
            names = {name: name.strip("\x00\r\n").encode("utf-8", "replace").decode() for name in made}
            parts = {names[name]: (None, encoded(str(value))) for name, value in made.items()}
            file = (
                self.random.choice(("a.wav", "", "x" * 400, "①.wav")),
                self.random.choice((b"", b"RIFF", b"\x00" * 999)),
            )
            request = httpx.Request("POST", "http://x", files={**parts, "file": file, "audio_sample": file})
            return request.read(), request.headers["Content-Type"]
        text = json.dumps(made, ensure_ascii=self.random.random() < 0.5)
        return text.encode("utf-8", "surrogatepass"), kind

    # Requests

    def ask(self) -> None:
        method, path, operation = self.random.choice(self.operations)
        headers, query, pausing = {}, {}, path.endswith(("/pause", "/unload"))
        self.odds = self.random.choice(((0.12, 0.25), (0.01, 0.06)))
        for parameter in operation.get("parameters", ()):
            name, made = parameter["name"], str(self.like(parameter.get("schema", {})))[:200]
            if parameter["in"] == "path":
                real = self.jobs and name == "id" and self.random.random() < 0.5
                path = path.replace(f"{{{name}}}", quoted(self.random.choice(self.jobs) if real else made or "x"))
            elif parameter["in"] == "query" and self.random.random() < 0.7:
                query[name] = made
        body, kind = self.body(operation["requestBody"]["content"]) if "requestBody" in operation else (b"", None)
        if kind is not None:
            headers["Content-Type"] = kind
        for name, values in HEADERS.items():
            if self.random.random() < 0.04:
                headers[name] = self.random.choice(values)
        if self.random.random() < 0.03:
            method = self.random.choice(("HEAD", "OPTIONS", "PUT", "PATCH", "TRACE"))
        self.send(method, path, operation, headers, query, body)
        if pausing:
            set_right(self.client)

    def send(
        self, method: str, path: str, operation: Operation, headers: dict[str, str], query: dict[str, str], body: bytes
    ) -> None:
        asked = path + "".join(f"{'&' if n else '?'}{k}={quoted(v)}" for n, (k, v) in enumerate(query.items()))
        fields = {"Host": f"127.0.0.1:{self.target.port}", "Connection": "close", "Content-Length": str(len(body))}
        lines = [f"{method} {asked} HTTP/1.1", *(f"{name}: {value}" for name, value in (fields | headers).items())]
        what = f"{lines[0]} {headers} {str(body)[:300]}"
        try:
            request = "\r\n".join([*lines, "", ""]).encode() + body
            answer, content = exchange(self.target.port, request, path, ends="Content-Length" in headers)
        except (OSError, http.client.HTTPException) as e:
            if "Content-Length" not in headers:
                self.faults.append(f"{what}: {e!r}")
            return
        self.statuses[answer.status] += 1
        if problem := self.problem(answer, content, method, operation):
            self.faults.append(f"{what}: {problem}")
        elif answer.status == 202 and path == "/v1/jobs":
            self.jobs = [*self.jobs[-40:], json.loads(content)["id"]]

    def problem(self, answer: HTTPResponse, content: bytes, method: str, operation: Operation) -> str | None:
        status = answer.status
        if status in NOT_NOW:
            return None if (answer.headers["Retry-After"] or "").isdigit() else f"{status} without Retry-After"
        if status >= 500:
            return f"{status} {content[:300]!r}"
        if method in ("HEAD", "OPTIONS", "PUT", "PATCH", "TRACE"):
            return None
        # Beside what the document says: a method that is not there, and what the connection itself refuses.
        documented = {int(code) for code in operation["responses"] if code.isdigit()} | {405, 408, 414, 431}
        return None if status in documented else f"{status} is not documented: {content[:200]!r}"

    # WebSockets

    def talk(self) -> None:
        """A conversation: what is sent is answered, and an end says why."""
        speech = self.random.random() < 0.8
        path = (
            "/v1/audio/speech/stream"
            if speech
            else "/ws" + self.random.choice(("", "?id=x", "?last_event_id=²", "?id=%00"))
        )
        messages = [self.message() for _ in range(self.random.randrange(1, 6))] if speech else [self.garbage()]
        what = f"{path} {str(messages)[:400]}"
        url = f"ws://127.0.0.1:{self.target.port}{quote(path, safe='/?=%')}"
        heard: list[Any] = []
        try:
            with connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, compression=None) as talk:
                for message in messages:
                    talk.send(message)
                if speech:
                    talk.send('{"type":"session.close"}')
                    heard += iter(talk)
        except InvalidStatus as e:
            if e.response.status_code >= 500:
                self.faults.append(f"{what}: {e!r}")
        except ConnectionClosed as e:
            code = e.rcvd.code if e.rcvd is not None else None
            if code is None or code in (1006, 1011) or not (heard or (e.rcvd and e.rcvd.reason)):
                self.faults.append(f"{what}: closed with {code} after {str(heard[-1:])[:200]}")
        except TimeoutError as e:
            self.faults.append(f"{what}: {e!r}")
        self.statuses[101] += 1

    def message(self) -> str | bytes:
        """A message of the speech protocol with some of its fields, or garbage."""
        if self.random.random() < 0.15:
            return self.garbage()
        schema = self.document["components"]["schemas"]
        config = self.object(schema["SpeechBody"], 1) if "SpeechBody" in schema else {}
        made = self.random.choice(
            (
                {"type": "session.config", "voice": "tone"},
                {"type": "session.config", **config, "split_granularity": self.value()},
                {"type": "input.text", "text": self.random.choice(STRINGS)},
                {"type": "input.text", "text": self.value()},
                {"type": "input.done"},
                {"type": "input.cancel"},
                {"type": self.value()},
            )
        )
        return json.dumps(made)

    def garbage(self) -> str | bytes:
        return self.random.choice((*RAW, "", "x", "[]", "null", '{"type":1}', "\u0000"))


def tries(seed: int, count: int, target: Server) -> Fuzzer:
    """Makes so many tries at a server. Ends early where it no longer answers, or answers wrongly too often."""
    with httpx.Client(base_url=f"http://127.0.0.1:{target.port}", timeout=PATIENCE) as client:
        fuzzer = Fuzzer(target, random.Random(seed), client.get("/openapi.json").json(), client)
        for n in range(count):
            if n % EVERY == EVERY - 1:
                fuzzer.talk()
            else:
                fuzzer.ask()
            if n % 50 == 49:
                set_right(client)
            if len(fuzzer.faults) > MOST_FAULTS or client.get("/livez").status_code != 200:
                break
    return fuzzer


def set_right(client: httpx.Client) -> None:
    """What a lucky request paused, unloaded or made long is not to keep the next ones waiting."""
    client.post("/v1/queue/resume", json={})
    client.post("/v1/models/tone/load")
    for row in client.get("/v1/queue").json().get("data", [])[:100]:
        client.delete(f"/v1/queue/{row['id']}")


def fuzz(seed: int, scale: float) -> list[Row]:
    """Requests with values that no client should send."""
    count = round(TRIES * scale)
    with server("--model", "tone", "--workers", "2", tone_delay="0") as target:
        found = tries(seed, count, target)
        log = (target.data / "log").read_text()
    for fault in found.faults[:30]:
        print(fault)
    broken = [line for line in log.splitlines() if re.search(r'"level": ?"(?:error|critical)"', line)]
    for line in broken[:10]:
        print(line)
    seen = ", ".join(f"{status}: {n}" for status, n in sorted(found.statuses.items()))
    figure = f"{len(found.faults)} faults, {len(broken)} errors in the log; answers {seen}"
    return [Row("P23", f"{count:,} made-up requests, seed {seed}", figure, not found.faults and not broken)]
