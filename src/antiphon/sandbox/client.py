"""Sandbox client: lets a child process with limits decode an untrusted file, so that no decoder runs in the server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import structlog

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.sandbox import reference_audio
from antiphon.sandbox.child import AUDIO, FRAME, MAX_REASON, REFUSAL

log = structlog.get_logger("antiphon.voices")

#: Bytes of an answer: the longest reference audio, with room for a header.
MAX_ANSWER = int(2 * reference_audio.MAX_RATE * (reference_audio.MAX_SECONDS + 1)) + 1024
#: Bytes written to or read from a pipe at a time.
PART = 64 * 1024
#: Bytes of the child's standard error that are read for the log.
MAX_STDERR = 2000
#: Environment variables that the child gets, to find Python and its libraries; none holds a key or token.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
#: One memory arena per thread would use up the child's address space at once.
_SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one child. Python and the decoders take 0.2 GiB of address space and one second of a slow core."""

    #: Bytes of address space.
    memory: int = 768 * 1024 * 1024
    #: Seconds of CPU time and of wall-clock time.
    cpu: int = 20
    wall: float = 30.0


DEFAULT = Limits()


class _NoAnswer(Exception):
    """The child ended without an answer, or its answer is malformed."""


async def read(data: bytes, limits: Limits = DEFAULT) -> bytes:
    """The recording in `data` as a mono 16-bit WAV file, at most 48 kHz, without the silence at its ends. Raises
    `InvalidRequest` with the reason for a refusal. The child has ended when this returns or raises."""
    if len(data) > reference_audio.MAX_BYTES:
        why = f"The audio file has {len(data)} bytes; at most {reference_audio.MAX_BYTES} are taken"
        raise errors.InvalidRequest(why)
    answer = bytearray()
    await decode("reference_audio", io.BytesIO(data), answer.extend, MAX_ANSWER, limits)
    try:
        wav.read(bytes(answer))
    except errors.InvalidRequest as e:
        raise _unreadable() from e
    return bytes(answer)


async def decode(
    reader: str, file: BinaryIO, on_part: Callable[[bytes], object], max_bytes: int, limits: Limits
) -> None:
    """Decodes a file in a child with a `reader` of this room; passes the result, at most `max_bytes`, to `on_part`.
    Raises as `read` does; the parts passed on until then are worthless."""
    # -P: keeps the child from importing modules out of the server's working directory.
    command = [sys.executable, "-P", "-m", "antiphon.sandbox.child"]
    command += [str(limits.memory), str(limits.cpu), str(int(limits.wall) + 5), reader]
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _SINGLE_THREAD
    child = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
    )
    try:
        async with asyncio.timeout(limits.wall):
            await _exchange(child, file, on_part, max_bytes)
    except TimeoutError:
        raise errors.InvalidRequest(f"The audio file could not be read within {limits.wall:g} seconds") from None
    except _NoAnswer as e:
        raise _unreadable() from e
    finally:
        await asyncio.shield(asyncio.ensure_future(_kill(child)))


def _unreadable() -> errors.InvalidRequest:
    return errors.InvalidRequest("The audio file cannot be read within the server's bounds; send a WAV file")


async def _exchange(child: Process, file: BinaryIO, on_part: Callable[[bytes], object], max_bytes: int) -> None:
    """Sends the file and receives the answer. Raises `InvalidRequest` for a refusal, `_NoAnswer`."""
    assert child.stdin is not None
    assert child.stdout is not None
    # A child that ends early has answered already, or is found below to have given no answer.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while part := file.read(PART):
            child.stdin.write(part)
            await child.stdin.drain()
        child.stdin.close()
    try:
        kind, size = FRAME.unpack(await child.stdout.readexactly(FRAME.size))
        if size > {AUDIO: max_bytes, REFUSAL: MAX_REASON}.get(kind, -1):
            raise _NoAnswer
        if kind == REFUSAL:
            reason = await child.stdout.readexactly(size)
            raise errors.InvalidRequest(reason.decode(errors="replace"))
        while size:
            part = await child.stdout.readexactly(min(size, PART))
            size -= len(part)
            on_part(part)
    except (asyncio.IncompleteReadError, _NoAnswer) as e:
        await _log_stderr(child)
        raise _NoAnswer from e


async def _log_stderr(child: Process) -> None:
    """Logs the child's standard error for the operator: a file that crashes a decoder is an attack or a bug."""
    assert child.stderr is not None
    output = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            output = await child.stderr.read(MAX_STDERR)
    log.warning("a recording crashed its decoder", stderr=output.decode(errors="replace")[-500:])


async def _kill(child: Process) -> None:
    """Ends the child and every process that it started: it leads a process group of its own."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    # `wait` returns only after all pipes are closed. Closing the transport also closes a pipe that was not read to its
    # end, or that another process holds open.
    child._transport.close()  # type: ignore[attr-defined]
    await child.wait()
