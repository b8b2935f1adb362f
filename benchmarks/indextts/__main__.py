"""`python -m benchmarks.indextts`: what batching gains for IndexTTS, as a table or as one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import date
from typing import Any

from benchmarks.indextts.models import SIZES

STAGES = ("codes", "flow", "vocoder", "operations", "clients", "soak")


def main() -> None:
    asked = arguments()
    import torch

    from antiphon.engines.indextts import torchaudio_stub

    torchaudio_stub.install()
    torch.set_num_threads(asked.threads)
    with torch.inference_mode():
        found = measure(asked)
    if asked.json:
        print(json.dumps(found))
    else:
        table(found)


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(prog="make bench-indextts", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--size", choices=SIZES, default="mid", help="real has the published dimensions (7 GB)")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--slots", default="1,8,16", help="rows at once, for each stage")
    parser.add_argument("--clients", default="1,4,16", help="segments at once, for the whole way")
    parser.add_argument("--segments", type=int, default=16, help="segments of the whole way")
    parser.add_argument("--processes", default="1,2", help="processes of the package, for the whole way")
    parser.add_argument("--units", type=int, default=600, help="segments of the soak")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    parser.add_argument("--rival", metavar="URL", help="another server of OpenAI's speech, asked for the same texts")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, with the machine it was measured on."""
    from benchmarks.indextts import models, stages, whole

    wanted = (
        STAGES if asked.stage == "all" else (asked.stage, "operations") if asked.stage == "codes" else (asked.stage,)
    )
    slots = [int(count) for count in asked.slots.split(",")]
    found: dict[str, Any] = {"size": asked.size, "date": str(date.today()), "device": device_name(asked.device)}
    if set(wanted) - {"clients", "soak"}:
        note("building the modules")
        made = models.build(asked.size, asked.device)
        found["parameters_million"] = {name: round(count, 1) for name, count in made.parameters.items()}
        if "codes" in wanted:
            note("codes")
            found["codes_per_second"] = stages.codes(made, slots, asked.rounds)
        if "flow" in wanted:
            note("flow")
            found["euler_step_seconds_a_row"] = stages.flows(made, slots, asked.rounds)
        if "vocoder" in wanted:
            note("vocoder")
            found["vocoder_seconds_a_frame"] = stages.vocoders(made, slots, asked.rounds)
        if "operations" in wanted:
            note("operations")
            found["operations"] = stages.operations(made)
        del made
    if "clients" in wanted:
        note("the whole way")
        clients, processes = ([int(each) for each in many.split(",")] for many in (asked.clients, asked.processes))
        found["whole"] = whole.measure(asked.size, asked.device, clients, asked.segments, processes)
    if "soak" in wanted:
        note("the soak")
        found["soak"] = whole.soak(asked.size, asked.device, asked.units)
    if asked.rival:
        note(f"asking {asked.rival}")
        found["rival"] = whole.rival(asked.rival, [int(count) for count in asked.clients.split(",")], asked.segments)
    return found


def device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads, versions = torch.get_num_threads(), f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"CPU, {threads} of {os.cpu_count()} cores, {versions}"


def table(found: dict[str, Any]) -> None:
    print(f"{found['date']}, {found['device']}, size {found['size']}, random weights, float32\n")
    print("| what | value |\n|---|---|")
    for what, value in flat(found):
        if what not in ("date", "device", "size"):
            print(f"| {what} | {value} |")


def flat(found: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in found.items():
        what = f"{before} {name}".strip().replace("_", " ")
        rows += flat(value, what) if isinstance(value, dict) else [(what, value)]
    return rows


def note(what: str) -> None:
    print(f"measuring: {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
