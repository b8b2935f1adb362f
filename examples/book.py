"""A book as a job: it outlives this program and the server, shows its progress, and has subtitles at the end.

Run it again after either was stopped: the same key gives the same job, which goes on where it was.
"""

import hashlib
import sys
from pathlib import Path

from antiphon import Client

source = Path(sys.argv[1]) if len(sys.argv) > 1 else None
target = Path(sys.argv[2] if len(sys.argv) > 2 else "book.opus")
text = source.read_text() if source else "\n\n".join(f"Chapter {n}. It is short, as all of them." for n in range(1, 21))

with Client() as client:
    key = "book-" + hashlib.sha256(text.encode()).hexdigest()
    job = client.submit(text, format="opus", priority="bulk", idempotency_key=key)
    for event in client.events(job):  # Each once, also if the server restarts meanwhile.
        units, eta = event.data.get("units"), event.data.get("eta")
        if units:
            left = f", {eta:.0f} s left" if eta else ""
            print(f"\r{units['done']}/{units['total']} segments{left}    ", end="", flush=True)
    print()
    client.wait(job)  # Raises if it failed.
    client.result(job).save(target)
    target.with_suffix(".srt").write_text(client.subtitles(job, "srt"))
    print(target, target.with_suffix(".srt"))
