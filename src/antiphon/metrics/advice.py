"""Advice: how many workers the load of the last day needs, in words and with the numbers behind it. Pure.

The model counts segments, since the server schedules segments: a book is many short customers instead of a long one,
and another client's request waits for one of them only. So a wait is the time until a segment gets its slot.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.metrics import queueing
from antiphon.metrics.queueing import Wait
from antiphon.stats.hour import HourStats, merged

#: Segments, and seconds of a running server, that an hour needs to count.
ENOUGH, ENOUGH_SECONDS = 50, 600.0
#: Part of all waits that is to be under the target.
PART = 0.95


@dataclass(frozen=True, slots=True)
class Load:
    """A model's work in its busiest hour."""

    #: Seconds since the epoch.
    hour: float
    #: Segments that needed a slot, and per second.
    units: int
    rate: float
    #: Seconds of a slot that one took, and their variance, over the whole day.
    service: float
    variance: float


@dataclass(frozen=True, slots=True)
class Advice:
    """`waits`: with one worker less (if there are two or more), with the present number, and with one more."""

    model: str
    workers: int
    target: float
    load: Load | None
    needed: int | None = None
    waits: tuple[tuple[int, Wait], ...] = ()
    #: The measured wait that 95 % of all requests stayed under, in seconds.
    measured: float | None = None

    def to_json(self) -> dict[str, Any]:
        load = self.load
        return {
            "model": self.model,
            "enough_data": load is not None,
            "workers": self.workers,
            "workers_needed": self.needed,
            "peak_hour": load and load.hour,
            "peak_segments": load and load.units,
            "arrivals_per_second": load and load.rate,
            "service_seconds": load and load.service,
            "service_variance": load and load.variance,
            "measured_wait_p95": self.measured,
            "predictions": [_prediction(workers, wait) for workers, wait in self.waits],
        }


def _prediction(workers: int, wait: Wait) -> dict[str, Any]:
    mean, p95 = _finite(wait.mean), _finite(wait.percentile(PART))
    return {"workers": workers, "utilisation": wait.utilisation, "wait_mean": mean, "wait_p95": p95}


def busiest(hours: Sequence[tuple[float, HourStats]]) -> Load | None:
    """The hour with most segments for each second that the server ran; None if there is not enough to tell."""
    service = merged(hour for _, hour in hours).service
    known = [(at, hour) for at, hour in hours if hour.arrived >= ENOUGH and hour.seen >= ENOUGH_SECONDS]
    if not known or service.count < ENOUGH:
        return None
    at, hour = max(known, key=lambda each: each[1].arrived / each[1].seen)
    return Load(at, hour.arrived, hour.arrived / hour.seen, service.mean, service.variance)


def give(model: str, hours: Sequence[tuple[float, HourStats]], workers: int, slots: int, target: float) -> Advice:
    """`slots`: segments that one worker makes at a time. `target`: seconds."""
    load, measured = busiest(hours), merged(hour for _, hour in hours).waits.percentile(PART)
    if load is None:
        return Advice(model, workers, target, None, measured=measured)
    queue = (load.rate, load.service, load.variance)
    servers = queueing.needed(*queue, target, part=PART, step=slots)
    around = [n for n in (workers - 1, workers, workers + 1) if n > 0]
    waits = tuple((n, queueing.wait(*queue, n * slots)) for n in around)
    return Advice(model, workers, target, load, servers and servers // slots, waits, measured)


def words(advice: Advice) -> dict[str, str]:
    """The advice in English and in Chinese."""
    a, load = advice, advice.load
    if load is None:
        return {
            "en": f"{a.model}: not enough data yet. Advice needs an hour of the last day with at least {ENOUGH} "
            f"segments in {ENOUGH_SECONDS / 60:.0f} minutes or more.",
            "zh": f"{a.model}：数据还不够。需要过去一天中有一个小时运行满 {ENOUGH_SECONDS / 60:.0f} 分钟，"
            f"且至少有 {ENOUGH} 个片段。",
        }
    at = time.strftime("%H:%M", time.localtime(load.hour))
    en = [
        f"{a.model}: in the busiest hour of the last day (from {at}) {load.units} segments came, and each took a "
        f"worker {_number(load.service)} s on average.",
        _needed_en(a),
    ]
    zh = [
        f"{a.model}：过去一天最忙的一小时（{at} 起）来了 {load.units} 个片段，每个平均占用工作进程 "
        f"{_number(load.service)} 秒。",
        _needed_zh(a),
    ]
    for workers, wait in a.waits:
        p95, busy = wait.percentile(PART), f"{min(1.0, wait.utilisation):.0%}"
        if math.isinf(p95):
            en.append(f"With {_workers(workers)} the queue would grow without end.")
            zh.append(f"用 {workers} 个时，队列会无限增长。")
        else:
            at_most = ("no time", "为零") if p95 < 0.001 else (f"at most {_number(p95)} s", f"不超过 {_number(p95)} 秒")
            en.append(f"With {_workers(workers)} 95% wait {at_most[0]} ({busy} busy).")
            zh.append(f"用 {workers} 个时，95% 的等待{at_most[1]}（忙碌 {busy}）。")
    return {"en": " ".join(en), "zh": "".join(zh)}


def _needed_en(a: Advice) -> str:
    if a.needed is None:
        return f"No number of workers keeps 95% of the waits under {_number(a.target)} s."
    have = (
        "which is what there is" if a.needed == a.workers else f"there {'is' if a.workers == 1 else 'are'} {a.workers}"
    )
    return f"To keep 95% of the waits under {_number(a.target)} s it needs {_workers(a.needed)}; {have}."


def _needed_zh(a: Advice) -> str:
    if a.needed is None:
        return f"无论多少工作进程，都不能让 95% 的等待低于 {_number(a.target)} 秒。"
    have = "正好够" if a.needed == a.workers else f"现有 {a.workers} 个"
    return f"要让 95% 的等待低于 {_number(a.target)} 秒，需要 {a.needed} 个工作进程；{have}。"


def _workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"


def _number(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.3g}"


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
