"""JobAdmission: what a request means on this machine now, what it will cost, and whether it is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from antiphon.auth import ApiKeys, lower
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors, ids
from antiphon.domain import request as requests
from antiphon.domain.job import Units
from antiphon.domain.request import SpeechRequest
from antiphon.domain.work import Plan
from antiphon.jobs.active import ActiveJob
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.references.service import References
from antiphon.schedule.admission import Admission
from antiphon.speech import plan as plans
from antiphon.speech import resolve_references
from antiphon.speech.plan import SpeechPlan
from antiphon.text import language as languages
from antiphon.text import markup
from antiphon.text.normalise import clean

#: Characters up to which a text is cleaned and split on the event loop.
INLINE_TEXT = 4000


@dataclass(slots=True)
class JobAdmission:
    models: ModelRegistry
    admission: Admission
    threads: Threads
    references: References
    keys: ApiKeys
    #: Raises `StorageFull` while the disk has no room for another durable job.
    check_space: Callable[[], None] = lambda: None

    async def prepare(
        self, request: SpeechRequest, owner: str, *, quick_first: bool = False, trusted: bool = False
    ) -> tuple[ServedModel, SpeechPlan]:
        """The model that answers and the plan for it. The plan's request has the cleaned text, and the recordings of
        voices in place of the names that their owner gave them; a `trusted` request has been through this before.

        Raises `InvalidRequest` and its kin for what can never work, `ModelLoading` and `ModelUnavailable`.
        """
        granted = lower(request.priority, self.keys.ceiling(owner))
        if granted != request.priority:
            request = replace(request, priority=granted)
        short = len(request.text) <= INLINE_TEXT
        request, text = _cleaned(request) if short else await self.threads.run(_cleaned, request)
        language = (request.language or languages.detect(text)).lower().partition("-")[0]
        if trusted:
            served = self.models.choose(request.model, language)
            return served, await self.plan(request, served, quick_first=quick_first, language=language)
        resolve_references.check(request)
        # Without a name nobody is asked for: the store may be away.
        known = await self.references.known(owner) if resolve_references.names(request) else {}
        able_ones = (h.capabilities for h in self.models.served.values() if h.capabilities is not None)
        if self.references.shared and resolve_references.strange(request, known, able_ones):
            known = await self.references.known(owner, anew=True)
        clone = resolve_references.wanted(request, known)
        served = self.models.choose(request.model, language, None if clone else request.voice, clone=clone)
        if clone or "emotion_ref" in request.options:
            assert served.capabilities is not None
            able = [
                h.name
                for h in self.models.ranked()
                if h.usable and h.capabilities is not None and h.capabilities.cloning
            ]
            request = await resolve_references.resolve(request, known, served.capabilities, able, self.references)
        return served, await self.plan(request, served, quick_first=quick_first, language=language)

    async def plan(
        self, request: SpeechRequest, served: ServedModel, *, quick_first: bool = False, language: str | None = None
    ) -> SpeechPlan:
        """Raises `StorageDown` if a recording is needed that only other servers have, and cannot be had now."""
        assert served.capabilities is not None
        for digest in resolve_references.digests(request):
            await self.references.need(digest)
        make = partial(
            plans.make, request, served.name, served.capabilities, quick_first=quick_first, language=language
        )
        return make() if len(request.text) <= INLINE_TEXT else await self.threads.run(make)

    def admit(self, active: ActiveJob, plan: Plan, costs: list[float]) -> None:
        """Counts the job's work. Raises `OverShare` or `QueueFull` with the time after which it fits."""
        self.keys.check_quota(active.owner)
        if active.durable:
            self.check_space()
        seconds, nbytes = sum(costs), plan.nbytes
        self.admission.take(active.owner, seconds, nbytes, slots=max(1, active.served.pool.slots))
        active.seconds, active.nbytes = seconds, nbytes

    def readmit(self, active: ActiveJob, plan: Plan, costs: list[float]) -> None:
        """Counts the work of a job that was admitted in an earlier life."""
        active.seconds, active.nbytes = sum(costs), plan.nbytes
        self.admission.force(active.owner, active.seconds, active.nbytes)

    def spend(self, active: ActiveJob, seconds: float) -> None:
        """A unit of the job is done: its predicted seconds are no longer queued."""
        seconds = min(seconds, active.seconds)
        self.admission.spend(active.owner, seconds)
        active.seconds -= seconds

    def give_back(self, active: ActiveJob) -> None:
        """The job's work is done or gone; asked twice it gives back once."""
        if active.nbytes:
            self.admission.give_back(active.owner, active.seconds, active.nbytes)
            active.seconds, active.nbytes = 0.0, 0


def _cleaned(request: SpeechRequest) -> tuple[SpeechRequest, str]:
    """The request as it is kept, and what will be spoken. A text with marks is kept as it came: they are read anew
    whenever it is planned. Raises `InvalidText`."""
    if request.turns or markup.has_markup(request.text, request.ssml):
        spans = (span for turn in plans.turns(request) for span in markup.parse(turn.text, ssml=request.ssml))
        text = clean("\n".join(span.text for span in spans))
        if not text:
            raise errors.InvalidText("Text has nothing to say: there are only pauses in it", param="text")
        requests.check_text(text, requests.MAX_TEXT)
        return request, text
    text = clean(request.text)
    requests.check_text(text, requests.MAX_TEXT)
    return request.with_text(text), text


def costs(served: ServedModel, plan: Plan, units: list[int]) -> list[float]:
    """Predicted seconds of some of a plan's units."""
    predict = served.dispatcher.cost.predict
    return [predict(plan.length(i)) for i in units]


def new_live(owner: str, served: ServedModel, plan: Plan, *, durable: bool) -> ActiveJob:
    return ActiveJob(
        id=ids.new_id(),
        owner=owner,
        priority=plan.request.priority,
        durable=durable,
        created_at=time.time(),
        served=served,
        units=Units(len(plan.keys)),
        type=plan.request.type,
        source=plan.source,
        deadline=plan.request.deadline,
        warnings=plan.warnings,
    )
