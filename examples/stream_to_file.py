"""Shows that audio comes while it is made: the first bytes are there long before the last."""

import sys
import time
from pathlib import Path

from antiphon import Client

TEXT = " ".join(f"This is sentence number {n} of a text that takes a while to speak." for n in range(1, 13))
path = Path(sys.argv[1] if len(sys.argv) > 1 else "streamed.mp3")

with Client() as client, path.open("wb") as file:
    began, first = time.monotonic(), None
    # Leaving this block early, with a break or an error, frees the place on the server.
    with client.stream(TEXT, format="mp3") as stream:
        for part in stream:
            first = first or time.monotonic() - began
            file.write(part)
    print(f"{path}: first bytes after {first:.2f} s, all after {time.monotonic() - began:.2f} s")
