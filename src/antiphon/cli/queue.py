"""`antiphon queue`: shows, pauses and resumes the queue of a running server."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from antiphon.cli import jobs


def show(server: str) -> None:
    _print(jobs.call(server, "GET", "/v1/queue"))


def change(server: str, verb: str, job: str | None, client: str | None) -> None:
    """Pauses or resumes a job, a client or everything, and shows the queue afterwards."""
    body = {name: value for name, value in (("job", job), ("client", client)) if value is not None}
    _print(jobs.call(server, "POST", f"/v1/queue/{verb}", json=body))


def _print(queue: dict[str, Any]) -> None:
    say = Console(markup=False, highlight=False).print
    if queue["paused"]:
        say(f"everything is paused since {_when(queue['paused_since'])}; go on with: antiphon queue resume")
    for paused in queue["paused_clients"]:
        client = paused["client"]
        say(f"{client} is paused since {_when(paused['since'])}; go on with: antiphon queue resume --client {client}")
    table = Table("Job", "Client", "Class", "Status", "Done", "ETA", box=None, pad_edge=False)
    for job in queue["data"]:
        status = f"{job['status']}, paused" if job["paused"] else job["status"]
        eta = "-" if job["eta"] is None else f"{job['eta']:.1f} s"
        done = f"{job['units']['done']}/{job['units']['total']}"
        table.add_row(job["id"], job["owner"], job["priority"], status, done, eta)
    say(table if queue["data"] else "no jobs in the queue")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
