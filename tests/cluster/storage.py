"""An S3 server of the tests' own, from a package, on a free port."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

from tests import ports

#: What every process finds in its environment; moto asks nobody who they are.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


class Storage:
    """What was put outlives a `stop`, as it is kept in this process."""

    def __init__(self) -> None:
        self.port = ports.steady()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server: ThreadedMotoServer | None = None
        self._made = 0

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """From now on nobody answers there."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def bucket(self) -> str:
        """The address of a part of a new bucket."""
        self._made += 1
        httpx.put(f"{self.endpoint}/bucket{self._made}").raise_for_status()
        return f"s3://bucket{self._made}/antiphon"

    def keys(self, url: str) -> list[str]:
        """Of all objects below an address."""
        name, _, prefix = url.removeprefix("s3://").partition("/")
        told = httpx.get(f"{self.endpoint}/{name}", params={"list-type": "2", "prefix": prefix}).text
        return [part.partition("</Key>")[0].removeprefix(prefix + "/") for part in told.split("<Key>")[1:]]

    def environment(self, url: str) -> dict[str, str]:
        """Of a server that uses it."""
        return CREDENTIALS | {"ANTIPHON_OBJECTS": url, "ANTIPHON_OBJECTS_ENDPOINT": self.endpoint}


@contextmanager
def running() -> Iterator[Storage]:
    os.environ |= CREDENTIALS
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    storage = Storage()
    storage.start()
    try:
        yield storage
    finally:
        storage.stop()
