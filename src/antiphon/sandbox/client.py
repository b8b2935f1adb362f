"""Has a stranger's recording read by a child process with limits: nothing that a decoder does can reach the server."""

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

#: Of an answer: what `recording` can make, with room for a header.
MAX_ANSWER = int(2 * reference_audio.MAX_RATE * (reference_audio.MAX_SECONDS + 1)) + 1024
#: Bytes that go through a pipe at a time.
PART = 64 * 1024
#: Bytes of what the child complained about that are logged.
MAX_COMPLAINT = 2000
#: What the child needs of the surroundings to find Python and its libraries; keys and tokens are not among it.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
#: An arena per thread would spend its address space before it has done anything.
_SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one child. Python and the decoders take 0.2 GiB of address space and a second of a slow core."""

    #: Bytes of address space.
    memory: int = 768 * 1024 * 1024
    #: Seconds of processor time, and of time.
    cpu: int = 20
    wall: float = 30.0


BOUNDS = Bounds()


class _NoAnswer(Exception):
    """The child ended, or says what it cannot say."""


async def read(data: bytes, bounds: Bounds = BOUNDS) -> bytes:
    """The recording in `data` as a mono 16-bit WAV file, at most 48 kHz, without the silence at its ends.

    Raises `InvalidRequest` with the reason why it is refused. The child is gone when this returns or raises.
    """
    if len(data) > reference_audio.MAX_BYTES:
        raise errors.InvalidRequest(
            f"The audio file has {len(data)} bytes; at most {reference_audio.MAX_BYTES} are taken"
        )
    answer = bytearray()
    await ask("reference_audio", io.BytesIO(data), answer.extend, MAX_ANSWER, bounds)
    try:
        wav.read(bytes(answer))
    except errors.InvalidRequest as e:
        raise _unreadable() from e
    return bytes(answer)


async def ask(what: str, file: BinaryIO, take: Callable[[bytes], object], most: int, bounds: Bounds) -> None:
    """Has a child read a file and gives what it makes of it, at most `most` bytes, to `take`, part by part.

    Raises as `read` does; then what was given is worth nothing.
    """
    # -P: the directory that the server happens to be started in is no place to import from.
    command = [sys.executable, "-P", "-m", "antiphon.sandbox.child"]
    command += [str(bounds.memory), str(bounds.cpu), str(int(bounds.wall) + 5), what]
    surroundings = {name: os.environ[name] for name in _PASSED if name in os.environ} | _SINGLE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=surroundings, start_new_session=True
    )
    try:
        async with asyncio.timeout(bounds.wall):
            await _converse(child, file, take, most)
    except TimeoutError:
        raise errors.InvalidRequest(f"The audio file could not be read within {bounds.wall:g} seconds") from None
    except _NoAnswer as e:
        raise _unreadable() from e
    finally:
        await asyncio.shield(asyncio.ensure_future(_end(child)))


def _unreadable() -> errors.InvalidRequest:
    return errors.InvalidRequest("The audio file cannot be read within the server's bounds; send a WAV file")


async def _converse(child: Process, file: BinaryIO, take: Callable[[bytes], object], most: int) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    # A child that ends early has said why, or will be found to have said nothing.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while part := file.read(PART):
            child.stdin.write(part)
            await child.stdin.drain()
        child.stdin.close()
    try:
        kind, size = FRAME.unpack(await child.stdout.readexactly(FRAME.size))
        if size > {AUDIO: most, REFUSAL: MAX_REASON}.get(kind, -1):
            raise _NoAnswer
        if kind == REFUSAL:
            reason = await child.stdout.readexactly(size)
            raise errors.InvalidRequest(reason.decode(errors="replace"))
        while size:
            part = await child.stdout.readexactly(min(size, PART))
            size -= len(part)
            take(part)
    except (asyncio.IncompleteReadError, _NoAnswer) as e:
        await _complain(child)
        raise _NoAnswer from e


async def _complain(child: Process) -> None:
    """For the operator: a file that ends a decoder is either an attack or a bug."""
    assert child.stderr is not None
    said = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            said = await child.stderr.read(MAX_COMPLAINT)
    log.warning("a recording ended its decoder", said=said.decode(errors="replace")[-500:])


async def _end(child: Process) -> None:
    """Also what it may have started; it is the leader of its own group."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    # Its exit is told once its pipes are closed, and a pipe that nobody reads to its end, or that something else holds
    # open, is closed by this only.
    child._transport.close()  # type: ignore[attr-defined]
    await child.wait()
