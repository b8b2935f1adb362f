"""Speech session: takes text as it is written, speaks its sentences in order, and can be interrupted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace

import structlog

from antiphon.domain import errors
from antiphon.domain.request import SpeechRequest, sayable
from antiphon.speech.response import SpeechResponse
from antiphon.speech.service import SpeechService
from antiphon.text.incremental import MAX_HELD, Granularity, Splitter

log = structlog.get_logger("antiphon.socket")

#: Sentences computed at the same time, among them the one that is being sent.
AHEAD = 3
#: Characters of the sentences computed ahead: half a megabyte of 24 kHz audio.
AHEAD_CHARS = 160
#: Sentences and ends of utterances that may wait, which bounds the memory for a client that sends and never reads.
MAX_WAITING = 4096
#: Characters of a sentence that a warning quotes.
WARNED_CHARS = 30
#: Characters that are split at once: there may be a sentence in every second one.
PART = 4000
#: Characters up to which a sentence is sent in one piece if the client asks for that.
WHOLE = 300


@dataclass(frozen=True, slots=True)
class Voice:
    """How the following sentences are spoken."""

    #: The request without its text.
    request: SpeechRequest
    granularity: Granularity = "sentence"
    #: Whether a sentence's audio is sent as it is computed, or in one piece (`WHOLE`).
    streamed: bool = True


@dataclass(eq=False, slots=True)
class Sentence:
    """One sentence of an utterance, waiting or being spoken."""

    utterance: int
    index: int
    text: str
    voice: Voice
    #: Computes the response; None until it is started.
    task: asyncio.Task[SpeechResponse] | None = None
    cancelled: bool = False

    def active(self) -> bool:
        """Whether it is not cancelled; a method, since that may change during any `await`."""
        return not self.cancelled


@dataclass(frozen=True, slots=True)
class Started:
    """The audio of a sentence follows."""

    sentence: Sentence
    speech: SpeechResponse

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz of the audio that follows."""
        capabilities = self.speech.job.active.served.capabilities
        return self.speech.plan.request.sample_rate or (capabilities.sample_rate if capabilities is not None else 24000)


@dataclass(frozen=True, slots=True)
class Ended:
    """A sentence has ended: it was sent, was interrupted, or could not be spoken."""

    sentence: Sentence
    bytes: int
    error: errors.AntiphonError | None
    #: What of it was left out, since the model cannot say it.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """All sentences of an utterance have ended."""

    utterance: int
    sentences: int
    cancelled: bool


Event = Started | bytes | Ended | UtteranceEnded


