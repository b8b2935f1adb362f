"""The SQLite store and its twin in memory answer alike, whatever is asked in whatever order, also over restarts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.store.base import Idempotency, JobStore
from antiphon.store.sqlite import SqliteStore
from tests.stores.memory import MemoryStore

OWNERS = st.sampled_from(["me", "you"])
ASKERS = st.sampled_from([None, "me", "you"])
IDS = st.text("abcdef", min_size=1, max_size=2)
FENCES = st.integers(0, 4)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
STATES = st.none() | st.sets(st.sampled_from(State)).map(sorted)
UNITS = st.lists(st.integers(0, 20), min_size=3, max_size=3).map(lambda n: Units(*sorted(n, reverse=True)))
TIMES = st.floats(0, 1e10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
RESULTS = st.builds(
    Result,
    name=TEXTS,
    media_type=TEXTS,
    bytes=st.integers(0, 2**40),
    duration=TIMES,
    digest=TEXTS,
    segments=st.lists(st.fixed_dictionaries({"text": TEXTS, "start": TIMES}), max_size=2).map(tuple),
)
ENDINGS = st.one_of(
    RESULTS.map(lambda result: (State.SUCCEEDED, result, None)),
    st.builds(Failure, TEXTS, TEXTS).map(lambda error: (State.FAILED, None, error)),
    st.just((State.CANCELLED, None, None)),
)


class Twins(RuleBasedStateMachine):
    """Each rule asks both stores and compares what they say; an invariant compares what they hold."""

    fences = Bundle("fences")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.event = 0
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()

    @initialize()
    def open(self) -> None:
        self.twin = MemoryStore(lambda: self.now)
        self.store = SqliteStore(Path(self.folder.name) / "a.db", lambda: self.now)
        self.ask(lambda store: store.open())

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def ask(self, question: Callable[[JobStore], Awaitable[Any]]) -> Any:
        said = [self.runner.run(_answer(question, store)) for store in (self.twin, self.store)]
        assert said[0] == said[1]
        return said[1][1]

    @rule(id=IDS, owner=OWNERS, request=st.dictionaries(TEXTS, JSON, max_size=2), units=UNITS, at=TIMES)
    def add(self, id: str, owner: str, request: dict[str, Any], units: Units, at: float) -> None:
        job = Job(id, "speech", State.QUEUED, owner, "bulk", request, at, units=units)
        self.ask(lambda store: store.add(job))

    @rule(id=IDS, owner=OWNERS, key=st.sampled_from("kl"), body=st.sampled_from("xy"))
    def add_with_key(self, id: str, owner: str, key: str, body: str) -> None:
        job = Job(id, "image", State.QUEUED, owner, "vip", {}, self.now)
        self.ask(lambda store: store.add(job, idempotency=Idempotency(owner, key, body)))

    @rule(id=IDS, owner=OWNERS, ending=ENDINGS, units=UNITS, kept=st.booleans())
    def record(self, id: str, owner: str, ending: tuple[Any, ...], units: Units, kept: bool) -> None:
        state, result, error = ending
        job = Job(id, "speech", state, owner, "normal", {"text": ""}, self.now, self.now, self.now, units, attempt=1)
        self.ask(lambda store: store.record(replace(job, result=result, error=error, kept=kept)))

    @rule(target=fences, id=IDS)
    def start(self, id: str) -> tuple[str, int]:
        return id, self.ask(lambda store: store.start(id)) or 0

    @rule(target=fences, id=IDS, fence=FENCES)
    def guess(self, id: str, fence: int) -> tuple[str, int]:
        return id, fence

    @rule(held=fences, units=UNITS)
    def progress(self, held: tuple[str, int], units: Units) -> None:
        self.ask(lambda store: store.progress(*held, units))

    @rule(held=consumes(fences), ending=ENDINGS, units=st.none() | UNITS)
    def finish(
        self, held: tuple[str, int], ending: tuple[State, Result | None, Failure | None], units: Units | None
    ) -> None:
        id, fence = held
        state, result, error = ending
        self.ask(lambda store: store.finish(id, fence, state, result, error, units))

    @rule(held=fences, spend=st.booleans())
    def release(self, held: tuple[str, int], spend: bool) -> None:
        self.ask(lambda store: store.release(*held, spend))

    @rule(id=IDS, owner=ASKERS)
    def cancel(self, id: str, owner: str | None) -> None:
        self.ask(lambda store: store.cancel(id, owner))

    @rule(id=IDS, owner=ASKERS)
    def retry(self, id: str, owner: str | None) -> None:
        self.ask(lambda store: store.retry(id, owner))

    @rule()
    def rescue(self) -> None:
        self.ask(_all)

    @rule(id=IDS, owner=ASKERS)
    def get(self, id: str, owner: str | None) -> None:
        self.ask(lambda store: store.get(id, owner))

    @rule(owner=ASKERS, states=STATES, after=st.none() | IDS, limit=st.integers(1, 4))
    def list(self, owner: str | None, states: list[State] | None, after: str | None, limit: int) -> None:
        self.ask(lambda store: store.list(owner, states, after, limit))

    @rule(step=st.integers(1, 3), job=st.none() | IDS, owner=ASKERS, data=st.dictionaries(TEXTS, JSON, max_size=2))
    def append(self, step: int, job: str | None, owner: str | None, data: dict[str, Any]) -> None:
        first = Event(self.event + step, "unit.done", self.now, job, owner, data)
        self.event += step + 1
        events = [first, replace(first, id=self.event, type="job.progress")]
        self.ask(lambda store: store.append_events(events))

    @rule(after=st.integers(0, 30), job=st.none() | IDS, owner=ASKERS, limit=st.integers(1, 5))
    def replay(self, after: int, job: str | None, owner: str | None, limit: int) -> None:
        self.ask(lambda store: store.events_after(after, job, owner, limit))

    @rule(ago=st.floats(-1, 90_000))
    def prune(self, ago: float) -> None:
        self.ask(lambda store: _sorted(store, self.now - ago))

    @rule(key=st.sampled_from("kl"), value=JSON)
    def set_value(self, key: str, value: Any) -> None:
        self.ask(lambda store: store.set_value(key, value))
        self.ask(lambda store: store.get_value(key))

    @rule(seconds=st.floats(0, 50_000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.ask(lambda store: store.close())
        self.store = SqliteStore(Path(self.folder.name) / "a.db", lambda: self.now)
        self.ask(lambda store: store.open())

    @invariant()
    def hold_the_same(self) -> None:
        self.ask(lambda store: store.list(limit=1000))
        self.ask(lambda store: store.counts())
        self.ask(lambda store: store.events_after(0))
        self.ask(lambda store: store.last_event_id())


async def _answer(question: Callable[[JobStore], Awaitable[Any]], store: JobStore) -> tuple[str, Any]:
    """What the store says; an error by its kind."""
    try:
        return "says", await question(store)
    except (errors.AntiphonError, ValueError, TypeError) as e:
        return "raises", type(e)


async def _all(store: JobStore) -> list[Job]:
    return [job async for job in store.rescue()]


async def _sorted(store: JobStore, before: float) -> list[str]:
    return sorted(await store.prune(before))


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
