"""Intake: what a request means on this machine now, what it will cost, and whether it is taken."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from antiphon.domain import errors, voice
from antiphon.domain import request as requests
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Units
from antiphon.domain.request import SpeechRequest
from antiphon.domain.voice import Reference
from antiphon.schedule.admission import Admission
from antiphon.service import ids
from antiphon.service import plan as plans
from antiphon.service.live import Live
from antiphon.service.models import Hosted, Models
from antiphon.service.plan import Plan
from antiphon.service.references import References
from antiphon.service.threads import Threads
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

    async def prepare(self, request: SpeechRequest, owner: str, *, quick_first: bool = False) -> tuple[Hosted, Plan]:
        """The model that answers and the plan for it. The plan's request has the cleaned text, and the recordings of
        voices in place of the names that their owner gave them.

        Raises `InvalidRequest` and its kin for what can never work, `ModelLoading` and `ModelUnavailable`.
        """
        short = len(request.text) <= INLINE_TEXT
        request, text = _cleaned(request) if short else await self.threads.run(_cleaned, request)
        language = (request.language or languages.detect(text)).lower().partition("-")[0]
        known = await self.references.known(owner)
        recorded = [asked for asked in _voices(request) if _is_recording(asked, known)]
        if not recorded and "emotion_ref" not in request.options:
            hosted = self.models.choose(request.model, language, request.voice)
            return hosted, await self.plan(request, hosted, quick_first=quick_first)
        hosted = self._cloning(request, language, recorded)
        return hosted, await self.plan(await self._recordings(request, known), hosted, quick_first=quick_first)

    def _cloning(self, request: SpeechRequest, language: str, recorded: list[str]) -> Hosted:
        """The model for a request with recordings. Raises `UnknownVoice` if it cannot imitate a voice."""
        able = [h for h in self.models.ranked() if h.usable and h.can is not None and h.can.cloning]
        hosted = self.models.choose(request.model, language, clone=bool(recorded))
        if recorded and hosted not in able:
            help = f'name one that can with "model": {", ".join(h.name for h in able)}' if able else "no model here can"
            param = "ref_audio" if recorded[0].startswith("data:") else "voice"
            raise errors.UnknownVoice(f"{hosted.name} cannot imitate an uploaded voice; {help}", param=param)
        return hosted

    async def _recordings(self, request: SpeechRequest, known: Mapping[str, Reference]) -> SpeechRequest:
        """The request with recordings by digest in place of data: URLs and of the names that their owner gave them."""

        async def recording(asked: str | None, param: str) -> str | None:
            if asked is None or asked in known:
                return known[asked].voice if asked else None
            if not asked.startswith("data:"):
                return asked
            try:
                return voice.PREFIX + await self.references.once(voice.from_data_url(asked, param))
            except errors.InvalidRequest as e:
                raise errors.InvalidRequest(e.message, param=param) from e

        turns = [replace(turn, voice=await recording(turn.voice, "turns")) for turn in request.turns]
        options = dict(request.options)
        if "emotion_ref" in options:
            mood = await recording(str(options["emotion_ref"]), "emotion_audio")
            digest = voice.digest_of(mood or "")
            if digest is None:
                raise errors.UnknownVoice(
                    "emotion_audio must be a data: URL, or the name of a voice that you uploaded", param="emotion_audio"
                )
            options["emotion_ref"] = digest
        return replace(request, voice=await recording(request.voice, "ref_audio"), turns=tuple(turns), options=options)

    async def plan(self, request: SpeechRequest, hosted: Hosted, *, quick_first: bool = False) -> Plan:
        assert hosted.can is not None
        if len(request.text) <= INLINE_TEXT:
            return plans.make(request, hosted.name, hosted.can, quick_first=quick_first)
        make = _make_quick if quick_first else plans.make
        return await self.threads.run(make, request, hosted.name, hosted.can)

    def admit(self, live: Live, plan: Plan, costs: list[float]) -> None:
        """Counts the job's work. Raises `OverShare` or `QueueFull` with the time after which it fits."""
        seconds, nbytes = sum(costs), _bytes(plan)
        self.admission.take(live.owner, seconds, nbytes, slots=max(1, live.hosted.pool.slots))
        live.seconds, live.nbytes = seconds, nbytes

    def readmit(self, live: Live, plan: Plan, costs: list[float]) -> None:
        """Counts the work of a job that was admitted in an earlier life."""
        live.seconds, live.nbytes = sum(costs), _bytes(plan)
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


def _voices(request: SpeechRequest) -> list[str]:
    return [asked for asked in (request.voice, *(turn.voice for turn in request.turns)) if asked]


def _is_recording(asked: str, known: Mapping[str, Reference]) -> bool:
    return asked in known or asked.startswith("data:") or voice.digest_of(asked) is not None


def _cleaned(request: SpeechRequest) -> tuple[SpeechRequest, str]:
    """The request as it is kept, and what will be spoken. A text with marks is kept as it came: they are read anew
    whenever it is planned. Raises `InvalidText`."""
    if request.turns or markup.has_markup(request.text, request.ssml):
        spans = (span for turn in plans.turns(request) for span in markup.parse(turn.text, ssml=request.ssml))
        text = clean("\n".join(span.text for span in spans))
        requests.check_text(text, requests.MAX_TEXT)
        return request, text
    text = clean(request.text)
    requests.check_text(text, requests.MAX_TEXT)
    return request.with_text(text), text


def costs(hosted: Hosted, plan: Plan, units: list[int]) -> list[float]:
    """Predicted seconds of some of a plan's units."""
    predict = hosted.dispatcher.cost.predict
    return [predict(plan.length(i)) for i in units]


def new_live(owner: str, hosted: Hosted, plan: Plan, *, durable: bool) -> Live:
    return Live(
        id=ids.new_id(),
        owner=owner,
        priority=plan.request.priority,
        durable=durable,
        created_at=time.time(),
        hosted=hosted,
        units=Units(len(plan.segments)),
        deadline=plan.request.deadline,
        warnings=plan.warnings,
    )


def _bytes(plan: Plan) -> int:
    return len(plan.request.text.encode("utf-8"))


def _make_quick(request: SpeechRequest, model: str, can: Capabilities) -> Plan:
    return plans.make(request, model, can, quick_first=True)
