"""Process guard: runs a command while its own parent process lives (`python -m …process_guard COMMAND…`).

Its standard input is a pipe from the parent, which writes nothing. End of file means that the parent is gone, perhaps
killed; the guard then ends the command and all processes that the command started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

#: Seconds between SIGTERM and SIGKILL.
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
    # Ctrl-C goes to the whole process group, but only the parent decides when the command ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = command.wait()
    ended.set()
    # Processes that the command started may outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
