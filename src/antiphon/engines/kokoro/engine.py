"""Kokoro-82M: small neural voices on the CPU, in English, Mandarin, mixed text and six more languages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase
from antiphon.domain.request import check_number
from antiphon.domain.unit import SpeechParams
from antiphon.engines import prosody
from antiphon.engines.kokoro import derived, japanese, voices
from antiphon.engines.kokoro.audio import JOIN, RATE, TAIL, gradual, silence
from antiphon.engines.kokoro.g2p import G2P, LANGUAGES, languages
from antiphon.engines.kokoro.network import Divided, Network, Plain
from antiphon.engines.onnx_session import Interrupted, Interruption, NoGpu, Session, return_memory, sees_gpu
from antiphon.engines.silent_signs import by_language

MODEL, VOICES = "kokoro-v1.0.int8.onnx", "voices-v1.0.bin"
SPEED_MIN, SPEED_MAX = 0.5, 2.0
#: Raised when our own code makes the same text sound different.
CODE = 2
#: Packages whose version changes how a text sounds.
_DECIDING = ("kokoro-onnx", "misaki", "jieba", "pypinyin", "cn2an", "espeakng-loader")
_FOR_JAPANESE = ("pyopenjtalk-plus",)

#: Most phonemes that the model takes at once.
CONTEXT = 510
#: A letter is about one phoneme and a Chinese character about five, so 250 letters or 70 characters stay below
#: `CONTEXT`. A text that does not (one with long numbers) is split between words.
CUT = Cut(max_chars=250, target_chars=150, first_chars=50, cjk_weight=3.5)

#: Seconds of silence for a text that is punctuation only, and between the batches of a text that is too long.
NOTHING, PAUSE = 0.3, 0.15
#: Accents in which a voice may read English, alone or in text of another language.
ACCENTS = ("en-us", "en-gb")
DEFAULT = voices.DEFAULTS["en"]
#: Characters after which a reader pauses. A segment that ends elsewhere goes on in the next one.
ENDS = frozenset('.!?;:,…—。！？；：，、"”’)）」』')
#: Bytes of a worker that has read texts of mixed lengths.
FOOTPRINT = 360 * 1024 * 1024
#: Bytes more of one that has read Japanese; half of them are pages of dictionaries, which workers share.
FOOTPRINT_JAPANESE = 120 * 1024 * 1024
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
        digests = [derived.digest(path) for path in paths]
        phase("choosing the graph")
        self._choice = derived.best(paths[0], digests[0], gpu=sees_gpu())
        phase("building the model")
        from kokoro_onnx import Kokoro as Model
        from kokoro_onnx.chunker import split_phonemes

        self._interruption = Interruption()
        try:
            session = self._connect(paths[0])
        except NoGpu as e:
            # The graphs were made where it could be used, and lie in a folder that others share.
            self._choice = derived.without_gpu(paths[0], digests[0], str(e))
            session = self._connect(paths[0])
        print(f"Kokoro runs on the {self._choice.says}", file=sys.stderr)  # noqa: T201 - for the server's log
        self._revision = _revision(digests, self._choice.name)
        self._model: Any = Model.from_session(session, str(paths[1]))
        self._split = split_phonemes
        self._names = tuple(self._model.get_voices())
        phase("reading dictionaries")
        self._g2p, self._languages = G2P(self._dir), languages()

    def _connect(self, model: Path) -> Session:
        """Opens the sessions of the graph that was chosen; returns one that tells the model's inputs."""
        folder = self._choice.folder
        names = [model] if folder is None else [folder / derived.ENCODER, folder / derived.DECODER]
        # The encoder takes a thirtieth of the time, and stays on the processor.
        sessions = [
            Session(path, self._threads, self._interruption, gpu=self._choice.form.gpu and path.name == derived.DECODER)
            for path in names
        ]
        self._network: Network = Plain(*sessions) if folder is None else Divided(*sessions)
        return sessions[0]

    def warm(self) -> None:
        self._g2p.warm()
        self._silent, self._silent_by_language = by_language(
            {name: [partial(self._sounds, name, accent) for accent in ACCENTS] for name in self._languages}
        )
        self._network.whole(self._tokens(self._batches("Warm.", "en", "en-us")[0]), self._style({DEFAULT: 1.0}), 1.0)
        return_memory()

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=self._revision,
            languages=self._languages,
            voices=tuple(map(voices.describe, self._names)),
            tries_any_language=False,
            installable={each: japanese.REMEDY for each in LANGUAGES if each not in self._languages},
            silent=self._silent,
            silent_by_language=self._silent_by_language,
            default_voice=DEFAULT,
            voice_by_language={name: voices.DEFAULTS[name] for name in self._languages},
            emotions=tuple(prosody.EMOTIONS),
            speed_min=SPEED_MIN,
            speed_max=SPEED_MAX,
            mixing=True,
            deterministic=True,
            cut=CUT,
            early=self._network.divides,
            spells=True,
            computation=f"{self._choice.says}, {self._threads} thread{'s' if self._threads > 1 else ''}",
            footprint=FOOTPRINT + FOOTPRINT_JAPANESE * ("ja" in self._languages),
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
        language, weights = self._voicing(asked)
        batches = self._batches(asked.text, language, voices.accent(weights))
        if not batches:
            if any(ch.isalnum() for ch in asked.text):
                raise errors.NothingToSay(f"Kokoro has no sounds for {asked.text[:30]!r} in {language!r}")
            yield _chunk(silence(NOTHING))
        style = self._style(weights)
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            tail = TAIL if left or asked.text.rstrip()[-1:] in ENDS else JOIN
            try:
                with self._interruption.watching(context):
                    yield from self._speak(batch, style, asked, tail)
            except Interrupted:
                return
            finally:
                return_memory()
            if left:
                yield _chunk(silence(PAUSE))
            if context.cancelled():
                return

    def phonemes(self, params: Mapping[str, Any]) -> str:
        """Kokoro's phonemes; for Chinese the pinyin with the numbers of the tones, and phonemes for the rest."""
        asked = SpeechParams.of(params)
        language, weights = self._voicing(asked)
        return self._g2p.phonemes(asked.text, language, voices.accent(weights), pinyin=True)

    def _voicing(self, asked: SpeechParams) -> tuple[str, Mapping[str, float]]:
        """The language, and the weights of the voices."""
        language = asked.language.partition("-")[0].lower()
        if language not in self._languages:
            why = f"Kokoro reads {', '.join(self._languages)}, not {asked.language!r}"
            if language in LANGUAGES:
                why = f"Kokoro cannot read {asked.language!r} yet: install what it needs {japanese.REMEDY}"
            raise errors.UnsupportedLanguage(why, param="language")
        return language, voices.parse(asked.voice or voices.DEFAULTS[language], self._names)

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

    def _tokens(self, phonemes: str) -> list[int]:
        return list(self._model.tokenizer.tokenize(phonemes))

    def _speak(self, phonemes: str, style: Any, asked: SpeechParams, tail: float) -> Iterator[Chunk]:
        tokens = self._tokens(phonemes)
        mood = prosody.mixed(asked.emotion)
        speed = mood.engine_speed(asked.speed)
        if asked.early:
            parts = self._network.early(tokens, style, speed)
        else:
            parts = iter(((self._network.whole(tokens, style, speed), True),))
        yield from map(_chunk, gradual(prosody.shaped(parts, mood, RATE), tail=tail))


def _chunk(audio: bytes) -> Chunk:
    return Chunk(audio, {"sample_rate": RATE})


def _revision(digests: list[str], graph: str) -> str:
    """A version whose last twelve digits change with the weights, the voices, the graph that runs, and our code from
    text to sound."""
    digest = hashlib.sha256(f"code {CODE} {graph}\n".encode())
    for package in (*_DECIDING, *_FOR_JAPANESE * japanese.installed()):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for each in digests:
        digest.update(bytes.fromhex(each))
    return f"1.0-int8-{digest.hexdigest()[:12]}"
