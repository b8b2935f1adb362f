"""Starting what is compared: Antiphon, the article's server, and bare engine processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ARTICLE = HERE / "article"


@contextlib.contextmanager
def antiphon(*args: str, env: dict[str, str] | None = None) -> Iterator[int]:
    """A fresh server on a free port; yields the port once a model is ready."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        command = [sys.executable, "-m", "antiphon.cli.main", "serve", "--port", "0", "--data-dir", folder, *args]
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | (env or {})
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if "listens on" not in line:
                raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
            port = int(line.split()[-1].rpartition(":")[2])
            wait(f"http://127.0.0.1:{port}/readyz")
            yield port
        finally:
            end(process)


def models(name: str) -> Path:
    """A folder with the model's files, fetched once."""
    folder = HERE.parent / "cache_hub" / "models"
    subprocess.run([sys.executable, "-m", "antiphon.cli.main", "pull", name, "--output", str(folder)], check=True)
    return folder


@contextlib.contextmanager
def article(port: int = 7990) -> Iterator[int]:
    """The article's server, after `npm install` of its one dependency."""
    if shutil.which("node") is None:
        raise RuntimeError("the article's server needs Node.js")
    if not (ARTICLE / "node_modules").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=ARTICLE, check=True)
    env = os.environ | {"PORT": str(port), "PYTHON": sys.executable}
    process = subprocess.Popen(["node", "server.js"], cwd=ARTICLE, env=env, stdout=subprocess.DEVNULL)
    try:
        wait(f"http://127.0.0.1:{port}/health")
        yield port
    finally:
        end(process)
        shutil.rmtree(ARTICLE / "output", ignore_errors=True)


def wait(url: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
            if answer.status == 200:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} did not answer within {seconds} s")
        time.sleep(0.02)


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
