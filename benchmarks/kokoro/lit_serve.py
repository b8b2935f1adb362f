"""LitServe around Kokoro, as its guide has it: `lit_serve.py PORT FOLDER WORKERS`."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from starlette.responses import Response


class Kokoro(litserve.LitAPI):
    def setup(self, device: str) -> None:
        from benchmarks.kokoro.__main__ import chunks, engine_of

        self._kokoro: Any = engine_of(sys.argv[2])
        self._chunks = chunks

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["text"])

    def predict(self, text: str) -> bytes:
        return b"".join(self._chunks(self._kokoro, text, "en"))

    def encode_response(self, output: bytes) -> Response:
        return Response(output)


if __name__ == "__main__":
    server = litserve.LitServer(Kokoro(), accelerator="cpu", workers_per_device=int(sys.argv[3]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
