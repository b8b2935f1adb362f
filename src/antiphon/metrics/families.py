"""Families of metrics: one function for each part of the server, called when Prometheus scrapes.

No label names a client, a text or a key: `route` is a route's template, and all others are names that the server gave.
The hot path only adds to counters; the families are made here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from antiphon.bus import Bus
from antiphon.cache import Cache
from antiphon.files.bucket import Bucket
from antiphon.jobs.service import JobService
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.stats.counters import Counters
from antiphon.stats.distributions import Histogram
from antiphon.stats.observer import Observer
from antiphon.version import __version__
from antiphon.worker.pool import WorkerInfo

Labels = tuple[str, ...]
STATES = ("starting", "loading", "warming", "ready", "draining", "dead")


@dataclass(frozen=True, slots=True)
class Sources:
    """What the metrics are read from."""

    models: ModelRegistry
    jobs: JobService
    observer: Observer
    cache: Cache
    bucket: Bucket | None
    bus: Bus


def every(sources: Sources) -> Iterator[Metric]:
    counters = sources.observer.counters
    yield _gauge("info", "The version that runs; always 1.", ("version",), {(__version__,): 1})
    yield from _queue(sources.models, sources.jobs)
    yield from _jobs(counters, sources.jobs)
    yield from _cache(sources.cache)
    yield from _storage(sources.bucket, sources.cache)
    yield from _workers(sources.models)
    yield from _requests(counters, sources.bus)
    yield from _server(counters, sources.models, sources.jobs)


def _queue(models: ModelRegistry, jobs: JobService) -> Iterator[Metric]:
    served = models.served.values()
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
    yield GaugeMetricFamily("antiphon_live_jobs", "Jobs and requests that have not ended.", len(jobs.active))


def _jobs(counters: Counters, jobs: JobService) -> Iterator[Metric]:
    both = ("model", "class")
    yield _counter("jobs", "Jobs and requests, by outcome.", (*both, "outcome"), counters.jobs)
    yield _counter("units", "Segments, by the source of their audio.", ("model", "source"), counters.units)
    yield _counter("audio_seconds", "Seconds of audio that workers made.", ("model",), counters.audio)
    yield _histogram("wait_seconds", "From accepted to the first segment's start.", both, counters.waits)
    yield _histogram("synthesis_seconds", "From a request's start to its end.", ("model",), counters.synthesis)
    yield _histogram("unit_seconds", "A segment's time in its slot.", ("model",), counters.service)
    yield _histogram("real_time_factor", "Seconds computed for a second of audio.", ("model",), counters.rtf)
    yield _histogram(
        "first_audio_seconds", "From a speech request to its first byte of audio.", (), {(): counters.first_audio}
    )
    yield _histogram(
        "eta_ratio", "A job's time, divided by the prediction when it was accepted.", (), {(): counters.eta}
    )
    followed: dict[Labels, float] = {(): jobs.lifecycle.shared.followed}
    yield _counter("single_flight_followers", "Segments that waited for another job's.", (), followed)


def _cache(cache: Cache) -> Iterator[Metric]:
    stats = cache.stats()
    for name, text, value in (
        ("hits", "Lookups that found an entry.", stats.hits),
        ("misses", "Lookups that found none.", stats.misses),
        ("evictions", "Entries that were removed from disk to make room.", stats.evictions),
        ("corrupt", "Files that were found damaged.", stats.corrupt),
        ("dropped", "Entries that could not be written.", stats.dropped),
    ):
        yield CounterMetricFamily(f"antiphon_cache_{name}", text, value)
    tiers = ("tier",)
    yield _gauge("cache_bytes", "Bytes.", tiers, {("disk",): stats.bytes, ("memory",): stats.memory_bytes})
    yield _gauge("cache_entries", "Entries.", tiers, {("disk",): stats.entries, ("memory",): stats.memory_entries})


def _storage(bucket: Bucket | None, cache: Cache) -> Iterator[Metric]:
    """The storage that servers share; without one, families that have no sample."""
    remote = cache.remote
    requests: dict[Labels, float] = dict(bucket.counts.items()) if bucket is not None else {}
    yield _counter("storage_requests", "Requests to the shared storage.", ("operation", "outcome"), requests)
    up: dict[Labels, float] = {(): float(bucket.last_error is None)} if bucket is not None else {}
    yield _gauge("storage_up", "Whether the shared storage's last answer was good.", (), up)
    shared: dict[Labels, float] = {}
    if remote is not None:
        shared = {("found",): remote.found, ("sent",): remote.sent, ("dropped",): remote.dropped}
    yield _counter(
        "cache_shared", "Segments found in, sent to and withheld from the shared storage.", ("what",), shared
    )


def _workers(models: ModelRegistry) -> Iterator[Metric]:
    found = [(h.name, place(h.name, w), w) for h in models.served.values() for w in h.pool.workers()]
    states: Counter[Labels] = Counter({(h.name, state): 0 for h in models.served.values() for state in STATES})
    states.update((model, worker.state) for model, _, worker in found)
    yield _gauge("workers", "Worker processes, by state.", ("model", "state"), states)
    both = ("model", "worker")
    # While a worker is replaced its place has two processes: their memory adds up, their counts are the place's.
    rss, vram = Counter[Labels](), Counter[Labels]()
    restarts, recycled = dict[Labels, float](), dict[Labels, float]()
    for model, name, worker in found:
        rss[model, name] += worker.rss
        vram[model, name] += worker.vram
        restarts[model, name], recycled[model, name] = worker.restarts, worker.recycled
    yield _gauge("worker_resident_memory_bytes", "Main memory of a worker.", both, rss)
    yield _gauge("worker_video_memory_bytes", "GPU memory of a worker.", both, vram)
    yield _counter("worker_restarts", "Workers that were restarted after a failure.", both, restarts)
    yield _counter("worker_recycles", "Workers that were replaced for wear.", both, recycled)
    memory: dict[Labels, float] = {
        (str(gpu.index), gpu.name, kind): size
        for gpu in models.gpus
        for kind, size in (("used", gpu.used), ("total", gpu.total))
    }
    yield _gauge("gpu_memory_bytes", "Memory of a GPU, of all programs.", ("gpu", "name", "kind"), memory)


def place(model: str, worker: WorkerInfo) -> str:
    """`tone-1` for `tone-1.7`: each process would add a label."""
    return f"{model}-{worker.name.removeprefix(model + '-').partition('.')[0]}"


def _requests(counters: Counters, bus: Bus) -> Iterator[Metric]:
    yield _counter("http_requests", "Answered requests.", ("method", "route", "status"), counters.http)
    yield _histogram(
        "http_request_seconds", "From a request to the end of its answer.", ("route",), counters.http_seconds
    )
    yield _counter(
        "refusals", "Requests that were refused to protect the server, by reason.", ("reason",), counters.refusals
    )
    yield _gauge("open_connections", "Answers that are being sent.", ("protocol",), counters.open)
    yield GaugeMetricFamily("antiphon_event_streams", "Open streams of events.", bus.subscribers)


def _server(counters: Counters, models: ModelRegistry, jobs: JobService) -> Iterator[Metric]:
    yield _histogram("event_loop_lag_seconds", "Seconds by which the event loop was late.", (), {(): counters.lag})
    yield GaugeMetricFamily("antiphon_event_loop_tasks", "Tasks of the event loop that have not ended.", _tasks())
    yield _histogram("store_commit_seconds", "Until an accepted job was on disk.", (), {(): counters.commit})
    seconds, nbytes, _ = jobs.lifecycle.admission.work.queued()
    yield GaugeMetricFamily("antiphon_admitted_seconds", "Predicted seconds that count against the bounds.", seconds)
    yield GaugeMetricFamily("antiphon_admitted_bytes", "Bytes of text that count against the bounds.", nbytes)
    yield GaugeMetricFamily(
        "antiphon_ready", "Whether some model can speak.", float(models.selector.best() is not None)
    )


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # called outside the event loop
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
