"""Workers on a Ray cluster: everything that is promised of workers here, and what only a cluster can do to them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from antiphon.audio import wav
from antiphon.domain import errors
from antiphon.domain.unit import Recipe, SpeechParams, Unit, UnitResult
from antiphon.engines.tone import pitch_of
from antiphon.references.library import Library
from antiphon.worker import frames
from antiphon.worker.limits import Recycling
from antiphon.worker.pool import Pool
from antiphon.worker.ray import messages
from antiphon.worker.ray.client import NodeShare, RayClient
from tests.cluster.rays import Rays
from tests.faults import test_worker as local

# The contract: the same tests, the same engines, other machines.
from tests.faults.test_worker import (  # noqa: F401
    test_a_death_is_noticed_at_once_and_the_worker_replaced,
    test_a_killed_worker_is_reaped,
    test_a_model_that_cannot_start_is_unavailable_and_says_why,
    test_a_neighbour_in_another_slot_is_not_blamed,
    test_a_unit_gives_its_audio,
    test_a_unit_that_never_ends_is_ended,
    test_a_worker_without_a_pulse_is_killed,
    test_an_exception_fails_the_unit_and_nothing_else,
    test_cancel_by_flag_keeps_the_worker,
    test_cancel_by_force_is_no_crash,
    test_one_bad_start_is_forgiven,
    test_recycling_starts_the_spare_first_and_loses_no_slot,
    test_what_libraries_print_does_not_reach_the_pipe,
)

TONE = "antiphon.engines.tone:Tone"


@asynccontextmanager
async def linked(address: str | None, folder: Path, **share: Any) -> AsyncIterator[tuple[RayClient, dict[str, Any]]]:
    client = RayClient(address, folder / "server")
    try:
        start = client.opener("m", NodeShare(folder=folder / "node", **share))
        yield client, {"channel_of": lambda number: start}
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def elsewhere(nodes: Rays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def there() -> AsyncIterator[dict[str, Any]]:
        async with linked(nodes.address, tmp_path) as (_, place):
            yield place

    monkeypatch.setattr(local, "where", there)


@asynccontextmanager
async def tones(place: dict[str, Any], replicas: int, **options: Any) -> AsyncIterator[tuple[Pool, local.Changes]]:
    changes = local.Changes()
    made = Pool(
        "tone", frames.Load(TONE, options), replicas, recycling=Recycling(spare_first=False), on_change=changes, **place
    )
    await made.start()
    try:
        yield made, changes
    finally:
        await made.stop(0.5)


def spoken(text: str, voice: str = "tone", index: int = 0) -> Unit:
    return Unit("j", index, Recipe("speech", "m", "1", SpeechParams(text, voice, "en").as_params()), len(text))


async def say(made: Pool, changes: local.Changes, text: str, index: int = 0) -> UnitResult:
    await changes.until(lambda: made.free > 0, "a slot is free")
    assert made.reserve()
    return await made.run(spoken(text, index=index))


def actors() -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if (each.info["cmdline"] or [""])[0].startswith("ray::WorkerActor")
    ]


async def test_a_unit_on_a_lost_node_is_told_and_its_worker_starts_on_another(nodes: Rays, tmp_path: Path) -> None:
    async with linked(nodes.address, tmp_path) as (_, place), tones(place, 1, delay=60.0) as (made, changes):
        await changes.until(lambda: made.slots == 1, "it is ready")
        first = made.workers()[0].pid
        assert first is not None
        running = asyncio.ensure_future(say(made, changes, "a text"))
        await changes.until(lambda: made.workers()[0].busy, "it runs")
        lineage = {parent.pid for parent in psutil.Process(first).parents()}
        await asyncio.to_thread(nodes.kill, nodes.raylets().index(next(p for p in nodes.raylets() if p in lineage)))
        with pytest.raises(errors.WorkerDied):
            await running
        await changes.until(lambda: made.slots == 1 and made.workers()[0].pid not in (None, first), "another has it")
        assert not psutil.pid_exists(first)


async def test_a_worker_without_a_place_says_what_it_waits_for(nodes: Rays, tmp_path: Path) -> None:
    async with linked(nodes.address, tmp_path, gpus=1.0) as (_, place), tones(place, 1) as (made, changes):
        await changes.until(lambda: made.phase == "waiting for a node with 1 CPU and 1 GPU free", "it says so")
        assert made.state == "loading"
        nodes.add(1, num_gpus=1)
        await changes.until(lambda: made.slots == 1, "it starts once there is one")
    nodes.kill(-1)


async def test_no_cluster_is_said(tmp_path: Path) -> None:
    async with linked("127.0.0.1:1", tmp_path) as (_, place), tones(place, 1) as (made, changes):
        await changes.until(lambda: made.error, "it gives up")
        assert "no Ray cluster at 127.0.0.1:1" in (made.error or "")


async def test_a_dead_bridge_is_built_again_and_leaves_no_actor(nodes: Rays, tmp_path: Path) -> None:
    async with linked(nodes.address, tmp_path) as (_, place):
        async with tones(place, 2, delay=0.0) as (made, changes):
            await changes.until(lambda: made.slots == 2, "both are ready")
            before = {worker.pid for worker in made.workers()}
            bridge = next(c for c in psutil.Process().children() if "antiphon.worker.ray.bridge" in c.cmdline())
            bridge.send_signal(signal.SIGKILL)
            await changes.until(
                lambda: made.slots == 2 and not before & {worker.pid for worker in made.workers()}, "both are new"
            )
            await say(made, changes, "a text")
            await changes.until(lambda: len(actors()) == 2, "the old actors are gone")
        await local.Changes().until(lambda: not actors(), "a pool that stopped holds no part of a node")


async def test_a_recording_is_brought_to_the_node_once(nodes: Rays, tmp_path: Path) -> None:
    rate, samples = 16000, [round(12000 * ((n // 20) % 2 - 0.5)) for n in range(16000)]
    pcm = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    recording = wav.header(rate, len(pcm)) + pcm
    digest = Library(tmp_path / "server" / "voices").put(recording)

    folder = tmp_path / "node" / "voices"
    async with linked(nodes.address, tmp_path) as (_, place), tones(place, 1, voices=str(folder)) as (made, changes):
        await changes.until(lambda: made.slots == 1, "it is ready")
        for text in ("one text", "another text"):
            assert made.reserve()
            result = await made.run(spoken(text, f"ref:{digest}"))
            assert abs(pitch_of(list(memoryview(result.payload).cast("h")), result.meta["sample_rate"]) - 400) < 8
        (kept,) = folder.iterdir()
        assert kept.read_bytes() == recording
        assert kept.stat().st_mode & 0o777 in (0o600, 0o644)
        assert made.reserve()
        with pytest.raises(errors.UnitFailed, match="not kept here any more"):
            await made.run(spoken("a text", f"ref:{'0' * 64}"))
        await say(made, changes, "and it goes on")


async def test_another_version_on_the_node_is_refused(
    nodes: Rays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.worker.ray.client.version", lambda name: "0.0.1")
    async with linked(nodes.address, tmp_path) as (_, place), tones(place, 1) as (made, changes):
        await changes.until(lambda: made.error, "it is refused")
        assert "the server 0.0.1; install the same version everywhere" in (made.error or "")


async def test_a_pool_grows_and_shrinks_without_losing_work(nodes: Rays, tmp_path: Path) -> None:
    async with linked(nodes.address, tmp_path) as (_, place), tones(place, 1, delay=0.5) as (made, changes):
        await changes.until(lambda: made.slots == 1, "it is ready")
        await made.resize(3, 10)
        await changes.until(lambda: made.slots == 3, "two more are ready")
        work = [asyncio.ensure_future(say(made, changes, f"text {n}", n)) for n in range(3)]
        await changes.until(lambda: made.free == 0, "all work")
        await made.resize(1, 10)
        assert made.replicas == 1
        assert len([result.worker for result in await asyncio.gather(*work)]) == 3


async def test_writes_that_overtake_each_other_are_put_in_order(tmp_path: Path) -> None:
    from antiphon.worker.ray.actor import WorkerActor

    class Channel:
        def __init__(self) -> None:
            self.got: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.got.append(data)

    actor, channel = WorkerActor(), Channel()
    actor._channel = channel  # type: ignore[assignment]
    for number in (2, 0, 3, 1):
        await actor.write(number, bytes([number]))
    assert channel.got == [b"\0", b"\1", b"\2", b"\3"]


async def test_what_is_no_recording_becomes_no_path(tmp_path: Path) -> None:
    from antiphon.worker.ray.actor import WorkerActor

    for folder, name in (("voices", "../x.wav"), ("..", "0" * 64 + ".wav"), ("voices", "0" * 64 + ".wav/../x")):
        with pytest.raises(ValueError, match="not a file"):
            await WorkerActor().put(folder, name, b"")


def test_messages_are_the_same_in_any_pieces() -> None:
    sent = [
        (3, messages.MessageKind.DATA, b"x" * 1000),
        (0, messages.MessageKind.CONNECT, b""),
        (7, messages.MessageKind.ENDED, b"why"),
    ]
    stream = b"".join(messages.encode(*each) for each in sent)
    for size in (1, 7, 9, 10, 1009, 4096):
        decoder = messages.MessageDecoder()
        got = [m for at in range(0, len(stream), size) for m in decoder.feed(stream[at : at + size])]
        assert got == sent


def test_ray_is_in_the_bridge_alone() -> None:
    """The server never imports it: not even when it uses it."""
    rooms = "antiphon.app.antiphon, antiphon.cli.serve, antiphon.worker.ray.client, antiphon.worker.ray.actor"
    look = (
        f"import sys, {rooms}; print({{name.split('.')[0] for name in sys.modules}} & {{'ray', 'psycopg', 'obstore'}})"
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
