"""`antiphon stats`: statistics of a running server's last day, and the number of workers that it needs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from antiphon.cli import jobs

#: Bar characters, lowest first.
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def main(server: str, as_json: bool) -> None:
    stats = jobs.call(server, "GET", "/v1/stats")
    if as_json:
        print(json.dumps(stats, ensure_ascii=False, indent=2))  # noqa: T201 - for another program, not for eyes
        return
    console = Console()
    console.print(times(stats))
    console.print()
    console.print(load(stats))
    console.print()
    console.print(Text(str(stats["advice"]["en"])))


def times(stats: dict[str, Any]) -> Table:
    """Waiting and processing times of the last day, by model."""
    figures = ("Count", "Mean", "p50", "p90", "p95", "p99", "Longest")
    table = Table("Last 24 hours", *figures, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for name, part in stats["models"].items():
        for key, what in (("wait", "waiting"), ("synthesis", "speaking"), ("segment", "one segment")):
            t = part[key]
            shown = [seconds(t[each]) for each in ("mean", "p50", "p90", "p95", "p99", "max")]
            table.add_row(f"{name}, {what}", str(t["count"]), *shown)
    return table


def load(stats: dict[str, Any]) -> Table:
    """Requests over time, load of the workers and share of the cache."""
    requests, cache = stats["requests"], stats["cache"]
    table = Table.grid(padding=(0, 2))
    table.add_row("Requests", f"{requests['day']}, {requests['failed']} failed, {requests['cancelled']} cancelled")
    peak = requests["peak_hour"]
    if peak:
        table.add_row("Busiest hour", f"{peak['requests']} requests from {clock(peak['at'])}")
    table.add_row("By hour", bars(requests["per_hour"]))
    table.add_row("By minute", bars(requests["per_minute"]))
    for name, part in stats["models"].items():
        busy = f"{share(part['utilisation'])} busy, {share(part['utilisation_peak'])} in the busiest hour"
        table.add_row(name, f"{part['state']}, {count(part['workers'], 'worker')}, {busy}")
    answered = f"{share(stats['cached_share'])} of all answers; {cache['entries']} entries, {size(cache['bytes'])}"
    table.add_row("From the cache", answered)
    return table


def bars(numbers: Sequence[int]) -> str:
    """A bar chart with one character per number, scaled to the greatest."""
    most = max(numbers, default=0)
    if not most:
        return "none"
    marks = ("".join(" " if not n else BARS[max(0, -(-n * len(BARS) // most) - 1)] for n in numbers))[-WIDTH:]
    return f"{marks.lstrip()} (most: {most})"


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))
