"""eSpeak NG: robotic formant synthesis through ctypes; instant, and without files to fetch.

The library is under the GPL, so only a worker process loads it.
"""

from __future__ import annotations

import ctypes
import re
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.engines.silent_signs import silent

#: Raised when a change to this file makes the same parameters sound different.
REVISION = 1

# espeak-ng's speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_IPA = 0x02
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
#: Milliseconds of audio per callback: few calls into Python, yet a cancel takes effect within a millisecond or two.
_BUFFER_MS = 200

#: Control characters, which are not spoken: U+0001 begins a command to espeak-ng, and NUL ends the text.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Prosody:
    """How an emotion sounds: words per minute, pitch and its range (0-100), volume (percent), pause between words."""

    rate: float = 175
    pitch: float = 50
    range: float = 50
    volume: float = 100
    #: Tens of milliseconds.
    word_gap: float = 0


NEUTRAL = Prosody()
EMOTIONS: Mapping[str, Prosody] = {
    "happy": Prosody(195, 65, 85, 110, 0),
    "angry": Prosody(205, 42, 75, 125, 0),
    "sad": Prosody(130, 35, 20, 80, 3),
    "afraid": Prosody(200, 72, 30, 85, 0),
    "disgusted": Prosody(145, 32, 70, 105, 1),
    "melancholic": Prosody(140, 30, 30, 85, 2),
    "surprised": Prosody(185, 75, 100, 115, 0),
    "calm": Prosody(155, 45, 35, 90, 1),
}

#: Words per minute, and the measured speed of espeak-ng at each, which is not proportional.
_RATES = (80.0, 100.0, 131.0, 175.0, 220.0, 262.0, 300.0, 350.0, 400.0, 440.0)
_SPEEDS = (0.467, 0.556, 0.743, 1.0, 1.28, 1.52, 1.80, 2.20, 2.53, 2.72)
#: Speeds that every emotion reaches on that curve: the slowest is sad, the fastest angry.
SPEED_MIN, SPEED_MAX = 0.65, 2.25


@dataclass(frozen=True, slots=True)
class _Accent:
    """A voice file of espeak-ng, and the language tag that is its voice's id."""

    id: str
    file: str
    name: str


#: Only voices that fuzzing did not crash; de and vi segfault, ar and hi abort.
_ACCENTS = (
    _Accent("en-us", "en-us", "American English"),
    _Accent("en-gb", "en", "British English"),
    _Accent("en-gb-scotland", "en-gb-scotland", "Scottish English"),
    _Accent("es", "es", "Spanish"),
    _Accent("es-419", "es-419", "Latin American Spanish"),
    _Accent("fr", "fr", "French"),
    _Accent("it", "it", "Italian"),
    _Accent("pt-br", "pt-br", "Brazilian Portuguese"),
    _Accent("pt", "pt", "Portuguese"),
)
_VARIANTS = {"": "male", "+m3": "male", "+f2": "female", "+f3": "female"}


