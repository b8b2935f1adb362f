"""The page: static files of `antiphon/web`, read once, under a policy that lets nothing foreign in."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from antiphon.app.antiphon import Antiphon

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked again each time, answered 304: a page and its modules never come from two versions.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    packed: bytes
    media_type: str
    digest: str

    def answer(self, request: Request) -> Response:
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        # Two encodings are two representations, so each has its own tag.
        tag = f'"{self.digest}-gzip"' if zipped else f'"{self.digest}"'
        headers = {**HEADERS, "ETag": tag}
        asked = {t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")}
        if tag in asked:
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if zipped else self.body, media_type=self.media_type, headers=headers)


def assets() -> dict[str, Asset]:
    """Every file of the page by name. Only these names are served, so no path can lead out of the folder."""
    return {f.name: _asset(f) for f in resources.files("antiphon").joinpath("web").iterdir() if _suffix(f) in TYPES}


def _suffix(file: Traversable) -> str:
    return "." + file.name.rpartition(".")[2]


def _asset(file: Traversable) -> Asset:
    body = file.read_bytes()
    return Asset(body, gzip.compress(body, 9, mtime=0), TYPES[_suffix(file)], hashlib.sha256(body).hexdigest()[:20])


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = assets()

    @router.get("/")
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request)

    @router.get("/web/{name}")
    async def asset(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "Not Found")
        return files[name].answer(request)

    return router
