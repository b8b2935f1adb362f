"""Runs a command for as long as the process that started this one lives: `python -m …guard COMMAND…`.

Its standard input is a pipe that nobody writes to. Its end means that the other end is gone, killed perhaps, and the
command is ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

#: Seconds between asking and insisting.
GRACE = 5.0


def main() -> int:
    try:
        command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as e:
        sys.stderr.write(f"{sys.argv[1]}: {e.strerror}\n")
        return 127
    ended = threading.Event()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, number)
            if ended.wait(GRACE):
                break

    threading.Thread(target=watch, daemon=True).start()
    # Ends are the parent's to decide: Ctrl-C goes to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = command.wait()
    ended.set()
    # What it started may outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
