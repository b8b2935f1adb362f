"""A speech session: text comes in as it is written, its sentences are spoken in order, and it can be interrupted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from antiphon.domain import errors
from antiphon.domain.request import SpeechRequest, sayable
from antiphon.speech.response import SpeechResponse
from antiphon.speech.service import SpeechService
from antiphon.text.incremental import MAX_HELD, Granularity, Splitter

#: Sentences in work at once, the one that is being sent among them: the next is made meanwhile.
AHEAD = 3
#: Characters of the sentences that are made ahead: half a megabyte of 24 kHz audio.
AHEAD_CHARS = 160
#: Sentences and ends of utterances that may wait: what a client that sends and never reads can make us hold.
MAX_WAITING = 4096
#: Characters up to which a sentence is given in one piece where that is asked for.
WHOLE = 300


@dataclass(frozen=True, slots=True)
class Voice:
    """How the sentences that follow are to be spoken."""

    #: Everything but the text.
    request: SpeechRequest
    granularity: Granularity = "sentence"
    #: Whether a sentence's audio is given as it is made, else in one piece (`WHOLE`).
    streamed: bool = True


@dataclass(eq=False, slots=True)
class Sentence:
    """One part of an utterance, on its way to be spoken."""

    utterance: int
    index: int
    text: str
    voice: Voice
    #: Set as soon as it is in work.
    task: asyncio.Task[SpeechResponse] | None = None
    cancelled: bool = False

    def wanted(self) -> bool:
        """Whether nobody has interrupted it so far."""
        return not self.cancelled


@dataclass(frozen=True, slots=True)
class Started:
    sentence: Sentence
    speech: SpeechResponse

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that follows."""
        capabilities = self.speech.job.active.served.capabilities
        return self.speech.plan.request.sample_rate or (capabilities.sample_rate if capabilities is not None else 24000)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a sentence that was started, or that could not be."""

    sentence: Sentence
    bytes: int
    error: errors.AntiphonError | None


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    utterance: int
    sentences: int
    cancelled: bool


Event = Started | bytes | Ended | UtteranceEnded


class SpeechSession:
    """One conversation's voice. `events` must be read; `close` it in any case, which frees what it holds."""

    def __init__(self, speech: SpeechService, owner: str, voice: Voice) -> None:
        self._speech, self._owner, self._voice = speech, owner, voice
        self._splitter = self._new_splitter()
        self._queue: deque[Sentence | UtteranceEnded] = deque()
        self._current: Sentence | None = None
        self._wake = asyncio.Event()
        self._utterance = self._count = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be spoken of what is known to be complete."""
        return self._current is None and not self._queue

    def configure(self, voice: Voice) -> None:
        """For the text that follows. Raises `InvalidRequest` in the middle of an utterance."""
        if self._count or self._splitter.held:
            raise errors.InvalidRequest("Send session.config before an utterance's first text or after input.done")
        self._voice = voice
        self._splitter = self._new_splitter()

    def put(self, text: str) -> None:
        """More of the utterance. Raises `InvalidText`, and takes nothing, when too much waits to be spoken."""
        self._check_room()
        waiting = sum(len(s.text) for s in self._queue if isinstance(s, Sentence)) + self._splitter.held
        if waiting + len(text) > MAX_HELD:
            raise errors.InvalidText(f"More than {MAX_HELD} characters wait to be spoken; send the rest later")
        for piece in self._splitter.feed(text):
            self._add(piece)

    def done(self) -> None:
        """The utterance is complete: what is held is spoken too. Raises `InvalidText` when too much waits."""
        self._check_room()
        self._add(self._splitter.flush())
        self._end(cancelled=False)

    def cancel(self) -> None:
        """Stops at once: what runs is cancelled, what waits is dropped, and new text is a new utterance."""
        for sentence in self._sentences():
            _drop(sentence)
        ends = [replace(item, cancelled=True) for item in self._queue if isinstance(item, UtteranceEnded)]
        self._queue = deque(ends)
        self._splitter.flush()
        self._check_room()
        self._end(cancelled=True)

    async def events(self) -> AsyncGenerator[Event]:
        """What is to be told and sent, in order; waits while there is nothing. Read it once."""
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            item = self._queue.popleft()
            if isinstance(item, UtteranceEnded):
                yield item
                continue
            self._current = item
            self._work_ahead()
            try:
                async with contextlib.aclosing(self._speak(item)) as events:
                    async for event in events:
                        yield event
            finally:
                self._current = None
                _drop(item)

    def close(self) -> None:
        for sentence in self._sentences():
            _drop(sentence)
        self._queue.clear()

    async def _speak(self, sentence: Sentence) -> AsyncGenerator[Event]:
        assert sentence.task is not None
        size, error = 0, None
        try:
            await asyncio.wait((sentence.task,))
            if sentence.wanted():
                speech = sentence.task.result()
                yield Started(sentence, speech)
                if not sentence.voice.streamed and len(sentence.text) <= WHOLE:
                    data = await speech.whole()
                    if sentence.wanted():
                        yield data
                        size = len(data)
                else:
                    async with contextlib.aclosing(speech.stream()) as parts:
                        async for part in parts:
                            if not sentence.wanted():
                                break
                            yield part
                            size += len(part)
        except errors.AntiphonError as e:
            error = None if sentence.cancelled else e
        yield Ended(sentence, size, error)

    def _work_ahead(self) -> None:
        """Starts the current sentence, and those after it as far as there is room for what they will hold."""
        chars = 0
        for number, sentence in enumerate(self._sentences()):
            if number:
                chars += len(sentence.text)
            if number >= AHEAD or (number and chars > AHEAD_CHARS):
                return
            if sentence.task is None:
                request = sentence.voice.request.with_text(sentence.text)
                sentence.task = asyncio.create_task(
                    self._speech.speak(request, self._owner, streamed=True), name="sentence"
                )

    def _sentences(self) -> list[Sentence]:
        waiting = [item for item in self._queue if isinstance(item, Sentence)]
        return waiting if self._current is None else [self._current, *waiting]

    def _check_room(self) -> None:
        if len(self._queue) >= MAX_WAITING:
            raise errors.InvalidText("Too many sentences wait to be spoken; send the rest later")

    def _add(self, text: str) -> None:
        if not sayable(text):
            return
        self._queue.append(Sentence(self._utterance, self._count, text.strip(), self._voice))
        self._count += 1
        if self._current is not None:
            self._work_ahead()
        self._wake.set()

    def _end(self, *, cancelled: bool) -> None:
        self._queue.append(UtteranceEnded(self._utterance, self._count, cancelled))
        self._utterance, self._count = self._utterance + 1, 0
        self._wake.set()

    def _new_splitter(self) -> Splitter:
        return Splitter(self._voice.granularity, self._voice.request.language)


def _drop(sentence: Sentence) -> None:
    """Gives its place back; after its end it does nothing."""
    sentence.cancelled = True
    if sentence.task is None or sentence.task.cancel():
        return
    if not sentence.task.cancelled() and sentence.task.exception() is None:
        # This ends its run too, so whoever waits for its audio hears of it at once.
        sentence.task.result().close()
