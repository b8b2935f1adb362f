"""Sandbox child: decodes one untrusted file and ends: `python -m antiphon.sandbox.child MEMORY CPU WALL READER`.

The file comes on standard input. The answer goes to standard output: one byte for its kind, four for its length
(big-endian), then the result of the module `READER` (`reference_audio`: a voice to clone, `speech_audio`: speech to
transcribe) or the reason for a refusal. While the child decodes, it cannot open a file or a socket or write to a disk;
it ends at its limits even if its parent is gone."""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from importlib import import_module
from typing import Protocol

FRAME = struct.Struct(">cI")
AUDIO, REFUSAL = b"A", b"R"
#: Bytes of the reason for a refusal.
MAX_REASON = 2000


class Reader(Protocol):
    """A module of this room that decodes files."""

    MAX_BYTES: int

    def read(self, data: bytes) -> bytes:
        """Decodes a file. Raises `InvalidRequest` with the reason for a refusal."""

    def warm_up(self) -> None:
        """Runs every step of `read` on sample data, so that all libraries are loaded."""


def main() -> None:
    memory, cpu, wall = map(int, sys.argv[1:4])
    reader: Reader = import_module(f"antiphon.sandbox.{sys.argv[4]}")
    signal.alarm(wall)  # Its default action ends the process, whatever a decoder is doing.
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    answer = os.dup(1)
    os.dup2(2, 1)  # What libraries print must not mix with the answer.
    kind, payload = _read(reader, _load(reader))
    with os.fdopen(answer, "wb") as out:
        out.write(FRAME.pack(kind, len(payload)) + payload)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _load(reader: Reader) -> bytes:
    """Reads the file from standard input, then forbids new descriptors: no file, socket or library can be opened."""
    # Libraries load some of their parts at first use, which must come before the limit.
    reader.warm_up()
    data = sys.stdin.buffer.read(reader.MAX_BYTES + 1)
    _limit(resource.RLIMIT_NOFILE, 0)
    return data


def _read(reader: Reader, data: bytes) -> tuple[bytes, bytes]:
    from antiphon.domain import errors

    try:
        return AUDIO, reader.read(data)
    except errors.InvalidRequest as e:
        return REFUSAL, e.message.encode()[:MAX_REASON]
    except MemoryError:
        return REFUSAL, b"The audio file needs more memory to be read than any honest recording does"


if __name__ == "__main__":
    main()
