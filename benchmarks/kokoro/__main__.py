"""`python -m benchmarks.kokoro [processor | quality | first | memory | workers]…`: prints what was measured.

Times are processor time where the machine may be shared, medians of rounds in which both sides take turns. The files of
Kokoro and Whisper are fetched as for the tests; `ANTIPHON_TEST_MODELS` names their folder.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.domain.unit import SpeechParams
from antiphon.engines.kokoro import Kokoro
from antiphon.engines.kokoro.audio import RATE
from benchmarks.engines import Context
from benchmarks.kokoro.sentences import CHINESE, ENGLISH

VOICES = {"en": "af_heart", "zh": "zm_yunxia"}
TEXTS = {"en": ENGLISH, "zh": CHINESE}
#: Sentences of a language that are measured by processor time, and that are heard.
COUNT, ALL = (int(os.environ.get("SENTENCES", n)) for n in (8, 20))
#: 2,000 characters, of which the first sentence is long.
LONG = {
    "en": "The old lighthouse keeper climbed the stairs slowly, because the lamp had to be lit before the first ships "
    "came back from the northern fishing grounds in the evening. ",
    "zh": "守灯塔的老人慢慢地爬上楼梯，因为在第一批渔船晚上从北方的渔场回来以前，"
    "他必须把灯点亮，然后坐在窗边等着它们。",
}


def folder() -> Path:
    from tests import ear

    return ear.model("kokoro")


def engine(threads: int = 1) -> Kokoro:
    return engine_of(folder(), threads)


def engine_of(models: Path | str, threads: int = 1) -> Kokoro:
    made = Kokoro({"dir": str(models), "threads": threads})
    made.load(lambda name, fraction=None: None)
    made.warm()
    return made


def chunks(kokoro: Kokoro, text: str, language: str, *, early: bool = False) -> Iterator[bytes]:
    params = SpeechParams(text, VOICES[language], language, early=early).as_params()
    for chunk in kokoro.run(params, Context()):
        yield chunk.payload


def package() -> Any:
    """The package as its documentation shows it, on the graph as it came, with one thread."""
    import onnxruntime
    from kokoro_onnx import Kokoro as Model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = folder() / "kokoro-v1.0.int8.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Model.from_session(session, str(folder() / "voices-v1.0.bin"))


def spoken(model: Any, kokoro: Kokoro, text: str, language: str) -> Any:
    """Samples of the package for the same phonemes."""
    phonemes = kokoro._batches(text, language, "en-us")[0]
    return model.create(phonemes, model.voices[VOICES[language]], 1.0, is_phonemes=True)[0]


def processor() -> None:
    """Processor time of a second of sound, the segment whole, against the package."""
    kokoro, model = engine(), package()
    print(f"{kokoro.capabilities().computation}; processor seconds of a second of sound, {COUNT} sentences")
    for language, texts in TEXTS.items():
        ours, early, theirs = [], [], []
        for text in texts[:COUNT]:
            began = time.process_time()
            samples = spoken(model, kokoro, text, language)
            theirs.append((time.process_time() - began) / (len(samples) / RATE))
            for costs, parts in ((ours, False), (early, True)):
                began = time.process_time()
                audio = b"".join(chunks(kokoro, text, language, early=parts))
                costs.append((time.process_time() - began) / (len(audio) / 2 / RATE))
        a, b, c = (statistics.median(each) for each in (ours, early, theirs))
        pairs = statistics.median(x / y for x, y in zip(ours, theirs, strict=True))
        print(f"{language}: {a:.3f}, in parts {b:.3f}, the package {c:.3f}; ratio of pairs {pairs:.2f}", flush=True)


def quality() -> None:
    """Errors by Whisper, level and brightness, of all sentences: whole, in parts, and by the package."""
    from tests import ear

    kokoro, model = engine(), package()
    for language, texts in TEXTS.items():
        heard: dict[str, list[str]] = {"package": [], "whole": [], "parts": []}
        levels: dict[str, list[tuple[float, float]]] = {name: [] for name in heard}
        for text in texts[:ALL]:
            samples = spoken(model, kokoro, text, language)
            said = {
                "package": np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(),
                "whole": b"".join(chunks(kokoro, text, language)),
                "parts": b"".join(chunks(kokoro, text, language, early=True)),
            }
            for name, audio in said.items():
                heard[name].append(ear.hear(audio, RATE, language))
                levels[name].append(loudness(audio))
        rate = ear.wer if language == "en" else ear.cer
        for name in heard:
            difference = np.array(levels[name]) - np.array(levels["package"])
            (level, bright), worst = difference.mean(axis=0), np.abs(difference[:, 0]).max()
            errors = rate(list(texts[:ALL]), heard[name])
            print(f"{language} {name}: errors {errors:.3f}, level {level:+.2f} dB (worst {worst:.2f}), ", end="")
            print(f"above 8 kHz {bright:+.2f} dB", flush=True)


def loudness(audio: bytes) -> tuple[float, float]:
    """Decibels of the speech, and of what is above 8 kHz; silence around it is not counted."""
    samples = np.frombuffer(audio, "<i2") / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    power = np.abs(np.fft.rfft(samples)) ** 2 / len(samples) ** 2
    return 10 * np.log10(power.sum()), 10 * np.log10(power[len(power) * 2 // 3 :].sum())


def first() -> None:
    """The first sound of a long text's first segment against that segment whole, by the engine, in wall time."""
    from antiphon.text.segment import segment

    kokoro = engine(threads=2)
    for language, sentence in LONG.items():
        text = sentence * (2000 // len(sentence) + 1)
        cut = kokoro.capabilities().cut
        head, sentences = segment(text[:2000], cut, language, quick_first=True)[0].text.strip(), sentence.strip()
        soon, whole = [], []
        for _ in range(3):
            gc.collect()
            began = time.perf_counter()
            parts = chunks(kokoro, head, language, early=True)
            next(parts)
            soon.append(time.perf_counter() - began)
            list(parts)
            began = time.perf_counter()
            list(chunks(kokoro, sentences, language))
            whole.append(time.perf_counter() - began)
        a, b = statistics.median(soon), statistics.median(whole)
        print(f"{language}: first sound {a:.2f} s, the first sentence whole {b:.2f} s, ratio {a / b:.2f} ({head!r})")


def memory() -> None:
    """Memory of a process that has spoken texts of mixed lengths."""
    import psutil

    kokoro = engine(threads=2)
    process = psutil.Process()
    print(f"ready {process.memory_info().rss / 2**20:.0f} MiB")
    most = 0
    for n in (1, 3, 6, 2, 5, 1, 4, 6, 1):
        text = " ".join(ENGLISH[:n])[: kokoro.capabilities().cut.max_chars]
        list(chunks(kokoro, text, "en", early=n == 3))
        list(chunks(kokoro, "".join(CHINESE[:n])[:70], "zh"))
        most = max(most, process.memory_info().rss)
        print(f"after {len(text)} characters {process.memory_info().rss / 2**20:.0f} MiB", flush=True)
    print(f"most {most / 2**20:.0f} MiB")


def workers(seconds: float = 25.0) -> None:
    """Sound a second of one worker with two threads, two with one and two with two, each for some time."""
    command = [sys.executable, "-c", _WORKER]
    for count, threads in ((1, 2), (2, 1), (2, 2), (1, 1)):
        began = time.perf_counter()
        running = [
            subprocess.Popen([*command, str(threads), str(seconds)], stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        told = [line.split() for process in running for line in process.communicate()[0].splitlines()[-1:]]
        sound, used = (sum(float(each[n]) for each in told) for n in (0, 1))
        each_second = used / sound
        print(f"{count} × {threads} threads: {sound / seconds:.2f} s of sound a second, {each_second:.2f} s of "
              f"processor time for each ({time.perf_counter() - began:.0f} s)", flush=True)  # fmt: skip


_WORKER = """
import sys, time
from benchmarks.kokoro.__main__ import ENGLISH, RATE, chunks, engine
kokoro = engine(int(sys.argv[1]))
sound, began, used = 0.0, time.perf_counter(), time.process_time()
while time.perf_counter() - began < float(sys.argv[2]):
    for text in ENGLISH[:3]:
        sound += sum(map(len, chunks(kokoro, text, "en"))) / 2 / RATE
took = time.perf_counter() - began
print(sound * float(sys.argv[2]) / took, (time.process_time() - used) * float(sys.argv[2]) / took)
"""

MEASURES: dict[str, Callable[[], None]] = {
    "processor": processor, "quality": quality, "first": first, "memory": memory, "workers": workers,
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or MEASURES:
        print(f"## {name}: {MEASURES[name].__doc__}", flush=True)
        MEASURES[name]()


if __name__ == "__main__":
    main()
