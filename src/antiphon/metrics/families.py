"""Families of metrics from what the service counts: one function for each room, read when somebody scrapes.

No label says who asked, what for, or with which key: `route` is a route's template, everything else is a name that the
server gave. Counting costs the hot path an addition each; the text is made here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from antiphon.app.antiphon import Antiphon
from antiphon.models.served import ServedModel
from antiphon.stats.distributions import Histogram
from antiphon.version import __version__
from antiphon.worker.pool import WorkerInfo

Labels = tuple[str, ...]
STATES = ("starting", "loading", "warming", "ready", "draining", "dead")


def every(antiphon: Antiphon) -> Iterator[Metric]:
    yield _gauge("info", "The version that runs; always 1.", ("version",), {(__version__,): 1})
    yield from _queue(antiphon)
    yield from _jobs(antiphon)
    yield from _cache(antiphon)
    yield from _storage(antiphon)
    yield from _workers(antiphon)
    yield from _requests(antiphon)
    yield from _server(antiphon)


def _queue(antiphon: Antiphon) -> Iterator[Metric]:
    served = antiphon.models.served.values()
    backlogs = [(h.name, h.dispatcher.queue.backlog_by_class()) for h in served]
    seconds: dict[Labels, float] = {(name, c): s for name, backlog in backlogs for c, s in backlog.items()}
    yield _gauge("queue_seconds", "Predicted seconds of work that wait for a slot.", ("model", "class"), seconds)
    yield _by_model(
        "queued_jobs", "Jobs with segments that wait for a slot.", served, lambda h: len(h.dispatcher.queue)
    )
    yield _by_model("running_jobs", "Jobs with a segment at a worker.", served, lambda h: h.dispatcher.running_jobs)
    yield _by_model("running_units", "Segments at a worker.", served, lambda h: h.dispatcher.running)
    yield _by_model("slots", "Segments that can be at a worker at a time.", served, lambda h: h.pool.slots)
    yield _by_model("drain_seconds", "Predicted seconds until all that waits is done.", served, _drain)
    yield GaugeMetricFamily("antiphon_live_jobs", "Jobs and requests that have not ended.", len(antiphon.jobs.active))


def _jobs(antiphon: Antiphon) -> Iterator[Metric]:
    counters, both = antiphon.observer.counters, ("model", "class")
    yield _counter("jobs", "Jobs and requests, by what became of them.", (*both, "outcome"), counters.jobs)
    yield _counter("units", "Segments, by where their audio came from.", ("model", "source"), counters.units)
    yield _counter("audio_seconds", "Seconds of audio that workers made.", ("model",), counters.audio)
    yield _histogram("wait_seconds", "From accepted to the first segment's start.", both, counters.waits)
    yield _histogram("synthesis_seconds", "From a request's start to its end.", ("model",), counters.synthesis)
    yield _histogram("unit_seconds", "A segment's time in its slot.", ("model",), counters.service)
    yield _histogram("real_time_factor", "Seconds computed for a second of audio.", ("model",), counters.rtf)
    yield _histogram(
        "first_audio_seconds", "From a speech request to its first byte of audio.", (), {(): counters.first_audio}
    )
    yield _histogram("eta_ratio", "What a job took, over what its owner was told at once.", (), {(): counters.eta})
    followed: dict[Labels, float] = {(): antiphon.jobs.lifecycle.shared.followed}
    yield _counter("single_flight_followers", "Segments that waited for another job's.", (), followed)


def _cache(antiphon: Antiphon) -> Iterator[Metric]:
    stats = antiphon.cache.stats()
    for name, text, value in (
        ("hits", "Questions that the cache answered.", stats.hits),
        ("misses", "Questions that it did not.", stats.misses),
        ("evictions", "Entries that were removed from disk to make room.", stats.evictions),
        ("corrupt", "Files that were found damaged.", stats.corrupt),
        ("dropped", "Entries that could not be written.", stats.dropped),
    ):
        yield CounterMetricFamily(f"antiphon_cache_{name}", text, value)
    tiers = ("tier",)
    yield _gauge("cache_bytes", "Bytes.", tiers, {("disk",): stats.bytes, ("memory",): stats.memory_bytes})
    yield _gauge("cache_entries", "Entries.", tiers, {("disk",): stats.entries, ("memory",): stats.memory_entries})


def _storage(antiphon: Antiphon) -> Iterator[Metric]:
    """Of the storage that servers share; without one, families that have no sample."""
    bucket, remote = antiphon.files.bucket, antiphon.cache.remote
    requests: dict[Labels, float] = dict(bucket.counts.items()) if bucket is not None else {}
    yield _counter("storage_requests", "Requests to the shared storage.", ("operation", "outcome"), requests)
    up: dict[Labels, float] = {(): float(bucket.last_error is None)} if bucket is not None else {}
    yield _gauge("storage_up", "Whether the shared storage's last answer was good.", (), up)
    shared: dict[Labels, float] = {}
    if remote is not None:
        shared = {("found",): remote.found, ("sent",): remote.sent, ("dropped",): remote.dropped}
    yield _counter("cache_shared", "Segments found in, sent to and kept from the shared storage.", ("what",), shared)


def _workers(antiphon: Antiphon) -> Iterator[Metric]:
    found = [(h.name, place(h.name, w), w) for h in antiphon.models.served.values() for w in h.pool.workers()]
    states: Counter[Labels] = Counter({(h.name, state): 0 for h in antiphon.models.served.values() for state in STATES})
    states.update((model, worker.state) for model, _, worker in found)
    yield _gauge("workers", "Worker processes, by state.", ("model", "state"), states)
    both = ("model", "worker")
    # While a place changes hands it has two processes: their memory adds up, and what the place has seen is one.
    rss, vram = Counter[Labels](), Counter[Labels]()
    restarts, recycled = dict[Labels, float](), dict[Labels, float]()
    for model, name, worker in found:
        rss[model, name] += worker.rss
        vram[model, name] += worker.vram
        restarts[model, name], recycled[model, name] = worker.restarts, worker.recycled
    yield _gauge("worker_resident_memory_bytes", "Main memory of a worker.", both, rss)
    yield _gauge("worker_video_memory_bytes", "GPU memory of a worker.", both, vram)
    yield _counter("worker_restarts", "Workers that were started anew after a failure.", both, restarts)
    yield _counter("worker_recycles", "Workers that were replaced for wear.", both, recycled)
    memory: dict[Labels, float] = {
        (str(gpu.index), gpu.name, kind): size
        for gpu in antiphon.models.gpus
        for kind, size in (("used", gpu.used), ("total", gpu.total))
    }
    yield _gauge("gpu_memory_bytes", "Memory of a GPU, whoever uses it.", ("gpu", "name", "kind"), memory)


def place(model: str, worker: WorkerInfo) -> str:
    """`tone-1` for `tone-1.7`: the names of processes would be ever more labels."""
    return f"{model}-{worker.name.removeprefix(model + '-').partition('.')[0]}"


def _requests(antiphon: Antiphon) -> Iterator[Metric]:
    counters = antiphon.observer.counters
    yield _counter("http_requests", "Answered requests.", ("method", "route", "status"), counters.http)
    yield _histogram(
        "http_request_seconds", "From a request to the end of its answer.", ("route",), counters.http_seconds
    )
    yield _counter(
        "refusals", "Requests that were refused to keep the server well, by why.", ("reason",), counters.refusals
    )
    yield _gauge("open_connections", "Answers on their way now.", ("protocol",), counters.open)
    yield GaugeMetricFamily("antiphon_event_streams", "Open streams of events.", antiphon.bus.subscribers)


def _server(antiphon: Antiphon) -> Iterator[Metric]:
    counters = antiphon.observer.counters
    yield _histogram("event_loop_lag_seconds", "By which the event loop was late.", (), {(): counters.lag})
    yield GaugeMetricFamily("antiphon_event_loop_tasks", "Tasks of the event loop that have not ended.", _tasks())
    yield _histogram("store_commit_seconds", "Until an accepted job was on disk.", (), {(): counters.commit})
    seconds, nbytes, _ = antiphon.admission.work.queued()
    yield GaugeMetricFamily("antiphon_admitted_seconds", "Predicted seconds that count against the bounds.", seconds)
    yield GaugeMetricFamily("antiphon_admitted_bytes", "Bytes of text that count against the bounds.", nbytes)
    yield GaugeMetricFamily(
        "antiphon_ready", "Whether some model can speak.", float(antiphon.models.selector.best() is not None)
    )


# Forms


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked for outside the event loop
        return 0


def _drain(served: ServedModel) -> float:
    return served.dispatcher.drain_seconds()


def _by_model(name: str, text: str, served: Iterable[ServedModel], value: Callable[[ServedModel], float]) -> Metric:
    return _gauge(name, text, ("model",), {(h.name,): value(h) for h in served})


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"antiphon_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(f"antiphon_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"antiphon_{name}", text, labels=labels)
    for key, histogram in values.items():
        bounds = [*map(str, map(float, histogram.bounds)), "+Inf"]
        family.add_metric(key, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family
