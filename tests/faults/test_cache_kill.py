"""kill -9 in the middle of writing: whatever bears a final name is whole, and the parts are swept at the next start."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

from antiphon.cache import Cache, Entry
from antiphon.cache import entry as entries

CHILD = """
import asyncio, hashlib, os, sys
from pathlib import Path
from antiphon.cache import Cache

async def main(root, life):
    cache = Cache(Path(root), 10**9)
    await cache.open()
    async def lane(number):
        for n in range(1_000_000):
            name = f"{life}-{number}-{n}"
            await cache.put(hashlib.sha256(name.encode()).hexdigest(), name.encode() * 40_000, {"name": name})
            os.write(1, b".")
    await asyncio.gather(*(lane(number) for number in range(4)))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""
SEED = 77


async def test_a_killed_writer_leaves_no_partial_file(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    seen = 0
    for life in range(5):
        _live(tmp_path, life, until=rng.randrange(1, 60), pause=rng.random() / 100)
        finals = [file for file in tmp_path.glob("*/*") if not file.name.startswith(".")]
        assert len(finals) > seen, f"seed {SEED}"
        seen = len(finals)
        for file in finals:
            entry = entries.unpack(file.name, file.read_bytes())
            assert entry.payload == str(entry.meta["name"]).encode() * 40_000
    # A part as a killed life leaves it, in case none was hit.
    (finals[0].with_name(f".{finals[0].name}.00ff_1.part")).write_bytes(b"half")
    cache = Cache(tmp_path, 10**9)
    await cache.open()
    assert list(tmp_path.glob("*/.*")) == []
    assert cache.stats().entries == seen
    assert isinstance(await cache.get(finals[0].name), Entry)
    await cache.close()


def _live(root: Path, life: int, until: int, pause: float) -> None:
    """One life of the child, ended some milliseconds after so many puts."""
    command = [sys.executable, "-c", CHILD, str(root), str(life)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert child.stdout is not None
    try:
        said = 0
        while said < until:
            ready, _, _ = select.select([child.stdout], [], [], 30)
            piece = os.read(child.stdout.fileno(), 65536) if ready else b""
            assert piece, "the child fell silent"
            said += len(piece)
        # The moment inside a put is what is random here; nothing is waited for.
        select.select([], [], [], pause)
    finally:
        child.send_signal(signal.SIGKILL)
        child.stdout.close()
        child.wait()
