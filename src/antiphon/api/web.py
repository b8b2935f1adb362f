"""Page files: serves `antiphon/web` from memory, under a policy that allows nothing from another origin."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The browser revalidates each file (304), so a page and its modules always come from one version.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page, plain and compressed."""

    body: bytes
    packed: bytes
    media_type: str
    digest: str

    def answer(self, request: Request) -> Response:
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        # Two encodings are two representations, so each has its own tag.
        tag = f'"{self.digest}-gzip"' if zipped else f'"{self.digest}"'
        headers = {**HEADERS, "ETag": tag}
        if tag in {t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if zipped else self.body, media_type=self.media_type, headers=headers)


def assets() -> dict[str, Asset]:
    """Every file of the page by its path below `/web/`. Only these are served, so no path can leave the folder."""
    return dict(_assets(resources.files("antiphon").joinpath("web")))


def _assets(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Asset]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _assets(entry, f"{prefix}{entry.name}/")
        elif media_type := TYPES.get("." + entry.name.rpartition(".")[2]):
            body = entry.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:20]
            yield prefix + entry.name, Asset(body, gzip.compress(body, 9, mtime=0), media_type, digest)


def routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = assets()

    @router.get("/")
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request)

    @router.get("/web/{path:path}")
    async def asset(request: Request, path: str) -> Response:
        if path not in files:
            raise HTTPException(404, "Not Found")
        return files[path].answer(request)

    return router
