"""Measures the promises and prints the table of docs/reliability.md; exits 1 if one was not kept."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from datetime import date

from benchmarks.reliability import (
    connections,
    drain,
    flood,
    fuzz,
    kills,
    migrations,
    readers,
    share,
    soak,
    texts,
    workers,
)
from benchmarks.reliability.server import Row

ROWS: dict[str, Callable[[int, float], list[Row]]] = {
    "kills": kills.kills,
    "faults": workers.faults,
    "poison": workers.poison,
    "readers": readers.readers,
    "connections": connections.connections,
    "flood": flood.flood,
    "drain": drain.drain,
    "fuzz": fuzz.fuzz,
    "once": kills.once,
    "share": share.share,
    "depth": share.depth,
    "soak": soak.soak,
    "migrations": migrations.migrations,
    "texts": texts.texts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The promises at full size; minutes each, the flood ten.")
    parser.add_argument("row", nargs="*", default=list(ROWS), help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the full size")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.row:
        if name not in ROWS:
            parser.error(f"there is no row {name!r}; there are: {', '.join(ROWS)}")
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        found = ROWS[name](options.seed, options.scale)
        for row in found:
            print(f"  {row.what}: {row.figure} {'' if row.holds else '(NOT KEPT)'}", file=sys.stderr, flush=True)
        rows += found
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{date.today()}, {machine}, seed {options.seed}, scale {options.scale:g}\n")
    print("| | what | seen | kept |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.promise} | {row.what} | {row.figure} | {'yes' if row.holds else 'no'} |")
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
