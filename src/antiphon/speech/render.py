"""Render: joins a run's segments into one encoded answer, streamed or written to a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.audio import codec, pcm, tempo
from antiphon.concurrency.threads import Threads
from antiphon.domain.job import Result
from antiphon.domain.request import Format, SpeechRequest
from antiphon.files import atomic
from antiphon.jobs.run import JobRun
from antiphon.speech.plan import SpeechPlan

#: Bytes of PCM that are copied on the event loop; longer or compressed audio goes to a thread.
INLINE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment's audio, or a part of it, and its place in the answer."""

    index: int
    #: Mono signed 16-bit little-endian.
    pcm: bytes
    #: Hz.
    rate: int
    #: Seconds from the beginning of the answer: where the segment starts, and where this piece ends.
    start: float
    end: float
    #: Seconds of silence that follow.
    pause: float
    #: Seconds of silence before it; only the first segment may have some.
    lead: float = 0.0
    #: Whether the segment ends with it.
    last: bool = True


@dataclass(slots=True)
class Timeline:
    """The place of each segment in the answer, from which subtitles are made."""

    segments: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    rate: int = 0

    def add(self, run: JobRun, plan: SpeechPlan, piece: Piece) -> None:
        self.seconds = piece.end + piece.pause
        self.rate = piece.rate
        if not piece.last:
            return
        text = plan.segments[piece.index].text.strip()
        segment: dict[str, Any] = {"text": text, "start": round(piece.start, 3), "end": round(piece.end, 3)}
        if piece.index in run.skipped:
            segment["skipped"] = True
        if changes := plan.spoken[piece.index].changes:
            segment["said"] = [[part.start, part.end, part.text] for part in changes]
        speaker = plan.voicings[piece.index].speaker
        self.segments.append(segment | {"speaker": speaker} if speaker else segment)


async def pieces(run: JobRun, plan: SpeechPlan, threads: Threads) -> AsyncGenerator[Piece]:
    """Every segment's audio in the order of the text; raises the error that ended the run."""
    at = lead = plan.lead
    index = 0
    async with contextlib.aclosing(run.entries()) as entries:
        async for entry in entries:
            rate = int(entry.meta.get("sample_rate", plan.capabilities.sample_rate))
            audio, pause = entry.payload, plan.segments[index].pause
            del entry
            if audio and plan.voicings[index].stretch != 1.0:
                audio = await threads.run(tempo.stretch, audio, rate, plan.voicings[index].stretch)
            piece = [Piece(index, audio, rate, at, at + pcm.duration(len(audio), rate), pause, lead)]
            del audio
            at, lead, index = piece[0].end + pause, 0.0, index + 1
            # Popped, so that this generator holds no reference to the audio while a slow reader has it.
            yield piece.pop()


async def live_pieces(run: JobRun, plan: SpeechPlan, threads: Threads) -> AsyncGenerator[Piece]:
    """As `pieces`, but of a segment that is being computed what there is of it; as a whole where it is stretched."""
    start = end = lead = plan.lead
    rate = plan.capabilities.sample_rate
    #: What has come of the segment and is not told yet: all of what is to be stretched, else half a sample.
    held = b""
    async with contextlib.aclosing(run.parts()) as parts:
        async for part in parts:
            audio, last, index = held + part.payload, part.last, part.index
            del part
            stretch = plan.voicings[index].stretch
            told = len(audio) if last else 0 if stretch != 1.0 else pcm.WIDTH * (len(audio) // pcm.WIDTH)
            audio, held = audio[:told], audio[told:]
            if stretch != 1.0:
                if not last:
                    continue
                audio = await threads.run(tempo.stretch, audio, rate, stretch)
            end += pcm.duration(len(audio), rate)
            pause = plan.segments[index].pause if last else 0.0
            piece = [Piece(index, audio, rate, start, end, pause, lead, last)]
            del audio
            lead = 0.0
            if last:
                start = end = end + pause
            # Popped, so that this generator holds no reference to the audio while a slow reader has it.
            yield piece.pop()


async def stream(run: JobRun, plan: SpeechPlan, threads: Threads, timeline: Timeline) -> AsyncGenerator[bytes]:
    """Encoded audio, each part as soon as there is one. Raises what ended the run."""
    request = plan.request
    encoder: codec.Encoder | None = None
    try:
        async with contextlib.aclosing(live_pieces(run, plan, threads)) as rendered:
            async for piece in rendered:
                timeline.add(run, plan, piece)
                if encoder is None:
                    encoder = codec.Encoder(request.format, piece.rate, rate_out=request.sample_rate, streaming=True)
                encoded = [await _feed(encoder, piece, threads)]
                del piece
                if encoded[0]:
                    yield encoded.pop()
        if encoder is not None:
            tail = await threads.run(encoder.finish)
            if tail:
                yield tail
    finally:
        if encoder is not None:
            encoder.close()


async def _feed(encoder: codec.Encoder, piece: Piece, threads: Threads) -> bytes:
    audio = padded(piece)
    if encoder.cheap and len(audio) <= INLINE:
        return encoder.feed(audio)
    return await threads.run(encoder.feed, audio)


def padded(piece: Piece) -> bytes:
    """The piece's samples with the silence before and after them."""
    if not piece.pause and not piece.lead:
        return piece.pcm
    return pcm.silence(piece.lead, piece.rate) + piece.pcm + pcm.silence(piece.pause, piece.rate)


async def encode(audio: bytes, rate: int, fmt: Format, rate_out: int | None, threads: Threads) -> bytes:
    """A whole answer, encoded at once."""
    if fmt in ("wav", "pcm") and rate_out in (None, rate) and len(audio) <= INLINE:
        return codec.encode(audio, rate, fmt, rate_out)
    return await threads.run(codec.encode, audio, rate, fmt, rate_out)


async def write(run: JobRun, plan: SpeechPlan, folder: Path, threads: Threads) -> Result:
    """Writes the answer to a file, which gets its name once it is complete; on an error no file is left."""
    request = plan.request
    name = f"speech_{run.job}{codec.EXTENSIONS[request.format]}"
    part, path = atomic.paths(folder, name)
    writer: codec.FileWriter | None = None
    timeline = Timeline()
    run.segments = timeline.segments
    try:
        async for piece in pieces(run, plan, threads):
            timeline.add(run, plan, piece)
            if writer is None:
                writer = await _open(part, request, piece.rate, threads)
            await threads.run(writer.feed, padded(piece))
        assert writer is not None, "a plan has at least one segment"
        size, digest, seconds = await threads.run(writer.finish)
        await threads.run(os.replace, part, path)
    except BaseException:
        if writer is not None:
            writer.close()
        atomic.discard(part)
        raise
    return Result(name, plan.media_type, size, seconds, digest, tuple(timeline.segments))


async def _open(part: str, request: SpeechRequest, rate: int, threads: Threads) -> codec.FileWriter:
    """Opens the file in a thread; if the caller is cancelled meanwhile, the file is closed and removed."""
    opening = asyncio.ensure_future(threads.run(codec.FileWriter, part, request.format, rate, request.sample_rate))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: _discard(done, part))
        raise


def _discard(opened: asyncio.Future[codec.FileWriter], part: str) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
        atomic.discard(part)
