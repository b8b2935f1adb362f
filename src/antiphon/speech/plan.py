"""Speech plan: a request as segments for one model, with a warning for everything that the model cannot do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from antiphon.audio import codec, pcm
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, makes_a_sound, revision_of, silent_signs
from antiphon.domain.request import MAX_SEED, NEUTRAL, SPEED_MAX, SPEED_MIN, SpeechRequest, Turn, sayable
from antiphon.domain.unit import Recipe, SpeechParams, Unit, UnitResult
from antiphon.domain.voice import digest_of
from antiphon.speech import voice_selection
from antiphon.speech.wording import Reader, Spoken, without_markup
from antiphon.text import language as languages
from antiphon.text import markup
from antiphon.text.length import length
from antiphon.text.normalise import clean
from antiphon.text.segment import Segment, line_pause, segment
from antiphon.text.spans import Span

#: Part of the cache key of a whole answer; to be raised when joining or encoding changes.
JOIN_FORMAT = 2
#: Most segments of a request. Blank lines separate them: a million characters may have a third of a million.
MAX_SEGMENTS = 50_000
#: Seconds that a character takes to say, about.
SECONDS_PER_CHARACTER = 0.07
#: Length units (at normal speed) from which a segment's beginning is asked for before its end, some two seconds.
EARLY = 25.0
#: Texts without a sound that warnings name, and characters of each.
LEFT_OUT, LEFT_OUT_CHARS = 5, 30
#: Seconds of silence between the turns of a dialogue.
TURN_PAUSE = 0.4
#: Says why a text is refused.
NOTHING = "Text has nothing to say: there are only pauses and markup in it"


@dataclass(frozen=True, slots=True)
class Voicing:
    """How a segment is spoken. Many segments share one."""

    voice: str
    language: str
    emotion: dict[str, float]
    #: The speed asked of the engine, and the factor by which its audio is then stretched to the requested speed.
    speed: float
    stretch: float
    #: Name in the subtitles; None outside a dialogue.
    speaker: str | None = None


@dataclass(slots=True)
class SpeechPlan:
    """The segments of a request for one model; implements `domain.plan.Plan`."""

    request: SpeechRequest
    model: str
    capabilities: Capabilities
    #: Their pauses are seconds in the final audio.
    segments: list[Segment]
    #: One for each segment.
    voicings: list[Voicing]
    #: What is said for each: the engine's text, while that of the segment is the one that people see.
    spoken: list[Spoken]
    warnings: tuple[str, ...]
    #: The request's options that the engine understands.
    options: dict[str, Any] = field(default_factory=dict)
    #: Seconds of silence before the first segment.
    lead: float = 0.0
    #: Whether the first segment's first second is to be there before its rest. Part of its recipe, since its samples
    #: may differ: the cache has the same bytes for a recipe, whoever asked first.
    early: bool = False
    #: Cache keys of the units' recipes, and their lengths in characters at normal speed, in order.
    keys: list[str] = field(init=False)
    lengths: list[float] = field(init=False)
    source: str | None = field(default=None, init=False)
    _result_key: str = field(default="", init=False)

    def __post_init__(self) -> None:
        # Computed here, since a long text is planned in a thread, and hashing thousands of recipes takes long too.
        self.keys = [self.recipe(index).key() for index in range(len(self.segments))]
        self.lengths = [length(spoken.text) / how.speed for spoken, how in zip(self.spoken, self.voicings, strict=True)]

    def recipe(self, index: int) -> Recipe:
        take = self.request.takes.get(str(index), 0)
        how = self.voicings[index]
        params = SpeechParams(
            text=self.spoken[index].text,
            voice=how.voice,
            language=how.language,
            emotion=how.emotion,
            speed=how.speed,
            # A deterministic engine ignores the seed: without it, all seeds share one cache entry.
            seed=0 if self.capabilities.deterministic else (self.request.seed + take) % (MAX_SEED + 1),
            options={**self.options, "take": take} if take else self.options,
            early=self.early and index == 0,
        )
        return params.recipe(self.model, revision_of(self.capabilities, how.voice))

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self.recipe(index), self.length(index))

    def length(self, index: int) -> float:
        return self.lengths[index]

    def result_key(self) -> str:
        """The cache key of the whole encoded answer, derived from those of its units."""
        if not self._result_key:
            request = self.request
            joints = [
                # The answer's subtitles have what is written, and the keys what is said.
                [segment.pause, how.stretch, how.speaker, *([segment.text] if spoken.changes else [])]
                for segment, how, spoken in zip(self.segments, self.voicings, self.spoken, strict=True)
            ]
            form = [JOIN_FORMAT, self.keys, self.lead, joints, request.format, request.sample_rate]
            self._result_key = hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()
        return self._result_key

    @property
    def nbytes(self) -> int:
        return len(self.request.text.encode("utf-8"))

    def expected_audio(self, per_length: float | None) -> float:
        pauses = self.lead + sum(segment.pause for segment in self.segments)
        return sum(self.lengths) * (SECONDS_PER_CHARACTER if per_length is None else per_length) + pauses

    def audio_seconds(self, result: UnitResult) -> float | None:
        return pcm.duration(len(result.payload), int(result.meta["sample_rate"]))

    @property
    def media_type(self) -> str:
        return codec.MEDIA_TYPES[self.request.format]


def make(
    request: SpeechRequest,
    model: str,
    capabilities: Capabilities,
    *,
    quick_first: bool = False,
    language: str | None = None,
    texts: Sequence[str] | None = None,
) -> SpeechPlan:
    """Plans a request whose text is clean; only computes, in time linear in the text. Raises `UnknownVoice`,
    `InvalidText`. `quick_first` cuts the first segment short if that brings the first audio earlier. `language` is that
    of the text, if the caller has detected it; `texts`: those of the turns without markup, if it has read them."""
    planner = _Planner(request, model, capabilities, quick_first=quick_first, language=language)
    said = turns(request)
    plain = texts if texts is not None else (without_markup(turn.text, request) for turn in said)
    for turn, spans in zip(said, markup.parse_all(plain, ssml=request.ssml), strict=True):
        planner.add(turn, spans)
    return planner.plan()


class _Planner:
    """Collects the segments of a plan, turn by turn."""

    def __init__(
        self, request: SpeechRequest, model: str, capabilities: Capabilities, *, quick_first: bool, language: str | None
    ) -> None:
        self.request, self.model, self.capabilities, self.quick_first = request, model, capabilities, quick_first
        # Each turn of a dialogue may have another language.
        self.language = None if request.turns else language
        self.reader = Reader(request, capabilities)
        self.segments: list[Segment] = []
        self.voicings: list[Voicing] = []
        self.spoken: list[Spoken] = []
        self.lead = 0.0
        self.offset = 0
        #: What the model makes no sound of, the beginnings of segments and signs inside others, with the first place
        #: of each, in characters of the text as it is spoken.
        self.left_out: dict[str, int] = {}
        #: Each warning once, in the order of the text.
        self.warnings: dict[str, None] = {}

    def add(self, turn: Turn, spans: list[Span]) -> None:
        """Appends the segments of one turn. Raises `InvalidText` above `MAX_SEGMENTS`."""
        if self.segments:
            self._pause(TURN_PAUSE)
        how = self._voicing(turn, " ".join(span.text for span in spans) if len(spans) > 1 else spans[0].text)
        plain = len(spans) == 1 and spans[0].text is self.request.text
        for span in spans:
            # Cleaned only here, since spaces and brackets have a meaning in the markup.
            self._span(span.text if plain else clean(span.text), span.rate, how, turn)
            # A tempo change at the end of a line separates the line end from the text, so its pause is added here.
            self._pause(span.pause or (line_pause(span.text) if span is not spans[-1] else 0.0))

    def _span(self, text: str, rate: float, how: Voicing, turn: Turn) -> None:
        if not sayable(text):
            return
        speed = self._speed(turn, rate)
        if rate != 1.0:
            engine_speed = self._engine_speed(speed)
            how = replace(how, speed=engine_speed, stretch=speed / engine_speed)
        quick = self.quick_first and not self.segments
        for part in segment(text, self.capabilities.cut, how.language, quick_first=quick):
            start, end = self.offset + part.start, self.offset + part.end
            spoken = self.reader.read(part.text.strip(), how.language)
            if not self._is_heard(part, spoken, how.language, start):
                self._pause(part.pause / speed)
                continue
            self.segments.append(Segment(part.text, part.pause / speed, start, end))
            self.voicings.append(how)
            self.spoken.append(spoken)
        self.offset += len(text)
        if len(self.segments) > MAX_SEGMENTS:
            raise errors.InvalidText(
                f"The text has more than {MAX_SEGMENTS:,} parts that are spoken one by one; send it as several texts",
                param="text",
            )

    def _is_heard(self, part: Segment, spoken: Spoken, language: str, start: int) -> bool:
        """Whether a segment has a sound; notes what of it has none. `start`: its place in the text."""
        if not makes_a_sound(self.capabilities, spoken.text, language):
            self.left_out.setdefault(part.text.strip()[:LEFT_OUT_CHARS], start)
            return False
        for sign in silent_signs(self.capabilities, spoken.text, language):
            self.left_out.setdefault(sign, start + max(0, part.text.find(sign)))
        return True

    def _pause(self, seconds: float) -> None:
        if not self.segments:
            self.lead += seconds
            return
        last = self.segments[-1]
        self.segments[-1] = Segment(last.text, last.pause + seconds, last.start, last.end)

    def _voicing(self, turn: Turn, text: str) -> Voicing:
        request, capabilities = self.request, self.capabilities
        language = turn.language or request.language or self.language or languages.detect(text)
        language = language.lower().partition("-")[0]
        asked = turn.voice or request.voice
        language = voice_selection.language_of(asked, turn.language or request.language, language, capabilities)
        if capabilities.languages and language not in capabilities.languages:
            language = self._other_language(turn, language)
        recorded = asked if asked and digest_of(asked) else None
        voice, warning = (recorded, None) if recorded else voice_selection.choose(asked, language, capabilities)
        if warning:
            self._warn(warning)
        emotion = request.emotion if turn.emotion is None else turn.emotion
        for name in emotion:
            if name not in capabilities.emotions and name not in ("calm", NEUTRAL):
                self._warn(f"{self.model} cannot sound {name}; the emotion was left out")
        if self.request.normalization_options and self.request.reading == "on" and not self.reader.reads(language):
            self._warn(f"{self.model} reads numbers and signs by itself; normalization_options were not used")
        speed = self._speed(turn, 1.0)
        engine_speed = self._engine_speed(speed)
        return Voicing(
            voice=voice,
            language=language,
            emotion={name: weight for name, weight in emotion.items() if name in capabilities.emotions},
            speed=engine_speed,
            stretch=speed / engine_speed,
            speaker=(turn.speaker or asked or voice) if request.turns else None,
        )

    def _other_language(self, turn: Turn, language: str) -> str:
        """The language in which the model reads a text of one that it does not list. Raises `UnsupportedLanguage`."""
        listed = self.capabilities.languages
        if self.capabilities.tries_any_language:
            self._warn(f"{self.model} does not speak language {language} well")
            return language
        if turn.language or self.request.language or not self.request.turns:
            why = f"{self.model} does not speak {language!r}, but {', '.join(listed)}; name another model or language"
            if (remedy := self.capabilities.installable.get(language)) is not None:
                why = f"{self.model} cannot speak {language!r} yet: the operator installs what it needs {remedy}"
            raise errors.UnsupportedLanguage(why, param="language")
        # One line of a dialogue costs no other: what of it the model can read is spoken, the rest is left out.
        self._warn(f"{self.model} does not speak {language!r}: a turn was read as {listed[0]}")
        return listed[0]

    def _speed(self, turn: Turn, rate: float) -> float:
        return min(max(self.request.speed * turn.speed * rate, SPEED_MIN), SPEED_MAX)

    def _engine_speed(self, speed: float) -> float:
        """The part of a speed that the engine can do; its audio is stretched by the rest."""
        return min(max(speed, self.capabilities.speed_min), self.capabilities.speed_max)

    def _warn(self, message: str) -> None:
        self.warnings[message] = None

    def plan(self) -> SpeechPlan:
        if self.left_out:
            places = [f"{text!r} (character {at + 1})" for text, at in [*self.left_out.items()][:LEFT_OUT]]
            shown = ", ".join(places) + " …" * (len(self.left_out) > LEFT_OUT)
            if not self.segments:
                raise errors.NothingToSay(f"{self.model} has no sound for anything in the text: {shown}", param="text")
            self._warn(f"{self.model} has no sound for {shown}; it was left out")
        if not self.segments:
            raise errors.InvalidText(NOTHING, param="text")
        for name in self.request.options:
            if name not in self.capabilities.options:
                self._warn(f"{self.model} does not use {name}")
        options = {name: value for name, value in self.request.options.items() if name in self.capabilities.options}
        return SpeechPlan(
            self.request, self.model, self.capabilities, self.segments, self.voicings, self.spoken,
            tuple(self.warnings), options, self.lead, self._early(),
        )  # fmt: skip

    def _early(self) -> bool:
        """Whether a listener gains by hearing the first segment before its end: not if it is short, nor if it is
        stretched, for which it must be whole."""
        first = length(self.spoken[0].text) / self.voicings[0].speed
        return self.quick_first and self.capabilities.early and first >= EARLY and self.voicings[0].stretch == 1.0


def turns(request: SpeechRequest) -> tuple[Turn, ...]:
    """The turns of a request: one turn with the whole text if it is not a dialogue."""
    return request.turns or (Turn(request.text),)
