"""The process that decodes one stranger's file and ends: `python -m antiphon.sandbox.child MEMORY CPU WALL WHAT`.

The file comes by standard input, the answer goes to standard output: one byte of kind, four of length (big-endian), and
as many bytes of what `WHAT` makes of it (`reference_audio`: a voice to be imitated, `speech_audio`: speech to be
written down), or of the reason why it is refused. While it decodes it cannot open a file or a socket, write to a disk,
or outlive its bounds, also when nobody is left to kill it.
"""

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
#: Bytes of a refusal.
MAX_REASON = 2000


class Reader(Protocol):
    """A module of this room that reads files."""

    MAX_BYTES: int

    def read(self, data: bytes) -> bytes:
        """Raises `InvalidRequest` with the reason why it is refused."""
        ...

    def rehearse(self) -> None:
        """Does on something of its own all that `read` may do."""
        ...


def main() -> None:
    memory, cpu, wall = map(int, sys.argv[1:4])
    reader: Reader = import_module(f"antiphon.sandbox.{sys.argv[4]}")
    signal.alarm(wall)  # Its default action ends the process, whatever a decoder is doing.
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    answer = os.dup(1)
    os.dup2(2, 1)  # Libraries print; the answer's descriptor is no place for it.
    kind, payload = _read(reader, _load(reader))
    with os.fdopen(answer, "wb") as out:
        out.write(FRAME.pack(kind, len(payload)) + payload)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _load(reader: Reader) -> bytes:
    """The file; from then on no descriptor can be had: no file, no socket, no library."""
    # Libraries load parts of themselves when they are first used.
    reader.rehearse()
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
