"""What every job store promises, asked of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Orders, Result, State, Units
from antiphon.store.base import IDEMPOTENCY_SECONDS, Idempotency, JobStore, Webhook
from antiphon.store.sqlite import SqliteStore
from tests.stores.memory import MemoryStore

RESULT = Result("speech_1.wav", "audio/wav", 4, 1.5, "d" * 64, ({"text": "你好", "start": 0.0, "end": 1.5},))
FAILURE = Failure("poison", "it brought its worker down")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[JobStore]:
    made: JobStore = MemoryStore(clock) if request.param == "memory" else SqliteStore(tmp_path / "a.db", clock)
    await made.open()
    yield made
    await made.close()


def job(id: str = "a", **changes: Any) -> Job:
    queued = Job(id, "speech", State.QUEUED, "me", "normal", {"text": "Hello ✨", "seed": 7}, 100.5, units=Units(3))
    return replace(queued, **changes)


async def added(store: JobStore, *ids: str, **changes: Any) -> None:
    for id in ids:
        await store.add(job(id, **changes))


async def running(store: JobStore, id: str = "a") -> int:
    await store.add(job(id))
    return await started(store, id)


async def started(store: JobStore, id: str) -> int:
    fence = await store.start(id)
    assert fence is not None
    return fence


async def one(store: JobStore, id: str = "a") -> Job:
    found = await store.get(id)
    assert found is not None
    return found


# Accept


async def test_what_is_added_comes_back_as_it_was(store: JobStore) -> None:
    wanted = job(priority="vip", type="transcription", owner="key:日本", units=Units(9, 2, 1))
    assert await store.add(wanted) == (wanted, True)
    assert await store.get("a") == wanted


async def test_a_job_of_a_kind_that_the_store_does_not_know_comes_back(store: JobStore) -> None:
    wanted = job(type="echo", request={"words": ["a", None, 1.5]})
    assert await store.add(wanted) == (wanted, True)
    assert [found async for found in store.rescue()] == [wanted]
    fence = await started(store, "a")
    assert await store.finish("a", fence, State.SUCCEEDED, RESULT)
    assert [(found.type, found.request) for found in await store.list()] == [("echo", wanted.request)]


async def test_an_id_is_taken_once(store: JobStore) -> None:
    await store.add(job())
    with pytest.raises(errors.Conflict):
        await store.add(job(request={"text": "other"}))
    assert (await one(store)).request["text"] == "Hello ✨"


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": State.RUNNING},
        {"finished_at": 1.0},
        {"result": RESULT},
        {"error": FAILURE},
        {"units": Units(1, 2)},
        {"units": Units(3, 1, 2)},
        {"units": Units(-1)},
    ],
)
async def test_a_new_job_is_queued_and_has_no_end(store: JobStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        await store.add(job(**wrong))
    assert await store.get("a") is None


async def test_a_request_that_json_cannot_say_is_refused_and_harms_nobody(store: JobStore) -> None:
    with pytest.raises((TypeError, ValueError)):
        await store.add(job(request={"text": object()}))
    with pytest.raises(ValueError):
        await store.add(job(request={"text": "lone \ud800 surrogate"}))
    await store.add(job())
    assert await store.get("a") == job()


async def test_the_same_key_and_body_make_one_job(store: JobStore) -> None:
    key = Idempotency("me", "k1", "body")
    answers = await asyncio.gather(*(store.add(job(f"j{i:03}"), idempotency=key) for i in range(100)))
    assert {made.id for made, _ in answers} == {answers[0][0].id}
    assert [new for _, new in answers].count(True) == 1
    assert sum((await store.counts()).values()) == 1


async def test_a_repeated_key_answers_with_the_job_as_it_is_now(store: JobStore) -> None:
    key = Idempotency("me", "k1", "body")
    await store.add(job(), idempotency=key)
    await store.cancel("a")
    again, new = await store.add(job("b"), idempotency=key)
    assert (again.id, again.state, new) == ("a", State.CANCELLED, False)


async def test_a_key_with_another_body_is_refused(store: JobStore) -> None:
    await store.add(job(), idempotency=Idempotency("me", "k1", "body"))
    with pytest.raises(errors.IdempotencyMismatch):
        await store.add(job("b"), idempotency=Idempotency("me", "k1", "other"))
    assert await store.get("b") is None
    assert (await store.add(job("c"), idempotency=Idempotency("you", "k1", "other")))[1]


async def test_a_key_of_a_refused_job_is_not_kept(store: JobStore) -> None:
    await store.add(job())
    with pytest.raises(errors.Conflict):
        await store.add(job(), idempotency=Idempotency("me", "k1", "body"))
    assert (await store.add(job("b"), idempotency=Idempotency("me", "k1", "other")))[1]


async def test_a_key_lasts_a_day(store: JobStore, clock: Clock) -> None:
    key = Idempotency("me", "k1", "body")
    await store.add(job(), idempotency=key)
    clock.now += IDEMPOTENCY_SECONDS - 1
    await store.prune(0.0)
    assert not (await store.add(job("b"), idempotency=key))[1]
    clock.now += 1
    assert (await store.add(job("c"), idempotency=replace(key, body_digest="other")))[1]


async def test_a_job_that_ended_elsewhere_is_recorded(store: JobStore) -> None:
    ended = job(
        state=State.SUCCEEDED, started_at=101.0, finished_at=102.0, result=RESULT, units=Units(3, 3, 1), attempt=1
    )
    await store.record(ended)
    assert await store.get("a") == ended
    with pytest.raises(errors.Conflict):
        await store.record(ended)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("text", ["", "Hello", "with\0NUL"])
async def test_whether_a_request_was_kept_is_said_by_the_job_and_not_by_its_text(
    store: JobStore, clock: Clock, kept: bool, text: str
) -> None:
    ended = job(
        request={"text": text}, kept=kept, state=State.CANCELLED, started_at=101.0, finished_at=clock.now, attempt=1
    )
    await store.record(ended)
    assert await store.get("a") == ended
    assert await store.list() == [ended]
    assert [found.id for found in await store.unannounced_endings(0.0, clock.now + 1)] == (["a"] if kept else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": State.QUEUED},
        {"state": State.CANCELLED, "finished_at": None},
        {"state": State.SUCCEEDED},
        {"state": State.FAILED},
        {"state": State.FAILED, "error": FAILURE, "result": RESULT},
        {"state": State.CANCELLED, "error": FAILURE},
    ],
)
async def test_only_what_ended_is_recorded(store: JobStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        await store.record(job(**{"finished_at": 102.0, **wrong}))


# Run


async def test_a_job_starts_once(store: JobStore, clock: Clock) -> None:
    await store.add(job())
    fences = await asyncio.gather(*(store.start("a") for _ in range(10)))
    assert sorted(f for f in fences if f is not None) == [1]
    assert await one(store) == job(state=State.RUNNING, attempt=1, started_at=clock.now)
    assert await store.start("unknown") is None


async def test_progress_is_kept_for_the_run_that_holds_the_fence(store: JobStore) -> None:
    fence = await running(store)
    assert await store.progress("a", fence, Units(3, 2, 1))
    assert not await store.progress("a", fence + 1, Units(3, 3, 3))
    assert not await store.progress("b", fence, Units(3, 3, 3))
    assert (await one(store)).units == Units(3, 2, 1)
    with pytest.raises(ValueError):
        await store.progress("a", fence, Units(3, 4))


async def test_a_job_succeeds(store: JobStore, clock: Clock) -> None:
    fence = await running(store)
    clock.now += 5
    assert await store.finish("a", fence, State.SUCCEEDED, RESULT, units=Units(3, 3))
    assert await one(store) == job(
        state=State.SUCCEEDED,
        attempt=1,
        started_at=clock.now - 5,
        finished_at=clock.now,
        result=RESULT,
        units=Units(3, 3),
    )


async def test_a_job_fails_and_keeps_its_units(store: JobStore) -> None:
    fence = await running(store)
    await store.progress("a", fence, Units(3, 2))
    assert await store.finish("a", fence, State.FAILED, error=FAILURE)
    failed = await one(store)
    assert (failed.state, failed.error, failed.units) == (State.FAILED, FAILURE, Units(3, 2))


async def test_a_job_ends_once(store: JobStore) -> None:
    fence = await running(store)
    ends = await asyncio.gather(*(store.finish("a", fence, State.SUCCEEDED, RESULT) for _ in range(10)))
    assert ends.count(True) == 1
    assert not await store.finish("a", fence, State.FAILED, error=FAILURE)
    assert (await one(store)).result == RESULT


@pytest.mark.parametrize(
    ("state", "result", "error"),
    [
        (State.RUNNING, None, None),
        (State.SUCCEEDED, None, None),
        (State.FAILED, None, None),
        (State.CANCELLED, RESULT, None),
        (State.SUCCEEDED, RESULT, FAILURE),
    ],
)
async def test_an_end_is_whole(store: JobStore, state: State, result: Result | None, error: Failure | None) -> None:
    fence = await running(store)
    with pytest.raises(ValueError):
        await store.finish("a", fence, state, result, error)
    assert (await one(store)).state is State.RUNNING


# Fences


async def test_a_late_finish_of_a_rescued_run_is_refused(store: JobStore) -> None:
    late = await running(store)
    assert [found.id async for found in store.rescue()] == ["a"]
    assert not await store.finish("a", late, State.SUCCEEDED, RESULT)
    now = await store.start("a")
    assert now is not None
    assert now != late
    assert not await store.progress("a", late, Units(3, 3))
    assert not await store.finish("a", late, State.SUCCEEDED, RESULT)
    assert not await store.release("a", late, spend=True)
    assert await store.finish("a", now, State.FAILED, error=FAILURE)
    assert (await one(store)).state is State.FAILED


async def test_an_attempt_that_was_given_back_leaves_no_fence_that_fits(store: JobStore) -> None:
    late = await running(store)
    assert await store.release("a", late, spend=False)
    assert (await one(store)).attempt == 0
    now = await store.start("a")
    assert now is not None
    assert now > late
    assert (await one(store)).attempt == 1
    assert not await store.finish("a", late, State.SUCCEEDED, RESULT)
    assert await store.finish("a", now, State.SUCCEEDED, RESULT)


async def test_a_release_keeps_the_first_start_and_what_was_done(store: JobStore, clock: Clock) -> None:
    fence = await running(store)
    await store.progress("a", fence, Units(3, 1))
    first = clock.now
    assert await store.release("a", fence, spend=True)
    assert await one(store) == job(attempt=1, started_at=first, units=Units(3, 1))
    clock.now += 60
    await store.start("a")
    assert await one(store) == job(state=State.RUNNING, attempt=2, started_at=first, units=Units(3, 1))


# Cancel, retry


async def test_cancel_ends_a_job_wherever_it_is(store: JobStore, clock: Clock) -> None:
    await store.add(job("q"))
    fence = await running(store, "r")
    for id in ("q", "r"):
        found = await store.cancel(id)
        assert found is not None
        cancelled, ours = found
        assert ours
        assert (cancelled.state, cancelled.finished_at) == (State.CANCELLED, clock.now)
        assert await store.get(id) == cancelled
        assert await store.cancel(id) == (cancelled, False)
    assert not await store.finish("r", fence, State.SUCCEEDED, RESULT)
    assert await store.start("q") is None


async def test_cancel_leaves_an_end_as_it_is(store: JobStore) -> None:
    fence = await running(store)
    await store.finish("a", fence, State.SUCCEEDED, RESULT)
    before = await one(store)
    assert await store.cancel("a") == (before, False)
    assert await store.get("a") == before


async def test_retry_queues_what_failed_or_was_cancelled(store: JobStore) -> None:
    fence = await running(store)
    await store.finish("a", fence, State.FAILED, error=FAILURE)
    again = await store.retry("a")
    assert (again.state, again.error, again.finished_at, again.attempt) == (State.QUEUED, None, None, 1)
    assert await store.get("a") == again
    now = await store.start("a")
    assert now is not None
    assert now > fence
    await store.cancel("a")
    assert (await store.retry("a")).state is State.QUEUED


async def test_retry_of_anything_else_is_a_conflict(store: JobStore) -> None:
    with pytest.raises(errors.NotFound):
        await store.retry("a")
    fence = await running(store)
    with pytest.raises(errors.Conflict):
        await store.retry("a")
    await store.finish("a", fence, State.SUCCEEDED, RESULT)
    with pytest.raises(errors.Conflict):
        await store.retry("a")


async def test_jobs_of_others_do_not_exist(store: JobStore) -> None:
    fence = await running(store)
    assert await store.get("a", "you") is None
    assert await store.cancel("a", "you") is None
    assert (await one(store)).state is State.RUNNING
    await store.finish("a", fence, State.FAILED, error=FAILURE)
    with pytest.raises(errors.NotFound):
        await store.retry("a", "you")
    assert (await one(store)).state is State.FAILED
    assert (await store.retry("a", "me")).state is State.QUEUED
    assert await store.get("a", "me") == await store.get("a")


# Rescue


async def test_rescue_brings_what_is_not_final_in_the_order_of_acceptance(store: JobStore) -> None:
    await added(store, "z", "m", "a", "k", "b")
    await store.start("a")
    await store.start("z")
    await store.cancel("m")
    fence = await store.start("k")
    assert fence is not None
    await store.finish("k", fence, State.FAILED, error=FAILURE)
    found = [job async for job in store.rescue()]
    assert [(job.id, job.state, job.attempt) for job in found] == [
        ("z", State.QUEUED, 1),
        ("a", State.QUEUED, 1),
        ("b", State.QUEUED, 0),
    ]
    assert (await store.counts())[State.RUNNING] == 0


async def test_ends_of_which_nobody_was_told_are_found(store: JobStore, clock: Clock) -> None:
    for id in ("told", "untold", "cancelled", "again", "open"):
        await added(store, id)
    for id in ("told", "untold", "again"):
        assert await store.finish(id, await started(store, id), State.SUCCEEDED, RESULT)
        clock.now += 1
    await store.cancel("cancelled")
    waited = job("waited", state=State.SUCCEEDED, kept=False, result=RESULT, finished_at=clock.now)
    await store.record(replace(waited, started_at=clock.now, attempt=1))
    event = Event(1, "job.succeeded", clock.now, "told", "me", {})
    # An end of an earlier life is not that of this one.
    first = Event(2, "job.succeeded", clock.now - 1000, "again", "me", {})
    await store.append_events([event, first, Event(3, "unit.done", clock.now, "untold", "me", {})])
    clock.now += 1
    found = await store.unannounced_endings(clock.now - 100, clock.now)
    assert [each.id for each in found] == ["untold", "again", "cancelled"]
    assert found[0].result == RESULT


async def test_ends_outside_the_time_are_not_looked_for(store: JobStore, clock: Clock) -> None:
    await added(store, "a")
    assert await store.finish("a", await started(store, "a"), State.SUCCEEDED, RESULT)
    assert await store.unannounced_endings(clock.now + 1, clock.now + 10) == []
    assert await store.unannounced_endings(clock.now - 10, clock.now) == []


async def test_rescue_goes_on_while_jobs_start_and_arrive(store: JobStore) -> None:
    ids = [f"{i:05}" for i in range(1200)]
    # One after the other: of what is accepted at the same time nothing is first.
    await added(store, *ids)
    found = []
    async for queued in store.rescue():
        found.append(queued.id)
        if len(found) == 1:
            await store.add(job("new"))
        if len(found) % 100 == 0:
            assert await store.start(queued.id) is not None
    assert found == ids


# Ask


async def test_list_pages_from_the_newest_without_gap_or_repeat(store: JobStore) -> None:
    await added(store, *(f"{i:03}" for i in range(25)))
    await added(store, "100", "101", owner="you")
    pages: list[list[str]] = []
    after: str | None = None
    while page := await store.list("me", after=after, limit=10):
        after = page[-1].id
        pages.append([found.id for found in page])
        # What arrives meanwhile is newer and moves nothing.
        await store.add(job(f"2{len(pages):02}"))
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [id for page in pages for id in page] == [f"{i:03}" for i in reversed(range(25))]
    assert [found.id for found in await store.list("you")] == ["101", "100"]
    assert [found.id for found in await store.list(after="0015", limit=2)] == ["001", "000"]


async def test_list_by_state(store: JobStore) -> None:
    await added(store, "a", "b", "c", "d")
    await store.start("b")
    await store.cancel("c")
    assert [found.id for found in await store.list(states=[State.QUEUED, State.CANCELLED])] == ["d", "c", "a"]
    assert [found.id for found in await store.list("me", states=(State.RUNNING,))] == ["b"]
    assert await store.list("me", states=()) == []


async def test_counts_know_every_state(store: JobStore) -> None:
    assert await store.counts() == dict.fromkeys(State, 0)
    await added(store, "a", "b", "c")
    await store.start("b")
    assert await store.counts() == dict.fromkeys(State, 0) | {State.QUEUED: 2, State.RUNNING: 1}


# Events


def event(id: int, at: float = 1.0, **changes: Any) -> Event:
    return replace(Event(id, "unit.done", at, "a", "me", {"index": id, "words": ["é", None, 1.5]}), **changes)


async def test_events_are_replayed_after_an_id(store: JobStore) -> None:
    assert await store.last_event_id() == 0
    kept = [event(10**15 + i, at=1_700_000_000.123456 + i / 7) for i in range(5)]
    await store.append_events(kept[:2])
    await store.append_events(kept[2:])
    await store.append_events([])
    assert await store.events_after(0) == kept
    assert await store.events_after(kept[1].id, limit=2) == kept[2:4]
    assert await store.last_event_id() == kept[-1].id


async def test_events_are_asked_by_job_and_by_who_may_hear_them(store: JobStore) -> None:
    mine, yours, everybodys = event(1), event(2, job="b", owner="you"), event(3, job=None, owner=None, data={})
    await store.append_events([mine, yours, everybodys])
    assert await store.events_after(0, owner="me") == [mine, everybodys]
    assert await store.events_after(0, job="b") == [yours]
    assert await store.events_after(0, job="b", owner="me") == []
    assert await store.events_after(0, job="b", owner="you") == [yours]


async def test_a_batch_of_events_is_kept_whole_or_not_at_all(store: JobStore) -> None:
    await store.append_events([event(2)])
    with pytest.raises(errors.Conflict):
        await store.append_events([event(1), event(2)])
    assert await store.events_after(0) == [event(2)]


# Retention


async def test_prune_removes_what_is_old_and_final(store: JobStore, clock: Clock) -> None:
    for id in ("a", "b"):
        fence = await running(store, id)
        clock.now += 10
        await store.finish(id, fence, State.SUCCEEDED, replace(RESULT, name=f"{id}.wav"))
    await store.record(job("w", state=State.SUCCEEDED, finished_at=5.0, result=replace(RESULT, name="")))
    await store.record(job("x", state=State.CANCELLED, finished_at=6.0))
    await added(store, "q")
    assert await store.prune(clock.now) == ["a.wav"]
    assert [left.id for left in await store.list()] == ["q", "b"]
    assert await store.prune(clock.now) == []


async def test_prune_takes_the_keys_of_its_jobs_along(store: JobStore, clock: Clock) -> None:
    key = Idempotency("me", "k1", "body")
    await store.add(job(), idempotency=key)
    await store.cancel("a")
    clock.now += 1
    await store.prune(clock.now)
    assert (await store.add(job("b"), idempotency=key))[1]


async def test_prune_keeps_the_newest_event_so_that_ids_go_on(store: JobStore) -> None:
    await store.append_events([event(i, at=float(i)) for i in range(1, 1300)])
    await store.prune(1200.0)
    assert [left.id for left in await store.events_after(0, limit=5000)] == list(range(1200, 1300))
    await store.prune(10_000.0)
    assert await store.last_event_id() == 1299


async def test_small_documents(store: JobStore) -> None:
    assert await store.get_value("costs") is None
    for value in ({"tone": [0.5, 1e-9]}, {}, 0, None, "x"):
        await store.set_value("costs", value)
        assert await store.get_value("costs") == value


async def test_a_document_that_is_kept_once(store: JobStore) -> None:
    answers = await asyncio.gather(*(store.set_default("secret", n) for n in range(10)))
    assert len(set(answers)) == 1
    assert await store.get_value("secret") == answers[0]
    await store.set_value("secret", "new")
    assert await store.set_default("secret", "other") == "new"


async def test_a_closed_store_says_so(store: JobStore) -> None:
    await store.close()
    with pytest.raises(errors.StoreError):
        await store.add(job())
    with pytest.raises(errors.StoreError):
        await store.get("a")
    await store.close()


async def test_a_webhook_is_kept_with_its_job_until_it_is_done(store: JobStore) -> None:
    hooks = [Webhook(f"msg_{n}", "", f"http://receiver/{n}", "whsec_x" if n else None) for n in range(2)]
    for n, hook in enumerate(hooks):
        await store.add(job(f"j{n}"), webhook=hook)
    await added(store, "without")
    assert await store.pending_webhooks() == [replace(hook, job=f"j{n}") for n, hook in enumerate(hooks)]
    await store.webhook_failed("msg_0", 12.5, "no answer")
    await store.webhook_failed("msg_0", 25.0, "no answer")
    await store.webhook_done("msg_1")
    assert await store.pending_webhooks() == [replace(hooks[0], job="j0", tries=2, next_at=25.0)]
    await store.webhook_failed("msg_1", 1.0, "too late")
    await store.webhook_done("msg_1")
    assert len(await store.pending_webhooks()) == 1


async def test_a_webhook_of_a_refused_job_is_not_kept(store: JobStore) -> None:
    key = Idempotency("me", "k", "d")
    await store.add(job("a"), idempotency=key, webhook=Webhook("msg_1", "", "http://receiver/"))
    await store.add(job("b"), idempotency=key, webhook=Webhook("msg_2", "", "http://receiver/"))
    with pytest.raises(errors.Conflict):
        await store.add(job("a"), webhook=Webhook("msg_3", "", "http://receiver/"))
    assert [hook.id for hook in await store.pending_webhooks()] == ["msg_1"]


async def test_a_webhook_goes_with_its_job(store: JobStore, clock: Clock) -> None:
    await store.add(job("a"), webhook=Webhook("msg_1", "", "http://receiver/"))
    await store.cancel("a")
    await store.prune(clock() + 1e6)
    assert await store.pending_webhooks() == []


async def test_a_finished_job_can_be_asked_for_anew(store: JobStore) -> None:
    fence = await running(store)
    with pytest.raises(errors.Conflict):
        await store.requeue_succeeded("a", {"text": "b"})
    assert await store.finish("a", fence, State.SUCCEEDED, result=RESULT)
    job = await store.requeue_succeeded("a", {"text": "b", "takes": {"0": 1}})
    assert (job.state, job.result, job.finished_at) == (State.QUEUED, None, None)
    assert (await one(store)).request == {"text": "b", "takes": {"0": 1}}
    assert not await store.finish("a", fence, State.SUCCEEDED, result=RESULT)
    assert await store.start("a") == fence + 1
    with pytest.raises(errors.NotFound):
        await store.requeue_succeeded("nobody", {"text": "b"})


# What an operator set

ORDERS = Orders(paused_at=17.5, front=3, priority="bulk")


async def test_orders_last_until_the_job_ends(store: JobStore) -> None:
    await added(store, "a")
    assert await store.set_orders("a", ORDERS)
    assert (await one(store)).orders == ORDERS
    fence = await started(store, "a")
    assert await store.release("a", fence, spend=False)
    assert [each.orders async for each in store.rescue()] == [ORDERS]
    await started(store, "a")
    assert await store.set_orders("a", replace(ORDERS, paused_at=None))
    assert [(await one(store)).orders.paused_at] == [None]


async def test_a_job_that_is_final_or_unknown_takes_no_orders(store: JobStore) -> None:
    assert not await store.set_orders("nobody", ORDERS)
    fence = await running(store)
    assert await store.finish("a", fence, State.SUCCEEDED, RESULT)
    assert not await store.set_orders("a", ORDERS)
    assert (await one(store)).orders == Orders()


async def test_a_job_that_is_queued_again_keeps_its_class_only(store: JobStore) -> None:
    await added(store, "a")
    await store.set_orders("a", ORDERS)
    await store.cancel("a")
    assert (await store.retry("a")).orders == Orders(priority="bulk")
    fence = await started(store, "a")
    await store.set_orders("a", ORDERS)
    assert await store.finish("a", fence, State.SUCCEEDED, RESULT)
    assert (await store.requeue_succeeded("a", {"text": "x"})).orders == Orders(priority="bulk")


async def test_pauses_hold_from_their_first_moment(store: JobStore) -> None:
    assert await store.pauses() == {}
    await store.pause("key", 9.0)
    await store.pause("", 5.0)
    await store.pause("key", 11.0)
    assert list((await store.pauses()).items()) == [("", 5.0), ("key", 9.0)]
    await store.unpause("")
    await store.unpause("nobody")
    assert await store.pauses() == {"key": 9.0}