class Espeak:
    """Takes no options. The library keeps one state per process, so one unit at a time."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._lock = threading.Lock()
        self._files = {accent.id + variant: accent.file + variant for accent in _ACCENTS for variant in _VARIANTS}
        self._voice = ""
        self._pieces: list[bytes] = []
        self._context: Context | None = None

    def load(self, phase: Phase) -> None:
        import espeakng_loader

        phase("opening espeak-ng")
        library = self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Info.argtypes = [ctypes.c_void_p]
        data = espeakng_loader.get_data_path().encode()
        self._sample_rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, _DONT_EXIT)
        if self._sample_rate <= 0:
            raise RuntimeError(f"espeak-ng cannot read its data in {data.decode()}")
        self._callback = _CALLBACK(self._take)  # Kept, since the library goes on calling it.
        library.espeak_SetSynthCallback(self._callback)

    def warm(self) -> None:
        self._silent = silent(partial(self._sounds, accent.file) for accent in _ACCENTS)
        self._speak("Ready.", "en-us", NEUTRAL)

    def capabilities(self) -> Capabilities:
        version = self._library.espeak_Info(None).decode("ascii", "replace")
        return Capabilities(
            kind="speech",
            sample_rate=self._sample_rate,
            revision=f"espeak-ng-{version}-{REVISION}",
            languages=("en", "es", "fr", "it", "pt"),
            voices=tuple(_voices()),
            default_voice="en-us",
            voice_by_language={"en": "en-us", "es": "es", "fr": "fr", "it": "it", "pt": "pt-br"},
            silent=self._silent,
            emotions=tuple(EMOTIONS),
            speed_min=SPEED_MIN,
            speed_max=SPEED_MAX,
            cut=Cut(max_chars=300, target_chars=160, first_chars=60),
            spells=True,
            footprint=40 * 1024 * 1024,
            licence="GPL-3.0-or-later",
            attribution="eSpeak NG",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        voice = params["voice"]
        prosody = with_speed(mixed(params["emotion"]), params["speed"])
        with self._lock:
            self._context = context
            try:
                audio = self._speak(params["text"], voice, prosody)
            finally:
                self._context = None
        if not audio.strip(b"\0") and any(ch.isalnum() for ch in params["text"]) and not context.cancelled():
            raise errors.NothingToSay("espeak has no sound for this")
        # One chunk: a unit takes milliseconds, and the server waits for whole units anyway.
        yield Chunk(audio)

    def phonemes(self, params: Mapping[str, Any]) -> str:
        """IPA."""
        with self._lock:
            self._choose(params["voice"])
            rest = ctypes.pointer(ctypes.c_char_p(_CONTROLS.sub(" ", params["text"]).encode("utf-8", "replace")))
            clauses = []
            while rest.contents.value is not None:
                clauses.append(self._library.espeak_TextToPhonemes(rest, _CHARS_UTF8, _IPA).decode("utf-8", "replace"))
        return " ".join(clause.strip() for clause in clauses if clause.strip())

    def close(self) -> None:
        self._library.espeak_Terminate()

    def _sounds(self, file: str, text: str) -> bool:
        """Whether a voice file has a phoneme for anything in the text."""
        self._library.espeak_SetVoiceByName(file.encode())
        self._voice = ""
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        while rest.contents.value is not None:
            if self._library.espeak_TextToPhonemes(rest, _CHARS_UTF8, 0).strip():
                return True
        return False

    def _choose(self, voice: str) -> None:
        if voice not in self._files:
            raise errors.UnknownVoice(f"espeak has no voice {voice[:60]!r}", param="voice")
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(self._files[voice].encode()):
                raise RuntimeError(f"espeak-ng's data has no voice {self._files[voice]!r}")
            self._voice = voice

    def _speak(self, text: str, voice: str, prosody: Prosody) -> bytes:
        """The text as mono signed 16-bit PCM; incomplete if the unit is cancelled."""
        self._choose(voice)
        for parameter, value in (
            (_RATE, prosody.rate),
            (_PITCH, min(prosody.pitch, 100)),
            (_RANGE, min(prosody.range, 100)),
            (_VOLUME, min(prosody.volume, 130)),
            (_WORD_GAP, prosody.word_gap),
        ):
            self._library.espeak_SetParameter(parameter, max(0, round(value)), 0)
        spoken = _CONTROLS.sub(" ", text).encode("utf-8", "replace")
        failed = self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
        audio, self._pieces = b"".join(self._pieces), []
        if failed:
            raise errors.UnitFailed(f"espeak-ng could not speak this segment (its error {failed})")
        return audio

    def _take(self, samples: int | None, count: int, _events: object) -> int:
        """Called by the library with the next samples; returns 1 to end the synthesis."""
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 1 if self._context is not None and self._context.cancelled() else 0


def mixed(emotion: Mapping[str, float]) -> Prosody:
    """The prosody of weighted emotions: each differs from neutral in proportion to its weight."""

    def pull(field: str) -> float:
        base = float(getattr(NEUTRAL, field))
        return base + sum(weight * (float(getattr(EMOTIONS[name], field)) - base) for name, weight in emotion.items())

    return Prosody(*(pull(field) for field in ("rate", "pitch", "range", "volume", "word_gap")))


def with_speed(prosody: Prosody, speed: float) -> Prosody:
    """The same emotion `speed` times as fast, within the limits of espeak-ng."""
    rate = interpolate(interpolate(prosody.rate, _RATES, _SPEEDS) * speed, _SPEEDS, _RATES)
    return replace(prosody, rate=rate)


def interpolate(x: float, xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    """Linear interpolation between points, clamped at both ends."""
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    i = bisect_left(xs, x)
    return ys[i - 1] + (x - xs[i - 1]) * (ys[i] - ys[i - 1]) / (xs[i] - xs[i - 1])


def _voices() -> Iterator[Voice]:
    for accent in _ACCENTS:
        for variant, gender in _VARIANTS.items():
            name = f"{accent.name}, {gender}" + (f" ({variant[1:]})" if variant else "")
            yield Voice(accent.id + variant, name, (accent.id.partition("-")[0],), gender)
