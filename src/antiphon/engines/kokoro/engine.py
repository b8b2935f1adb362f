"""Kokoro-82M: small neural voices on the CPU, in English, Mandarin, mixed text and four more languages."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase
from antiphon.domain.request import check_number
from antiphon.domain.unit import SpeechParams
from antiphon.engines.kokoro import voices
from antiphon.engines.kokoro.audio import RATE, pcm, silence
from antiphon.engines.kokoro.g2p import G2P, LANGUAGES
from antiphon.engines.kokoro.session import Interrupted, Session
from antiphon.engines.silent_signs import silent

MODEL, VOICES = "kokoro-v1.0.int8.onnx", "voices-v1.0.bin"
SPEED_MIN, SPEED_MAX = 0.5, 2.0
#: Raised when our own code makes the same text sound different.
CODE = 2
#: Packages whose version changes how a text sounds.
_DECIDING = ("kokoro-onnx", "misaki", "jieba", "pypinyin", "cn2an", "espeakng-loader")

#: Most phonemes that the model takes at once.
CONTEXT = 510
#: A letter is about one phoneme and a Chinese character about five, so 250 letters or 70 characters stay below
#: `CONTEXT`. A text that does not (one with long numbers) is split between words.
CUT = Cut(max_chars=250, target_chars=150, first_chars=50, cjk_weight=3.5)

#: Seconds of silence for a text that is punctuation only, and between the batches of a text that is too long.
NOTHING, PAUSE = 0.3, 0.15
#: Languages and accents in which a text may be read.
READERS = (("en", "en-us"), ("en", "en-gb"), ("es", ""), ("fr", ""), ("it", ""), ("pt", ""), ("zh", "en-us"))
#: Phonemes without a sound.
_SILENT = frozenset(' ;:,.!?—…"()“”ˈˌː')


class Kokoro:
    """Options: `dir` (the folder of the model's two files), `threads` (of one computation; default 1)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._dir = Path(options["dir"])
        self._threads = int(options.get("threads", 1))

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        paths = [self._dir / MODEL, self._dir / VOICES]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing; fetch it with: antiphon pull kokoro")
        phase("reading weights")
        self._revision = _revision(paths)
        phase("building the model")
        from kokoro_onnx import Kokoro as Model
        from kokoro_onnx.chunker import split_phonemes

        self._session = Session(paths[0], self._threads)
        self._model: Any = Model.from_session(self._session, str(paths[1]))
        self._split = split_phonemes
        self._names = tuple(self._model.get_voices())
        phase("reading dictionaries")
        self._g2p = G2P(self._dir)

    def warm(self) -> None:
        self._g2p.warm()
        self._silent = silent(partial(self._sounds, *each) for each in READERS)
        self._speak(self._batches("Warm.", "en", "en-us")[0], self._style({voices.DEFAULTS["en"]: 1.0}), 1.0)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=self._revision,
            languages=LANGUAGES,
            voices=tuple(map(voices.describe, self._names)),
            tries_any_language=False,
            silent=self._silent,
            default_voice=voices.DEFAULTS["en"],
            voice_by_language=voices.DEFAULTS,
            speed_min=SPEED_MIN,
            speed_max=SPEED_MAX,
            mixing=True,
            deterministic=True,
            cut=CUT,
            footprint=600 * 1024 * 1024,
            licence="Apache-2.0",
            attribution="Kokoro-82M by hexgrad; ONNX by thewh1teagle; pronunciation: misaki, eSpeak NG",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """One chunk for each batch of phonemes; nearly every text is one batch.

        A text that is punctuation only is a short silence. Raises `NothingToSay` for letters that have no phonemes:
        silence would hide them.
        """
        asked = SpeechParams.of(params)
        check_number("speed", asked.speed, SPEED_MIN, SPEED_MAX)
        language = asked.language.partition("-")[0].lower()
        if language not in LANGUAGES:
            raise errors.UnsupportedLanguage(
                f"Kokoro reads {', '.join(LANGUAGES)}, not {asked.language!r}", param="language"
            )
        weights = voices.parse(asked.voice or voices.DEFAULTS[language], self._names)
        batches = self._batches(asked.text, language, voices.accent(weights))
        if not batches:
            if any(ch.isalnum() for ch in asked.text):
                raise errors.NothingToSay(f"Kokoro has no sounds for {asked.text[:30]!r} in {language!r}")
            yield _chunk(silence(NOTHING))
        style = self._style(weights)
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            try:
                with self._session.interruptible(context):
                    audio = self._speak(batch, style, asked.speed)
            except Interrupted:
                return
            yield _chunk(audio + silence(PAUSE) if left else audio)
            if context.cancelled():
                return

    def close(self) -> None:
        """Nothing outlives the process."""

    def _batches(self, text: str, language: str, accent: str) -> list[str]:
        """The text's phonemes in batches that the model can take; none if the text makes no sound."""
        phonemes = self._model.tokenizer.known(self._g2p.phonemes(text, language, accent))
        if _SILENT.issuperset(phonemes):
            return []
        return list(self._split(phonemes, CONTEXT))

    def _sounds(self, language: str, accent: str, text: str) -> bool:
        return bool(self._batches(text, language, accent))

    def _style(self, weights: Mapping[str, float]) -> Any:
        return voices.blend(weights, self._model.voices)

    def _speak(self, phonemes: str, style: Any, speed: float) -> bytes:
        audio, _ = self._model.create(phonemes, style, speed, is_phonemes=True, trim=False)
        return pcm(audio)


def _chunk(audio: bytes) -> Chunk:
    return Chunk(audio, {"sample_rate": RATE})


def _revision(paths: list[Path]) -> str:
    """A version whose last twelve digits change with the weights, the voices, and our code from text to sound."""
    digest = hashlib.sha256(f"code {CODE}".encode())
    for package in _DECIDING:
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"1.0-int8-{digest.hexdigest()[:12]}"
