"""`antiphon jobs`: lists, watches, cancels and retries the jobs of a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from antiphon.cli import server_probe
from antiphon.domain import errors

FINAL = frozenset({"succeeded", "failed", "cancelled"})


def listing(server: str, status: str | None, limit: int) -> None:
    params: dict[str, Any] = {"limit": limit} | ({"status": status} if status else {})
    found = call(server, "GET", "/v1/jobs", params=params)["data"]
    table = Table("Job", "Status", "Done", "Place", "ETA", "Created", "Result", box=None, pad_edge=False)
    for job in found:
        done = f"{job['units']['done']}/{job['units']['total']}"
        eta = "-" if job["eta"] is None else f"{job['eta']:.1f} s"
        created = time.strftime("%m-%d %H:%M:%S", time.localtime(job["created_at"]))
        table.add_row(job["id"], job["status"], done, str(job["position"] or "-"), eta, created, outcome(job))
    Console(markup=False).print(table if found else "no jobs")


def outcome(job: dict[str, Any]) -> str:
    if job["error"]:
        return str(job["error"]["message"])
    return str(job["result"]["path"] or "-") if job["result"] else "-"


def change(server: str, method: str, path: str) -> None:
    """Cancels or retries a job, and prints its state."""
    job = call(server, method, f"/v1/jobs/{path}")
    Console(markup=False).print(f"{job['id']}: {job['status']}")


def watch(server: str, job_id: str) -> None:
    """Shows a progress bar from the job's events. Raises `AntiphonError` if the job does not succeed."""
    job = call(server, "GET", f"/v1/jobs/{job_id}")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    with Progress(*columns) as bar:
        task = bar.add_task(job["status"], total=job["units"]["total"], completed=job["units"]["done"])
        for event in () if job["status"] in FINAL else events(server, job_id):
            units = event.get("units") or {"done": 0, "total": 1}
            bar.update(task, description=line(event), completed=units["done"], total=units["total"])
    job = call(server, "GET", f"/v1/jobs/{job_id}")
    if job["status"] != "succeeded":
        raise errors.AntiphonError(f"{job_id} is {job['status']}: {outcome(job)}")
    Console(markup=False).print(f"{job_id}: {outcome(job)}")


def line(event: dict[str, Any]) -> str:
    text = str(event.get("status", event["type"]))
    if event.get("position"):
        text += f", place {event['position']}"
    if event.get("eta"):
        text += f", {event['eta']:.0f} s left"
    return text


def events(server: str, job_id: str) -> Iterator[dict[str, Any]]:
    """Every event of a job; reconnects after the last one when the connection breaks."""
    last = ""
    while True:
        try:
            headers = server_probe.headers() | ({"Last-Event-ID": last} if last else {})
            timeout = httpx.Timeout(30, connect=5)
            with httpx.stream("GET", f"{server}/v1/jobs/{job_id}/events", headers=headers, timeout=timeout) as answer:
                for text in answer.iter_lines():
                    if text.startswith("id: "):
                        last = text[4:]
                    elif text.startswith("data: "):
                        event = json.loads(text[6:])
                        yield event
                        if event.get("status") in FINAL:
                            return
        except httpx.TransportError:
            # The server may be restarting; it continues the job afterwards.
            time.sleep(1)
            continue
        return


def call(server: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    try:
        headers = server_probe.headers()
        answer = server_probe.admitted(
            lambda: httpx.request(method, server + path, timeout=10, trust_env=False, headers=headers, **more)
        )
    except httpx.TransportError as e:
        raise errors.AntiphonError(f"no server answers at {server}; start it, or name it with --server") from e
    if answer.status_code >= 400:
        raise errors.AntiphonError(server_probe.reason(answer))
    return dict(answer.json())
