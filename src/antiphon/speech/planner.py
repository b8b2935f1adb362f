"""Intake: what a request means on this machine now, what it will cost, and whether it is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from antiphon.auth import Keys, lower
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors, ids
from antiphon.domain import request as requests
from antiphon.domain.job import Units
from antiphon.domain.request import SpeechRequest
from antiphon.domain.work import Work
from antiphon.jobs.active import Live
from antiphon.models.registry import Models
from antiphon.models.served import Hosted
from antiphon.references.service import References
from antiphon.schedule.admission import Admission
from antiphon.speech import plan as plans
from antiphon.speech import resolve_references
from antiphon.speech.plan import Plan
from antiphon.text import language as languages
from antiphon.text import markup
from antiphon.text.normalise import clean

#: Characters up to which a text is cleaned and split on the event loop.
INLINE_TEXT = 4000


@dataclass(slots=True)
class Intake:
    models: Models
    admission: Admission
    threads: Threads
    references: References
    keys: Keys
    #: Raises `StorageFull` while the disk has no room for another durable job.
    check_space: Callable[[], None] = lambda: None

    async def prepare(
        self, request: SpeechRequest, owner: str, *, quick_first: bool = False, trusted: bool = False
    ) -> tuple[Hosted, Plan]:
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
            hosted = self.models.choose(request.model, language)
            return hosted, await self.plan(request, hosted, quick_first=quick_first, language=language)
        resolve_references.check(request)
        # Without a name nobody is asked for: the store may be away.
        known = await self.references.known(owner) if resolve_references.names(request) else {}
        able_ones = (h.can for h in self.models.hosted.values() if h.can is not None)
        if self.references.shared and resolve_references.strange(request, known, able_ones):
            known = await self.references.known(owner, anew=True)
        clone = resolve_references.wanted(request, known)
        hosted = self.models.choose(request.model, language, None if clone else request.voice, clone=clone)
        if clone or "emotion_ref" in request.options:
            assert hosted.can is not None
            able = [h.name for h in self.models.ranked() if h.usable and h.can is not None and h.can.cloning]
            request = await resolve_references.resolve(request, known, hosted.can, able, self.references)
        return hosted, await self.plan(request, hosted, quick_first=quick_first, language=language)

    async def plan(
        self, request: SpeechRequest, hosted: Hosted, *, quick_first: bool = False, language: str | None = None
    ) -> Plan:
        """Raises `StorageDown` if a recording is needed that only other servers have, and cannot be had now."""
        assert hosted.can is not None
        for digest in resolve_references.digests(request):
            await self.references.need(digest)
        make = partial(plans.make, request, hosted.name, hosted.can, quick_first=quick_first, language=language)
        return make() if len(request.text) <= INLINE_TEXT else await self.threads.run(make)

    def admit(self, live: Live, plan: Work, costs: list[float]) -> None:
        """Counts the job's work. Raises `OverShare` or `QueueFull` with the time after which it fits."""
        self.keys.check_quota(live.owner)
        if live.durable:
            self.check_space()
        seconds, nbytes = sum(costs), plan.nbytes
        self.admission.take(live.owner, seconds, nbytes, slots=max(1, live.hosted.pool.slots))
        live.seconds, live.nbytes = seconds, nbytes

    def readmit(self, live: Live, plan: Work, costs: list[float]) -> None:
        """Counts the work of a job that was admitted in an earlier life."""
        live.seconds, live.nbytes = sum(costs), plan.nbytes
        self.admission.force(live.owner, live.seconds, live.nbytes)

    def spend(self, live: Live, seconds: float) -> None:
        """A unit of the job is done: its predicted seconds are no longer queued."""
        seconds = min(seconds, live.seconds)
        self.admission.spend(live.owner, seconds)
        live.seconds -= seconds

    def give_back(self, live: Live) -> None:
        """The job's work is done or gone; asked twice it gives back once."""
        if live.nbytes:
            self.admission.give_back(live.owner, live.seconds, live.nbytes)
            live.seconds, live.nbytes = 0.0, 0


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


def costs(hosted: Hosted, plan: Work, units: list[int]) -> list[float]:
    """Predicted seconds of some of a plan's units."""
    predict = hosted.dispatcher.cost.predict
    return [predict(plan.length(i)) for i in units]


def new_live(owner: str, hosted: Hosted, plan: Work, *, durable: bool) -> Live:
    return Live(
        id=ids.new_id(),
        owner=owner,
        priority=plan.request.priority,
        durable=durable,
        created_at=time.time(),
        hosted=hosted,
        units=Units(len(plan.keys)),
        type=plan.request.type,
        source=plan.source,
        deadline=plan.request.deadline,
        warnings=plan.warnings,
    )
