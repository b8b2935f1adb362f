"""No answer shows a path of the server's machine."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import httpx

import antiphon
from tests.conftest import Server, Start, wait_until


def body(server: Server, method: str, path: str, **more: object) -> bytes:
    """What is answered; of a stream, what comes within a moment."""
    received = b""
    with (
        contextlib.suppress(httpx.TimeoutException),
        server.client.stream(method, path, timeout=httpx.Timeout(5, read=0.5), **more) as answer,  # type: ignore[arg-type]
    ):
        received += repr(answer.headers.raw).encode()
        for part in answer.iter_raw():
            received += part
    return received


def test_no_answer_has_a_path_of_this_machine(serve: Start, tmp_path: Path) -> None:
    models = tmp_path / "the models"
    server = serve("--model", "tone", "--model", "kokoro", "--offline", "--models-dir", str(models))
    wait_until(lambda: any(m["hint"] for m in server.health()["models"]), "a model is missing")
    job = server.client.post("/v1/jobs", json={"input": "Words."}).json()["id"]
    assert server.wait_job(job)["status"] == "succeeded"
    said = server.client.post("/tts", json={"text": "More words."}).json()
    secrets = [str(path).encode() for path in (tmp_path, Path(antiphon.__file__).parent, sys.prefix)]
    asked = [("GET", said["audio_path"]), ("GET", f"/status?id={said['id']}"), ("GET", "/no/such/path")]
    for path, methods in server.client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            for value in (job, "kokoro", "%2e%2e", "0"):
                asked.append((method.upper(), re.sub(r"\{\w+\}", value, path)))
                if "{" not in path:
                    break
    answers = 0
    for method, path in asked:
        for more in [{}] if method == "GET" else [{"json": {"model": "kokoro", "input": "Hi.", "text": "Hi."}}, {}]:
            received = body(server, method, path, **more)
            answers += bool(received)
            assert not any(secret in received for secret in secrets), (method, path, received)
    assert answers > 60
    assert str(models) in server.log.read_text()
