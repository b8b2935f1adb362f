"""The tests' ear: Whisper writes down what it hears, and the error rate says how much of it was right."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import re
import shutil
import unicodedata
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from antiphon.catalog import files

# Two test runs on a small machine must not fight over its cores; numeric libraries read this when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Tells Whisper to write simplified characters, with punctuation; a sentence that no test says.
SIMPLIFIED = "以下是普通话的句子。"

# fmt: off
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
# fmt: on
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
#: The consonants of Hindi in three scripts. Left out: h, which Latin and Arabic letters also write for breath, and
#: y, v and nasal vowels, which they write as vowels do.
_SOUNDS = {
    ch: sound
    for sound, letters in {
        "k": "कखक़kcqکقك", "g": "गघgگغ", "c": "चछचc", "j": "जझjzzجزذظ", "t": "टठतथtتطٹ", "d": "डढदधdدڈ",
        "n": "नणnنں", "p": "पफpfپف", "b": "बभbب", "m": "मmم", "r": "रrرڑ", "l": "लlل", "s": "शषससsسشصث",
    }.items()
    for ch in letters
} | {"c": "c", "چ": "c"}  # fmt: skip
_DIGITS = "零一二三四五六七八九"


def models_dir() -> Path:
    """Where the tests' models live: kept between runs, and out of the repository."""
    chosen = os.environ.get("ANTIPHON_TEST_MODELS")
    return Path(chosen) if chosen else Path(__file__).parents[1] / "cache_hub" / "models"


def model(name: str) -> Path:
    """The directory of a model, or of a voice of Piper, fetched first if it is not there; two test runs at once fetch it
    once. Voices have a folder of their own, since `auto` serves Piper where there is one.

    Skips the test where nothing can be reached.
    """
    import pytest

    from antiphon import plugins
    from antiphon.catalog import piper_voices
    from antiphon.catalog.download import Downloader
    from antiphon.catalog.models import MODELS, missing_modules
    from antiphon.domain import errors

    voice = piper_voices.is_asked(name)
    spec, folder = (piper_voices.find(name), models_dir() / "voices") if voice else (MODELS[name], models_dir())
    absent = missing_modules(spec)
    if absent or spec.engine not in plugins.engines():
        pytest.skip(f"{name} needs {', '.join(absent) or 'its engine; run make install'}")
    try:
        # In a thread of its own: the caller may be a test that runs in an event loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(Downloader(folder).pull(spec))).result()
    except errors.Offline as e:
        pytest.skip(e.message)


def copied(name: str, models_dir: Path) -> Path:
    """The model's folder in another `models_dir`, as an operator copies it: without the marks of what was verified. What
    was made of its files comes with them, since that takes seconds."""
    folder = models_dir / name
    shutil.copytree(model(name), folder, copy_function=_link, ignore=shutil.ignore_patterns(files.MARKER, ".*"))
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def hear(audio: bytes, rate: int = 24000, language: str = "en") -> str:
    """What is said in a WAV file, or in mono 16-bit PCM of that rate (Hz)."""
    import numpy as np
    import soxr

    if audio[:4] == b"RIFF":
        with wave.open(io.BytesIO(audio)) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            rate, audio = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
    segments, _ = _whisper().transcribe(
        soxr.resample(samples, rate, 16000),
        language=language,
        beam_size=1,
        temperature=0.0,
        without_timestamps=True,
        condition_on_previous_text=False,
        initial_prompt=SIMPLIFIED if language == "zh" else None,
    )
    return " ".join(segment.text.strip() for segment in segments)


@functools.cache
def _whisper() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(model("whisper-base")), device="cpu", compute_type="int8", cpu_threads=1)


def wer(reference: str | list[str], heard: str | list[str]) -> float:
    """Word error rate, over one text or over several together; case, punctuation and digits make no difference."""
    import jiwer

    return float(jiwer.wer(_each(_words, reference), _each(_words, heard)))


def cer(reference: str | list[str], heard: str | list[str]) -> float:
    """Character error rate without spaces and punctuation; digits count as Chinese numerals."""
    import jiwer

    return float(jiwer.cer(_each(_characters, reference), _each(_characters, heard)))


def consonants(reference: list[str], heard: list[str]) -> float:
    """Error rate of consonants in Hindi. Whisper writes what it hears of it in Devanagari, Arabic or Latin letters as it
    likes, and the last two leave vowels out or spell them freely; consonants are comparable, without their breath."""
    import jiwer

    return float(jiwer.cer(_each(_skeleton, reference), _each(_skeleton, heard)))


def _skeleton(text: str) -> str:
    text = unicodedata.normalize("NFKD", text.lower()).replace("ch", "c").replace("sh", "s")
    return re.sub(r"(.)\1+", r"\1", "".join(_SOUNDS.get(ch, "") for ch in text))


def _each(normalise: Any, texts: str | list[str]) -> list[str]:
    return [normalise(text) for text in ([texts] if isinstance(texts, str) else texts)]


def _words(text: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", unicodedata.normalize("NFKC", text).lower())
    text = re.sub(r"\d{1,6}", lambda m: f" {_english(int(m[0]))} ", text)
    return " ".join(re.sub(r"[^\w' ]", " ", text.replace("’", "'")).split())


def _english(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        return " ".join([_TENS[number // 10 - 2], *([_ONES[number % 10]] if number % 10 else [])])
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head, rest = divmod(number, size)
    return f"{_english(head)} {name}" + (f" {_english(rest)}" if rest else "")


def _characters(text: str) -> str:
    text = re.sub(r"\d{1,6}", lambda m: _chinese(int(m[0])), unicodedata.normalize("NFKC", text).lower())
    return re.sub(r"[\W_]", "", text)


def _chinese(number: int) -> str:
    """Numbers below a million as they are read; years come out as numbers too, so that both sides agree."""
    if number < 10:
        return _DIGITS[number]
    size, name = next((s, n) for s, n in ((10_000, "万"), (1000, "千"), (100, "百"), (10, "十")) if number >= s)
    head, rest = divmod(number, size)
    front = name if (head, size) == (1, 10) else _chinese(head) + name
    gap = "零" if rest and rest < size // 10 else ""
    return front + gap + (_chinese(rest) if rest else "")
