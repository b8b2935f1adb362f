"""`antiphon serve`: options from the settings class, then start, serve, drain, stop."""

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

from antiphon.api import stalled
from antiphon.api.app import create_app
from antiphon.app.antiphon import Antiphon
from antiphon.cli import logs
from antiphon.cli.systemd import Notifier
from antiphon.domain import errors
from antiphon.settings import Settings, load
from antiphon.store.connect import any_key

log = structlog.get_logger("antiphon")

#: Seconds that open streams get once everything else is done.
LAST_WORDS = 2
#: Options of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Bytes of an answer that the system keeps for one connection: at 200 ms of distance still 6 Mbit/s.
SEND_BUFFER = 128 * 1024


def main(arguments: list[str]) -> None:
    # What is loaded by now stays for ever; what follows is mostly freed by its count. The collector's default looks at
    # everything every few hundred objects, which is most of the pauses under a burst of jobs.
    gc.freeze()
    allocate_audio_apart()
    gc.set_threshold(20_000, 20, 50)
    settings = parse(arguments)
    logs.configure(settings)
    refuse_open_doors(settings)
    sock = listen(settings.host, settings.port)
    sys.exit(uvloop.run(serve(settings, sock)))


# Options


def parser() -> argparse.ArgumentParser:
    """Flags made from the settings class, so that each option is written once."""
    made = argparse.ArgumentParser(
        prog="antiphon serve",
        description="Start the server. Every option can also be an ANTIPHON_* variable or stand in the file.",
        argument_default=argparse.SUPPRESS,
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="TOML file with options by their long names.")
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        if field.annotation is bool:
            made.add_argument(flag, action=argparse.BooleanOptionalAction, help=f"{field.description}")
            continue
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        text = f"{field.description} [{default}]" if default is not None else f"{field.description}"
        action: dict[str, Any] = {"action": "append"} if isinstance(field.default, tuple) else {}
        made.add_argument(flag, metavar=name.upper().rpartition("_")[2], help=text.replace("%", "%%"), **action)
    return made


def allocate_audio_apart() -> None:
    """Has the C library take audio from the system piece by piece, and give it back, in place of its heap.

    Audio of some 40 kB comes and goes between small things that stay; in one heap the holes are never used again. With
    200 readers that had stopped reading the process grew by 59 MiB, and by 23 with this. Elsewhere than on glibc it is
    as it was.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 * 1024)
        mallopt(M_TRIM_THRESHOLD, 128 * 1024)


def parse(arguments: list[str]) -> Settings:
    flags = vars(parser().parse_args(arguments))
    config = flags.pop("config", None)
    flags = {name: ",".join(value) if isinstance(value, list) else value for name, value in flags.items()}
    return load(config, flags)


def refuse_open_doors(settings: Settings) -> None:
    if settings.store == "sqlite":
        _refuse_open_doors(settings, any_key(settings.database_path))


def _refuse_open_doors(settings: Settings, guarded: bool) -> None:
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
    # Connections inherit it. Left to itself the system lets a reader that stalls hold megabytes each.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise errors.InvalidRequest(
            f"cannot listen on {host}:{port}: {e.strerror}. Something else may use the port; try --port {port + 1}"
        ) from e
    sock.listen(2048)
    sock.setblocking(False)
    return sock


# Start, serve, drain, stop


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: what a signal means is decided here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, sock: socket.socket) -> int:
    antiphon = Antiphon(settings)
    notifier = Notifier()
    beating: asyncio.Task[None] | None = None
    try:
        await antiphon.start()
        if settings.store != "sqlite":
            # Only now is it known whether there are keys.
            _refuse_open_doors(settings, not antiphon.keys.open)
        config = uvicorn.Config(
            create_app(antiphon),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # The address of a flow is that of the connection: a header could say anything.
            proxy_headers=False,
            timeout_graceful_shutdown=LAST_WORDS,
            ws_max_size=4 * 1024 * 1024,
            http=stalled.http(settings.stall_seconds),
            ws=stalled.websocket(settings.stall_seconds),
        )
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]), name="http")
        host, port = sock.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"Antiphon listens on {address}", flush=True)  # noqa: T201 - the one line that start scripts wait for
        notifier.tell("READY=1", f"STATUS=Antiphon listens on {address}")
        beating = asyncio.create_task(notifier.beat(), name="watchdog")
        code = await until_signalled(antiphon, server, serving, notifier)
        await serving
        return code
    finally:
        await antiphon.stop()
        if beating is not None:
            beating.cancel()


async def until_signalled(
    antiphon: Antiphon, server: uvicorn.Server, serving: asyncio.Task[None], notifier: Notifier
) -> int:
    """The first SIGTERM or SIGINT drains, the second ends at once; a broken store ends at once with code 1."""
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    broken = asyncio.ensure_future(antiphon.broken.wait())
    await _first(asyncio.ensure_future(first.wait()), broken, serving)
    notifier.tell("STOPPING=1", "STATUS=Antiphon finishes what is running")
    if first.is_set() and not broken.done():
        log.info("draining", seconds=antiphon.settings.drain_seconds)
        drained = asyncio.ensure_future(antiphon.drain())
        await _first(drained, asyncio.ensure_future(second.wait()), broken)
        drained.cancel()
    antiphon.bus.close()
    server.should_exit = True
    server.force_exit = second.is_set() or antiphon.broken.is_set()
    broken.cancel()
    return 1 if antiphon.broken.is_set() else 0


async def _first(*waiting: asyncio.Future[Any]) -> None:
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
