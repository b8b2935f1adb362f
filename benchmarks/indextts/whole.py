"""The whole way of a text, by the package itself and by the batched runtime at several segments at once; and by another
server, asked for the same texts."""

from __future__ import annotations

import multiprocessing
import statistics
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
from antiphon.engines.indextts import indextts25, torchaudio_stub
from antiphon.engines.indextts.batch.policy import Stage
from antiphon.engines.indextts.batched import BatchedIndexTTS
from antiphon.worker.memory import rss, vram
from benchmarks.indextts import models

RATE = 22050
#: Voices that the segments share, and segments that the package itself is measured with.
VOICES, ALONE = 4, 4
#: Recordings of the soak, and listeners whose wait is measured.
SOAKED, LISTENERS = 12, 5
#: Segments for nobody beside which a listener's first sound is measured.
BULK = 48
#: Short enough for two seconds of sound to pass the guard.
TEXT = "Sentence number {} of this measurement says nothing."


def measure(size: str, device: str, clients: Sequence[int], segments: int, processes: Sequence[int]) -> dict[str, Any]:
    """Seconds of audio made in a second: the package's, by processes of it, and ours, by segments at once; what part of
    that the codes take; and the wait for a first sound."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        options = {**_files(Path(folder), size), "device": device, "normalise": [], "threads": 1}
        serial = options | {"runtime": "serial"}
        package = {str(count): _processes(serial, count, min(ALONE, segments)) for count in processes}
        ours: dict[str, float] = {}
        codes: dict[str, float] = {}
        first: dict[str, float] = {}
        with _loaded(options | {"runtime": "batched", "rows": max(clients)}) as engine:
            for count in clients:
                engine._runtime.spent[Stage.CODES] = 0.0
                ours[str(count)] = _at_once(engine, count, max(segments, count))
                codes[str(count)] = round(engine._runtime.spent[Stage.CODES] / max(segments, count), 4)
            first["idle_p50"] = statistics.median(_first_sounds(engine, 0))
            waits = sorted(_first_sounds(engine, BULK))
            first |= {f"beside_{BULK}_p50": statistics.median(waits), f"beside_{BULK}_longest": waits[-1]}
        return {
            "audio_seconds_a_second": {"package_processes": package, "segments_at_once": ours},
            "codes_seconds_a_segment": codes,
            "first_sound_seconds": {name: round(seconds, 3) for name, seconds in first.items()},
        }


def soak(size: str, device: str, units: int) -> dict[str, Any]:
    """Memory in MB after every sixth of the units, of twelve voices, some of which are cancelled; and what is left."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        options = {**_files(Path(folder), size, SOAKED), "device": device, "normalise": [], "threads": 1}
        with _loaded(options | {"runtime": "batched", "rows": 8}) as engine:
            admitted = ended = 0
            working, memory = set[int](), list[int]()
            while ended < units:
                while len(working) < engine.capabilities().slots:
                    admitted += 1
                    working.add(admitted)
                    engine.admit(admitted, _params(admitted, SOAKED), Wish(live=admitted % 5 == 0))
                    if admitted % 17 == 3:
                        working.remove(gone := min(working))
                        engine.cancel(gone)
                done = {event.unit for event in engine.step() if isinstance(event, Ended)}
                working, ended = working - done, ended + len(done)
                if ended >= units * (len(memory) + 1) / 6:
                    memory.append(round((vram() or rss()) / 1e6))
            for number in working:
                engine.cancel(number)
            left = len(engine._runtime._rows) + len(engine._runtime._slots._used)
    return {"units": units, "megabytes": memory, "growth_of_the_last_half": memory[-1] / memory[2] - 1, "left": left}


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


def _files(folder: Path, size: str, recordings: int = VOICES) -> dict[str, str]:
    """A checkpoint with random weights that ends after about two seconds of sound, and recordings."""
    config, vocoder = models.config(size)
    attention = 12.0 if size == "tiny" else 3.0
    checkpoint.build(folder / "indextts-2.5", config=config, vocoder=vocoder, attention=attention)
    voices = folder / "voices"
    voices.mkdir()
    for number in range(recordings):
        samples = tone(6.0, RATE, 110.0 + 20 * number)
        (voices / f"{number:064x}.wav").write_bytes(wav.header(RATE, len(samples)) + samples)
    return {"dir": str(folder / "indextts-2.5"), "voices": str(voices)}


@contextmanager
def _loaded(options: dict[str, Any]) -> Iterator[Any]:
    engine = indextts25.engine(options)
    engine.load(lambda name, fraction=None: None)
    engine.warm()
    yield engine
    engine.close()


def _params(number: int, voices: int = VOICES) -> dict[str, Any]:
    voice = f"ref:{number % voices:064x}"
    return SpeechParams(TEXT.format(number), voice, "en", seed=number).as_params()


class Unwatched:
    """The context of a unit that nobody cancels."""

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        """Nobody listens."""


def _processes(options: dict[str, Any], count: int, segments: int) -> float:
    """So many processes of the package, each of which speaks so many segments one after the other."""
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(count), context.SimpleQueue()
    started = [context.Process(target=_alone, args=(options, n, segments, ready, told)) for n in range(count)]
    for process in started:
        process.start()
    audio, seconds = zip(*(told.get() for _ in started), strict=True)
    for process in started:
        process.join()
    return round(sum(audio) / max(seconds), 3)


def _alone(options: dict[str, Any], number: int, segments: int, ready: Any, told: Any) -> None:
    """One of these processes: tells seconds of audio, and seconds since all of them were ready."""
    torchaudio_stub.install()
    with _loaded(options) as engine:
        for voice in range(VOICES):
            list(engine.run(_params(voice), Unwatched()))
        ready.wait()
        began, size = time.perf_counter(), 0
        for text in range(100 * (number + 1), 100 * (number + 1) + segments):
            size += sum(len(chunk.payload) for chunk in engine.run(_params(text), Unwatched()))
        told.put((size / 2 / RATE, time.perf_counter() - began))


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


def _first_sounds(engine: BatchedIndexTTS, bulk: int) -> list[float]:
    return [_first_sound(engine, bulk, listener) for listener in range(LISTENERS)]


def _first_sound(engine: BatchedIndexTTS, bulk: int, listener: int) -> float:
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
    live, began = 2 * 10**6 + listener, time.perf_counter()
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
