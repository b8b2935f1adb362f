"""`antiphon serve`: reads the options of the settings class, then starts, serves, drains and stops."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from antiphon.api.app import create_app
from antiphon.api.protocols import protocols
from antiphon.app.antiphon import Antiphon
from antiphon.cli import exit_codes, logs
from antiphon.cli.systemd import Notifier
from antiphon.domain import errors
from antiphon.settings import Settings, load
from antiphon.store.connect import any_key

log = structlog.get_logger("antiphon")

#: Seconds that open streams get to end after the drain.
STREAM_GRACE = 2
#: Options of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Send buffer of one connection, bytes: enough for 6 Mbit/s at a round trip of 200 ms.
SEND_BUFFER = 128 * 1024


def main(arguments: list[str]) -> None:
    # Objects loaded by now live until the end, and later ones are mostly freed by reference count. The collector's
    # default scans everything every few hundred objects, which causes most pauses under a burst of jobs.
    gc.freeze()
    mmap_audio()
    gc.set_threshold(20_000, 20, 50)
    settings = parse(arguments)
    logs.configure(settings)
    refuse_public_without_keys(settings)
    sock = listen(settings.host, settings.port)
    sys.exit(uvloop.run(serve(settings, sock)))


# Options


def make_parser() -> argparse.ArgumentParser:
    """The flags, generated from the settings class, so that each option is declared once."""
    parser = argparse.ArgumentParser(
        prog="antiphon serve",
        description="Start the server. Every option can also be an ANTIPHON_* variable or stand in the file.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with options by their long names.")
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        if field.annotation is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=f"{field.description}")
            continue
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        text = f"{field.description} [{default}]" if default is not None else f"{field.description}"
        action: dict[str, Any] = {"action": "append"} if isinstance(field.default, tuple) else {}
        parser.add_argument(flag, metavar=name.upper().rpartition("_")[2], help=text.replace("%", "%%"), **action)
    return parser


def mmap_audio() -> None:
    """Makes glibc allocate audio buffers with mmap, outside its heap. Does nothing with another C library.

    Buffers of some 40 kB come and go between small objects that stay, which fragments a shared heap. With 200 clients
    that had stopped reading, the process grew by 59 MiB without this and by 23 MiB with it."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 * 1024)
        mallopt(M_TRIM_THRESHOLD, 128 * 1024)


def parse(arguments: list[str]) -> Settings:
    flags = vars(make_parser().parse_args(arguments))
    config = flags.pop("config", None)
    flags = {name: ",".join(value) if isinstance(value, list) else value for name, value in flags.items()}
    return load(config, flags)


def refuse_public_without_keys(settings: Settings) -> None:
    if settings.store == "sqlite":
        _refuse_public_without_keys(settings, any_key(settings.database_path))


def _refuse_public_without_keys(settings: Settings, guarded: bool) -> None:
    if not is_loopback(settings.host) and not settings.insecure and not guarded:
        raise errors.InvalidRequest(
            f"--host {settings.host} can be reached from other machines, and there are no keys: anybody could use "
            f"this server. Make one with `antiphon keys create --name NAME --data-dir {settings.data_dir}`, keep "
            "127.0.0.1, or add --insecure if that is what you want."
        )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit this. By default the kernel buffers megabytes for each client that stops reading.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise errors.CannotListen(
            f"cannot listen on {host}:{port}: {e.strerror}. Something else may use the port; try --port {port + 1}"
        ) from e
    sock.listen(2048)
    sock.setblocking(False)
    return sock


# Start, serve, drain, stop


class Server(uvicorn.Server):
    """uvicorn without its signal handlers; `until_signalled` handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, sock: socket.socket) -> int:
    antiphon = Antiphon(settings)
    notifier = Notifier()
    watchdog: asyncio.Task[None] | None = None
    try:
        await antiphon.start()
        if settings.store != "sqlite":
            # Only the open store tells whether there are keys.
            _refuse_public_without_keys(settings, not antiphon.api_keys.open)
        connections = protocols(settings)
        config = uvicorn.Config(
            create_app(antiphon),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # A client could forge a proxy header, so a flow's address is that of the connection.
            proxy_headers=False,
            timeout_graceful_shutdown=STREAM_GRACE,
            ws_max_size=4 * 1024 * 1024,
            # A message of 4 kB could become one of 4 MiB, and audio gains nothing.
            ws_per_message_deflate=False,
            http=connections.http,
            ws=connections.websocket,
        )
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]), name="http")
        host, port = sock.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"Antiphon listens on {address}", flush=True)  # noqa: T201 - the one line that start scripts wait for
        notifier.notify("READY=1", f"STATUS=Antiphon listens on {address}")
        watchdog = asyncio.create_task(notifier.keep_alive(), name="watchdog")
        code = await until_signalled(antiphon, server, serving, notifier)
        await serving
        return code
    finally:
        await antiphon.stop()
        if watchdog is not None:
            watchdog.cancel()


async def until_signalled(
    antiphon: Antiphon, server: uvicorn.Server, serving: asyncio.Task[None], notifier: Notifier
) -> int:
    """Waits for the end; returns the exit code. The first SIGTERM or SIGINT drains, the second ends at once, and a
    broken store ends at once with the code of `exit_codes`."""
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    broken = asyncio.ensure_future(antiphon.broken.wait())
    await _first(asyncio.ensure_future(first.wait()), broken, serving)
    notifier.notify("STOPPING=1", "STATUS=Antiphon finishes what is running")
    if first.is_set() and not broken.done():
        log.info("draining", seconds=antiphon.settings.drain_seconds)
        drained = asyncio.ensure_future(antiphon.drain())
        await _first(drained, asyncio.ensure_future(second.wait()), broken)
        drained.cancel()
    antiphon.bus.close()
    server.should_exit = True
    server.force_exit = second.is_set() or antiphon.broken.is_set()
    broken.cancel()
    if antiphon.failure is None:
        return 0
    if isinstance(antiphon.failure, errors.AntiphonError):
        log.critical(antiphon.failure.message)
    return exit_codes.of(antiphon.failure)


async def _first(*waiting: asyncio.Future[Any]) -> None:
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
