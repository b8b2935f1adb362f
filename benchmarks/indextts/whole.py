"""The whole way of a text, by the package itself and by the batched runtime at several segments at once; and by another
server, asked for the same texts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.indextts import checkpoint
from tests.unit.test_audio_pcm import tone

from antiphon.audio import wav
from antiphon.domain.engine import Emitted, Ended
from antiphon.domain.unit import SpeechParams, Wish
from antiphon.engines.indextts import indextts25
from antiphon.engines.indextts.batched import BatchedIndexTTS
from antiphon.engines.indextts.indextts25 import IndexTTS25
from benchmarks.indextts import models

RATE = 22050
#: Voices that the segments share, and segments that the package itself is measured with.
VOICES, ALONE = 4, 4
#: Segments for nobody beside which a listener's first sound is measured.
BULK = 48
TEXT = "Sentence number {} of this measurement is as long as people's sentences are, and says nothing else."


def measure(size: str, device: str, clients: Sequence[int], segments: int) -> dict[str, Any]:
    """Seconds of audio made in a second, the package's and ours by segments at once, and the wait for a first sound."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        options = {**_files(Path(folder), size), "device": device, "normalise": [], "threads": 1}
        with _loaded(options | {"runtime": "serial"}) as serial:
            package = _package(serial, min(ALONE, segments))
        ours: dict[str, float] = {}
        first: dict[str, float] = {}
        with _loaded(options | {"runtime": "batched", "rows": max(clients)}) as engine:
            for count in clients:
                ours[str(count)] = _at_once(engine, count, max(segments, count))
            first["idle"] = _first_sound(engine, 0)
            first[f"beside_{BULK}"] = _first_sound(engine, BULK)
        return {
            "audio_seconds_a_second": {"package": package, "segments_at_once": ours},
            "first_sound_seconds": {name: round(seconds, 3) for name, seconds in first.items()},
        }


def rival(url: str, clients: Sequence[int], segments: int) -> dict[str, float]:
    """Seconds of audio that a server of OpenAI's speech makes in a second, by requests at once."""
    found = {}
    with httpx.Client(base_url=url, timeout=600) as client:

        def ask(number: int) -> float:
            body = {"model": "tts-1", "voice": "alloy", "input": TEXT.format(number), "response_format": "wav"}
            answer = client.post("/v1/audio/speech", json=body)
            answer.raise_for_status()
            samples, rate = wav.read(answer.content)
            return len(samples) / 2 / rate

        ask(0)
        for count in clients:
            began = time.perf_counter()
            with ThreadPoolExecutor(count) as pool:
                # Other texts each time: what was made before would come from a cache.
                audio = sum(pool.map(ask, range(1000 * count, 1000 * count + max(segments, count))))
            found[str(count)] = round(audio / (time.perf_counter() - began), 2)
    return found


def _files(folder: Path, size: str) -> dict[str, str]:
    """A checkpoint with random weights that ends after about two seconds of sound, and recordings."""
    config, vocoder = models.config(size)
    attention = 12.0 if size == "tiny" else 3.0
    checkpoint.build(folder / "indextts-2.5", config=config, vocoder=vocoder, attention=attention)
    voices = folder / "voices"
    voices.mkdir()
    for number in range(VOICES):
        samples = tone(6.0, RATE, 110.0 + 30 * number)
        (voices / f"{number:064x}.wav").write_bytes(wav.header(RATE, len(samples)) + samples)
    return {"dir": str(folder / "indextts-2.5"), "voices": str(voices)}


@contextmanager
def _loaded(options: dict[str, Any]) -> Iterator[Any]:
    engine = indextts25.engine(options)
    engine.load(lambda name, fraction=None: None)
    engine.warm()
    yield engine
    engine.close()


def _params(number: int) -> dict[str, Any]:
    voice = f"ref:{number % VOICES:064x}"
    return SpeechParams(TEXT.format(number), voice, "en", seed=number).as_params()


class Unwatched:
    """The context of a unit that nobody cancels."""

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        """Nobody listens."""


def _package(engine: IndexTTS25, segments: int) -> float:
    for number in range(VOICES):
        list(engine.run(_params(number), Unwatched()))
    began, size = time.perf_counter(), 0
    for number in range(100, 100 + segments):
        size += sum(len(chunk.payload) for chunk in engine.run(_params(number), Unwatched()))
    return round(size / 2 / RATE / (time.perf_counter() - began), 3)


def _at_once(engine: BatchedIndexTTS, count: int, segments: int) -> float:
    """`count` segments are kept at work until all are done."""
    waiting, working, size = list(range(1000 * count, 1000 * count + segments)), set[int](), 0
    began = time.perf_counter()
    while waiting or working:
        while waiting and len(working) < count:
            working.add(number := waiting.pop())
            engine.admit(number, _params(number), Wish())
        for event in engine.step():
            if isinstance(event, Emitted):
                size += len(event.chunk.payload)
            elif isinstance(event, Ended):
                _check(event)
                working.discard(event.unit)
    return round(size / 2 / RATE / (time.perf_counter() - began), 3)


def _first_sound(engine: BatchedIndexTTS, bulk: int) -> float:
    """Seconds until a live segment's first sound, while segments for nobody have all the other slots."""
    units, slots = list(range(10**6, 10**6 + bulk)), engine.capabilities().slots
    working = set[int]()

    def admit() -> None:
        while units and len(working) < slots - 1:
            working.add(number := units.pop())
            engine.admit(number, _params(number), Wish())

    admit()
    for _ in range(20 if bulk else 0):
        working -= {event.unit for event in engine.step() if isinstance(event, Ended)}
        admit()
    live, began = 2 * 10**6, time.perf_counter()
    engine.admit(live, _params(live), Wish(live=True))
    while True:
        events = engine.step()
        if any(isinstance(event, Emitted) and event.unit == live for event in events):
            break
        working -= {event.unit for event in events if isinstance(event, Ended)}
        admit()
    took = time.perf_counter() - began
    for number in [*working, live]:
        engine.cancel(number)
    return took


def _check(event: Ended) -> None:
    if event.error is not None:
        raise event.error
