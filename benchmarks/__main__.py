"""`python -m benchmarks [ROW…]`: measures and prints the table."""

from __future__ import annotations

import os
import platform
import sys
from datetime import date

from benchmarks import rows as own
from benchmarks.kokoro import served
from benchmarks.rows import Row

ROWS = own.ROWS | {"first-audio": served.first_audio, "kokoro": served.kokoro}
#: Rows that need more than is installed; they are measured when they are named.
MORE = {"kokoro-servers": served.kokoro_servers}


def main() -> None:
    names = sys.argv[1:] or list(ROWS)
    known = ROWS | MORE
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"there is no row {unknown[0]!r}; there are: {', '.join(known)}")
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += known[name]()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{date.today()}, {machine}, load generator on the same cores\n")
    print("| what | Antiphon | baseline | ratio | goal |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.ours} | {row.baseline} | {row.ratio} | {row.goal} |")


if __name__ == "__main__":
    main()
