"""Speech planner: selects the model for a request, and makes the plan for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain import request as requests
from antiphon.domain.request import SpeechRequest
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel
from antiphon.references.service import References
from antiphon.speech import plan as plans
from antiphon.speech import resolve_references
from antiphon.speech.plan import SpeechPlan
from antiphon.speech.wording import without_markup
from antiphon.text import language as languages
from antiphon.text import markup
from antiphon.text.normalise import clean

#: How much more than to clean a character it costs to read one, about.
READING = 4


@dataclass(slots=True)
class SpeechPlanner:
    """Used in one event loop."""

    selector: ModelSelector
    #: For texts.
    threads: Threads
    references: References

    async def prepare(
        self, request: SpeechRequest, owner: str, *, quick_first: bool = False, trusted: bool = False
    ) -> tuple[ServedModel, SpeechPlan]:
        """The model and the plan for a request. The plan's request has the cleaned text, and digests of recordings in
        place of the names of uploaded voices. A `trusted` request was prepared before, and names digests already.
        Raises `InvalidRequest` and its subclasses for what can never work, `ModelLoading` and `ModelUnavailable`."""
        request, language, texts = await self.threads.run_text(len(request.text), _cleaned, request)
        make = partial(self.plan, quick_first=quick_first, language=language, texts=texts)
        if trusted:
            served = self.selector.choose(request.model, language)
            return served, await make(request, served)
        resolve_references.check(request)
        # A request that names no voice does not read the store, which may be down.
        uploaded = await self.references.by_name(owner) if resolve_references.names(request) else {}
        models = (m.capabilities for m in self.selector.served.values() if m.capabilities is not None)
        if self.references.shared and resolve_references.has_unknown_voice(request, uploaded, models):
            uploaded = await self.references.by_name(owner, refresh=True)
        clone = resolve_references.needs_cloning(request, uploaded)
        served = await self._choose(request, language, None if clone else request.voice, clone=clone)
        if clone or "emotion_ref" in request.options:
            assert served.capabilities is not None
            cloning = [model.name for model in self.selector.cloning()]
            request = await resolve_references.resolve(request, uploaded, served.capabilities, cloning, self.references)
        return served, await make(request, served)

    async def _choose(self, request: SpeechRequest, language: str, voice: str | None, *, clone: bool) -> ServedModel:
        """The model for a request. A dialogue of several languages gets one that speaks the first of them that any
        model speaks, if none speaks that of the whole: a line that cannot be read costs no other."""
        try:
            return self.selector.choose(request.model, language, voice, clone=clone)
        except errors.UnsupportedLanguage:
            if request.language or len(request.turns) < 2:
                raise
            for other in await self.threads.run_text(len(request.text), _languages, request):
                with contextlib.suppress(errors.UnsupportedLanguage):
                    return self.selector.choose(request.model, other, voice, clone=clone)
            raise

    async def plan(
        self,
        request: SpeechRequest,
        served: ServedModel,
        *,
        quick_first: bool = False,
        language: str | None = None,
        texts: Sequence[str] | None = None,
    ) -> SpeechPlan:
        """The plan for a prepared request; `language` and `texts` as in `plan.make`. Raises `StorageDown` if it needs a
        recording that cannot be fetched now."""
        capabilities = served.capabilities
        assert capabilities is not None
        for digest in resolve_references.digests(request):
            await self.references.ensure_local(digest)
        make = partial(
            plans.make, request, served.name, capabilities, quick_first=quick_first, language=language, texts=texts
        )
        return await self.threads.run_text(READING * len(request.text), make)


def _languages(request: SpeechRequest) -> list[str]:
    """Primary tags of the languages of a dialogue, each once, in the order in which they are spoken."""
    tags = (turn.language or languages.detect(without_markup(turn.text, request)) for turn in request.turns)
    return list(dict.fromkeys(tag.lower().partition("-")[0] for tag in tags))


def _cleaned(request: SpeechRequest) -> tuple[SpeechRequest, str, list[str] | None]:
    """The request with cleaned text, the primary tag of its language, and the texts of its turns without markup where
    they have any. A text with markup stays as it is in the request, since it is read whenever the request is planned.
    Raises `InvalidText`."""
    texts = [without_markup(turn.text, request) for turn in plans.turns(request)]
    marked = bool(request.turns) or texts[0] is not request.text or markup.has_markup(request.text, request.ssml)
    if marked:
        spans = (span for found in markup.parse_all(texts, ssml=request.ssml) for span in found)
        if not (text := clean("\n".join(span.text for span in spans))):
            raise errors.InvalidText(plans.NOTHING, param="text")
    else:
        text = clean(request.text)
    requests.check_text(text, requests.MAX_TEXT)
    language = (request.language or languages.detect(text)).lower().partition("-")[0]
    return (request, language, texts) if marked else (request.with_text(text), language, None)
