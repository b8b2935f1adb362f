"""A stand-in for vLLM-Omni's speech server, in a process of its own: its voices, extra_params and errors, and what
goes wrong on the way. `python -m tests.omni --port N`, or as `vllm serve FOLDER --omni … --port N`."""

from __future__ import annotations

import argparse
import contextlib
import email.parser
import email.policy
import io
import json
import os
import sys
import threading
import time
import wave
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RATE = 22050


class State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: Bodies of speech requests, names of uploads, and requests whose connection was closed by the other side.
        self.spoken: list[dict[str, Any]] = []
        self.uploads: list[str] = []
        self.left = 0
        self.voices: dict[str, int] = {}
        #: What the next requests meet: [kind, how often, …], such as ["status", 2, 503, "1"].
        self.faults: list[list[Any]] = []
        self.delay = 0.0


def pcm(text: str, voice: str) -> bytes:
    """A square wave whose pitch is the text's and voice's, 0.02 s a character."""
    half = max(1, RATE // (200 + zlib.crc32(f"{text}{voice}".encode()) % 400) // 2)
    one = (b"\x00\x10" * half) + (b"\x00\xf0" * half)
    count = int(RATE * 0.02 * max(5, len(text)))
    return (one * (count // (2 * half) + 1))[: 2 * count]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State
    model: str

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/health":
            self._json({})
        elif self.path == "/v1/models":
            self._json({"object": "list", "data": [{"id": self.model}]})
        elif self.path == "/v1/audio/voices":
            uploaded = [{"name": n, "consent": "x", "created_at": 0, "file_size": s} for n, s in state.voices.items()]
            self._json({"voices": ["default", "anna", *state.voices], "uploaded_voices": uploaded})
        elif self.path == "/seen":
            self._json({"spoken": state.spoken, "uploads": state.uploads, "left": state.left, "pid": os.getpid()})
        else:
            self._json({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/control":
            for name, value in json.loads(raw).items():
                setattr(self.state, name, value)
            self._json({})
        elif self.path == "/v1/audio/voices":
            self._upload(raw)
        elif self.path == "/v1/audio/speech":
            self._speech(json.loads(raw))

    def _upload(self, raw: bytes) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.default).parsebytes(head + raw)
        fields = {
            p.get_param("name", header="content-disposition"): p.get_payload(decode=True) for p in form.iter_parts()
        }
        name, sample = bytes(fields["name"]).decode(), bytes(fields["audio_sample"])
        wave.open(io.BytesIO(sample)).close()
        self.state.voices[name] = len(sample)
        self.state.uploads.append(name)
        self._json({"success": True, "voice": {"name": name}})

    def _speech(self, body: dict[str, Any]) -> None:
        state = self.state
        with state.lock:
            state.spoken.append(body)
            fault = state.faults[0] if state.faults else None
            if fault is not None:
                fault[1] -= 1
                if fault[1] <= 0:
                    state.faults.pop(0)
        kind = fault[0] if fault else None
        if kind == "status":
            assert fault is not None
            error = {"error": {"message": f"no {body['input'][:20]!r} today", "type": "x", "code": fault[2]}}
            self._json(error, fault[2], {"Retry-After": fault[3]} if len(fault) > 3 else {})
            return
        voice = body.get("voice", "default")
        if voice not in ("default", "anna") and voice not in state.voices:
            self._json({"error": {"message": f"Voice {voice} not found", "code": 400}}, 400)
            return
        if kind == "json":
            self._json({"audio": None})
            return
        if not self._wait(30 if kind == "stall" else state.delay):
            return
        audio = pcm(body["input"], voice) + (b"x" if kind == "odd" else b"")
        if body.get("response_format") == "wav":
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(RATE)
                out.writeframes(audio)
            audio = buffer.getvalue()
        self._stream(audio, kind)

    def _stream(self, audio: bytes, kind: str | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/pcm")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(audio), 4000):
            if at and kind == "cut":
                self.close_connection = True
                return
            if at and kind == "pause":
                self._wait(30)
                return
            piece = audio[at : at + 4000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _wait(self, seconds: float) -> bool:
        """False as soon as the other side has closed the connection."""
        end = time.monotonic() + seconds
        self.connection.settimeout(0.02)
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    self.state.left += 1
                    self.close_connection = True
                    return False
        self.connection.settimeout(None)
        return True

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("serve", nargs="*")
    parser.add_argument("--omni", action="store_true")
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fail", action="store_true")
    asked = parser.parse_args()
    print("loading weights", file=sys.stderr, flush=True)
    if asked.fail:
        sys.exit("CUDA out of memory")
    handler = type("H", (Handler,), {"state": State(), "model": "IndexTeam/IndexTTS-2.5"})
    server = ThreadingHTTPServer((asked.host, asked.port), handler)
    server.daemon_threads = True
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
