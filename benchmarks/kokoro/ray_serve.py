"""Ray Serve around Kokoro, as its guide has it: `ray_serve.py PORT FOLDER REPLICAS`."""

from __future__ import annotations

import signal
import sys
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=int(sys.argv[3]), max_ongoing_requests=1, ray_actor_options={"num_cpus": 1})
class Kokoro:
    def __init__(self, folder: str) -> None:
        from benchmarks.kokoro.__main__ import chunks, engine_of

        self._kokoro: Any = engine_of(folder)
        self._chunks = chunks

    async def __call__(self, request: Request) -> Response:
        if request.url.path == "/health":
            return Response()
        text = (await request.json())["text"]
        return Response(b"".join(self._chunks(self._kokoro, text, "en")))


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Kokoro.bind(sys.argv[2]), route_prefix="/")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(serve.shutdown()))
    signal.pause()
