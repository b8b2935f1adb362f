"""A plan: a request turned into units for one model, with a warning wherever the model cannot do what was asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from antiphon.audio import codec
from antiphon.domain.engine import Capabilities
from antiphon.domain.request import MAX_SEED, SpeechRequest
from antiphon.domain.unit import Recipe, SpeechParams, Unit
from antiphon.service import voices
from antiphon.text import language as languages
from antiphon.text.segment import Segment, segment

#: Part of a finished result's name in the cache: raised when joining or encoding changes.
JOIN_FORMAT = 1


@dataclass(slots=True)
class Plan:
    """What will be done for one request. The same request, model and revision give the same plan again."""

    request: SpeechRequest
    model: str
    can: Capabilities
    voice: str
    language: str
    segments: list[Segment]
    #: What the engine is asked for, and by what factor its audio is then stretched to the speed that was asked for.
    speed: float
    stretch: float
    emotion: dict[str, float]
    warnings: tuple[str, ...]
    #: Names of the units' recipes, in order.
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        # Here, because a long text is planned in a thread, and hashing thousands of recipes is long too.
        self.keys = [self.recipe(index).key() for index in range(len(self.segments))]

    def recipe(self, index: int) -> Recipe:
        take = self.request.takes.get(str(index), 0)
        params = SpeechParams(
            text=self.segments[index].text.strip(),
            voice=self.voice,
            language=self.language,
            emotion=self.emotion,
            speed=self.speed,
            # A seed means nothing to an engine that always gives the same samples: one recipe, one cache entry.
            seed=0 if self.can.deterministic else (self.request.seed + take) % (MAX_SEED + 1),
            options={**self.request.options, "take": take} if take else self.request.options,
        )
        return Recipe(self.can.kind, self.model, self.can.revision, params.as_params())

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self.recipe(index), self.length(index))

    def length(self, index: int) -> float:
        return languages.length(self.segments[index].text) / self.speed

    def result_key(self) -> str:
        """The name in the cache of the whole encoded answer, from the names of its units."""
        pauses = [s.pause for s in self.segments]
        form = [JOIN_FORMAT, self.keys, pauses, self.stretch, self.request.format, self.request.sample_rate]
        return hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()

    @property
    def media_type(self) -> str:
        return codec.MEDIA_TYPES[self.request.format]


def make(request: SpeechRequest, model: str, can: Capabilities, *, quick_first: bool = False) -> Plan:
    """Plans a request whose text is clean. Raises `UnknownVoice`; pure computing, linear in the text.

    `quick_first` cuts the first segment short where that brings the first sound earlier.
    """
    language = (request.language or languages.detect(request.text)).lower().partition("-")[0]
    warnings: list[str] = []
    if can.languages and language not in can.languages:
        warnings.append(f"{model} does not speak language {language} well")
    voice, bent = voices.choose(request.voice, language, can)
    if bent:
        warnings.append(bent)
    emotion = {name: weight for name, weight in request.emotion.items() if name in can.emotions}
    left_out = [name for name in request.emotion if name not in can.emotions and name != "calm"]
    warnings += [f"{model} cannot sound {name}; the emotion was left out" for name in left_out]
    speed = min(max(request.speed, can.speed_min), can.speed_max)
    return Plan(
        request=request,
        model=model,
        can=can,
        voice=voice,
        language=language,
        segments=segment(request.text, can.cut, language, quick_first=quick_first),
        speed=speed,
        stretch=request.speed / speed,
        emotion=emotion,
        warnings=tuple(warnings),
    )
