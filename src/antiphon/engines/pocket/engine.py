"""Pocket TTS through the package `pocket-tts`: speech in the voice of a recording, on a CPU."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.domain.unit import SpeechParams
from antiphon.engines import model_folder
from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.pocket import files
from antiphon.engines.pocket.options import TEMPERATURE, Options, temperature
from antiphon.engines.pocket.utterance import Prompt, Utterance, groups, prompts
from antiphon.engines.pocket.voices import Voices
from antiphon.engines.references import References
from antiphon.engines.silent_signs import silent

PACKAGE = "pocket-tts"
#: Raised when our own code makes the same text sound different.
CODE = 1
#: The model speaks 50 tokens at once, of some four letters each, or one Chinese character in the models for Chinese.
CUT = Cut(max_chars=180, target_chars=120, first_chars=60, cjk_weight=4.0)
#: Bytes of a worker while it reads the weights; once it speaks it takes three quarters.
FOOTPRINT = 1300 * 1024 * 1024


class PocketTTS:
    """Options: see `options.Options`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = Options.of(options)

    # Load

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        given = self.options
        files.check(given.folder)
        model_folder.seal()
        # The package's warnings quote the text.
        logging.getLogger("pocket_tts").setLevel(logging.ERROR)
        phase("importing torch")
        import torch

        phase("importing pocket_tts")
        import pocket_tts

        # The package sets one thread when it is imported.
        torch.set_num_threads(given.threads)
        phase("reading weights")
        with files.configuration(given.folder, given.variant) as path:
            self.model = pocket_tts.TTSModel.load_model(
                config=path, temp=given.temperature, quantize=given.weights == "int8"
            )
        self.model.eval()
        self._usual_temperature = float(self.model.temp)
        phase("reading voices")
        computed = files.embeddings(given.folder)
        self._references = References(given.folder, given.voices, default=not computed)
        self.cache = ConditioningCache(given.voice_cache)
        self.voices = Voices(
            self.model, computed, self._references, self.cache,
            variant=given.variant, seconds=given.reference_seconds,
        )  # fmt: skip
        decides = f"{CODE} {PACKAGE} {importlib.metadata.version(PACKAGE)} {given.deciding()}"
        lines = (decides, *self._references.identity())
        self._revision = model_folder.fingerprint(given.folder, files.deciding(given.folder), lines)

    def warm(self) -> None:
        self._silent = silent((self._reads,))
        unit = Utterance(self.model, self.voices.state(""), prompts(self.model, "Hello.")[0])
        unit.decode([unit.frame(), unit.frame()])

    def capabilities(self) -> Capabilities:
        names, languages = self.voices.names, self.options.speaks
        threads = self.options.threads
        return Capabilities(
            kind="speech",
            sample_rate=self.model.sample_rate,
            revision=self._revision,
            languages=languages,
            voices=tuple(Voice(name, name.replace("_", " ").title(), languages) for name in names),
            default_voice=names[0],
            tries_any_language=not languages,
            silent=self._silent,
            cloning=True,
            options=(TEMPERATURE,),
            computation=f"{self.options.weights}, {threads} thread{'s' if threads > 1 else ''}",
            cut=CUT,
            footprint=FOOTPRINT,
            licence="CC-BY-4.0",
            attribution="Pocket TTS by Kyutai",
        )

    def _reads(self, text: str) -> bool:
        """Whether the model reads a letter or a digit of the text."""
        tokenizer = self.model.flow_lm.conditioner.tokenizer
        sentencepiece = getattr(tokenizer, "sp", None)
        unknown = sentencepiece.unk_id() if sentencepiece else tokenizer.tokenizer.token_to_id("<unk>")
        tokens = [token for token in tokenizer.encode(text) if token != unknown]
        return any(ch.isalnum() for ch in tokenizer.decode(tokens))

    # Speak

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """Chunks of one frame (80 ms) at first, later of more. Raises `InvalidRequest`, `UnknownVoice`,
        `UnsupportedLanguage`, `NothingToSay`."""
        import torch

        asked = SpeechParams.of(params)
        languages = self.options.speaks
        if languages and asked.language.partition("-")[0].lower() not in languages:
            raise errors.UnsupportedLanguage(
                f"This model reads {', '.join(languages)}, not {asked.language!r}", param="language"
            )
        if asked.speed != 1.0:
            raise errors.InvalidRequest("Pocket TTS has one speed, which is 1", param="speed")
        chance = temperature(asked.options, self._usual_temperature)
        parts = self._parts(asked.text)
        # Before the seed is set, so that a voice that is in the cache already gives the same sound.
        voice = self.voices.state(asked.voice)
        self.model.temp = chance
        torch.manual_seed(asked.seed)
        for index, part in enumerate(parts):
            for samples in self._say(voice, part, context, partial(_told, context, index, len(parts))):
                yield Chunk(_pcm(samples), {"sample_rate": self.model.sample_rate})
            if context.cancelled():
                return

    def _parts(self, text: str) -> list[Prompt]:
        if not self._reads(text):
            raise errors.NothingToSay(f"Pocket TTS has no sound for {text[:30]!r}")
        try:
            return prompts(self.model, text)
        except ValueError as e:
            raise errors.NothingToSay(f"Pocket TTS has no sound for {text[:30]!r}") from e

    def _say(self, voice: Any, part: Prompt, context: Context, tell: Any) -> Iterator[Any]:
        """The samples of one part of a text, group by group."""
        unit = Utterance(self.model, voice, part)
        for size in groups():
            latents: list[Any] = []
            while len(latents) < size and not context.cancelled():
                latent = unit.frame()
                if latent is None:
                    break
                latents.append(latent)
            if context.cancelled():
                return
            if latents:
                yield unit.decode(latents)
                tell(unit.done / unit.usual)
            if len(latents) < size:
                break
        if unit.done >= unit.most:
            print("A text did not come to an end and was cut off", file=sys.stderr)  # noqa: T201 - for the server's log

    def close(self) -> None:
        self._references.close()


def _told(context: Context, index: int, count: int, fraction: float) -> None:
    context.progress((index + min(1.0, fraction)) / count)


def _pcm(samples: Any) -> bytes:
    import numpy as np

    scaled = np.clip(np.nan_to_num(samples), -1.0, 1.0) * 32767.0
    return bytes(np.round(scaled).astype("<i2").tobytes())