class SpeechSession:
    """Speaks one conversation. Read `events`, and `close` the session in any case, which cancels its work."""

    def __init__(self, speech: SpeechService, owner: str, voice: Voice) -> None:
        self._speech, self._owner, self._voice = speech, owner, voice
        self._splitter = self._new_splitter()
        self._queue: deque[Sentence | UtteranceEnded] = deque()
        self._current: Sentence | None = None
        self._wake = asyncio.Event()
        self._utterance = self._count = 0
        #: Characters of the sentences in the queue.
        self._waiting = 0

    @property
    def idle(self) -> bool:
        """Whether all complete sentences have been spoken."""
        return self._current is None and not self._queue

    def configure(self, voice: Voice) -> None:
        """Sets the voice of the following text. Raises `InvalidRequest` in the middle of an utterance."""
        if self._count or self._splitter.held:
            raise errors.InvalidRequest("Send session.config before an utterance's first text or after input.done")
        self._voice = voice
        self._splitter = self._new_splitter()

    async def put(self, text: str) -> None:
        """Adds text to the utterance; nothing but `close` may be called meanwhile. Raises `InvalidText`, and adds
        nothing, if too much waits to be spoken."""
        self._check_room()
        if self._waiting + self._splitter.held + len(text) > MAX_HELD:
            raise errors.InvalidText(f"More than {MAX_HELD} characters wait to be spoken; send the rest later")
        for start in range(0, len(text), PART):
            part = text[start : start + PART]
            for piece in await self._speech.text_threads.run_text(len(part), self._splitter.feed, part):
                self._add(piece)
            self._go_on()

    def done(self) -> None:
        """Ends the utterance; the rest of its text is spoken too. Raises `InvalidText` if too much waits."""
        self._check_room()
        self._add(self._splitter.flush())
        self._go_on()
        self._end(cancelled=False)

    def cancel(self) -> None:
        """Stops at once: cancels running sentences, drops waiting ones, and starts a new utterance."""
        for sentence in self._sentences():
            _drop(sentence)
        ends = [replace(item, cancelled=True) for item in self._queue if isinstance(item, UtteranceEnded)]
        self._queue, self._waiting = deque(ends), 0
        self._splitter.flush()
        self._check_room()
        self._end(cancelled=True)

    async def events(self) -> AsyncGenerator[Event]:
        """Events and audio in order; waits while there are none. Read it once."""
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            item = self._queue.popleft()
            if isinstance(item, UtteranceEnded):
                yield item
                continue
            self._current = item
            self._waiting -= len(item.text)
            self._work_ahead()
            try:
                async with contextlib.aclosing(self._speak(item)) as events:
                    async for event in events:
                        yield event
            finally:
                self._current = None
                _drop(item)

    def close(self) -> None:
        """Cancels all sentences."""
        for sentence in self._sentences():
            _drop(sentence)
        self._queue.clear()
        self._waiting = 0

    async def _speak(self, sentence: Sentence) -> AsyncGenerator[Event]:
        assert sentence.task is not None
        size, error = 0, None
        warnings: tuple[str, ...] = ()
        try:
            await asyncio.wait((sentence.task,))
            if sentence.active():
                speech = sentence.task.result()
                yield Started(sentence, speech)
                if not sentence.voice.streamed and len(sentence.text) <= WHOLE:
                    data = await speech.whole()
                    if sentence.active():
                        yield data
                        size = len(data)
                else:
                    async with contextlib.aclosing(speech.stream()) as parts:
                        async for part in parts:
                            if not sentence.active():
                                break
                            yield part
                            size += len(part)
                warnings = speech.warnings
        except errors.InvalidText as e:
            # A sentence in which nothing can be said is left out like a segment of a longer text.
            warnings = () if sentence.cancelled else (f"{sentence.text[:WARNED_CHARS]!r} was left out: {e.public}",)
        except errors.AntiphonError as e:
            error = None if sentence.cancelled else e
        except Exception:
            # A defect of the server over one sentence does not end the conversation.
            log.exception("a sentence failed inside the server")
            error = errors.AntiphonError()
        yield Ended(sentence, size, error, warnings)

    def _work_ahead(self) -> None:
        """Starts the current sentence, and the next ones within `AHEAD` and `AHEAD_CHARS`."""
        chars = 0
        for number, sentence in enumerate(self._sentences()):
            if number:
                chars += len(sentence.text)
            if number >= AHEAD or (number and chars > AHEAD_CHARS):
                return
            if sentence.task is None:
                request = sentence.voice.request.with_text(sentence.text)
                speaking = self._speech.speak(request, self._owner, streamed=True)
                sentence.task = asyncio.create_task(speaking, name="sentence")

    def _sentences(self) -> Iterator[Sentence]:
        """The current sentence and those that wait, in order. A reader that needs the first few stops there."""
        if self._current is not None:
            yield self._current
        yield from (item for item in self._queue if isinstance(item, Sentence))

    def _check_room(self) -> None:
        if len(self._queue) >= MAX_WAITING:
            raise errors.InvalidText("Too many sentences wait to be spoken; send the rest later")

    def _add(self, text: str) -> None:
        if not sayable(text):
            return
        text = text.strip()
        self._queue.append(Sentence(self._utterance, self._count, text, self._voice))
        self._count += 1
        self._waiting += len(text)

    def _go_on(self) -> None:
        """Speaks what was added."""
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
    """Cancels a sentence, which frees its place in the queue; does nothing after its end."""
    sentence.cancelled = True
    if sentence.task is None or sentence.task.cancel():
        return
    if not sentence.task.cancelled() and sentence.task.exception() is None:
        # Closing the response also ends its run, so that a reader of its audio does not wait.
        sentence.task.result().close()
