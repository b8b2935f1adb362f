"""IndexTTS-2.5 through the package `indextts25-inference`: emotional speech in the voice of a recording."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.domain import errors
from antiphon.domain.engine import Phase
from antiphon.engines.indextts import torchaudio_stub
from antiphon.engines.indextts.base import SHARED_FILES, Delivery, IndexTTS
from antiphon.engines.indextts.batched import BatchedIndexTTS
from antiphon.engines.indextts.conditioning import CachedConditioning
from antiphon.engines.indextts.guard import letters
from antiphon.engines.indextts.options import BOUNDS, NORMALISE
from antiphon.engines.indextts.precision import has_bf16
from antiphon.engines.indextts.reading import Manner, Reading

if TYPE_CHECKING:
    from antiphon.engines.indextts.batch.codes import CodeSlots
    from antiphon.engines.indextts.batch.versions import PackagedModel

#: Texts by language that need its grammar: they have it built while the model loads, not with the first request.
WARM_TEXTS = {"zh": "今天是2026年。", "es": "Son las 8:00."}
#: Tokens in a text that has been read, which nobody says.
_SPECIAL = re.compile(r"<\|[^|<>]*\|>")


class IndexTTS25(IndexTTS):
    NAME = "indextts-2.5"
    PACKAGE = "indextts25-inference"
    TITLE = "IndexTTS-2.5"
    CODE = 3
    LANGUAGES = ("zh", "en", "ja", "es", "ar")
    FILES = (*SHARED_FILES, "codec.pth", "multilingual_zh_ja_yue_char_del.tiktoken")
    CODES_PER_SECOND = 25
    POSITIONS = 1024
    FOOTPRINT = 6_000_000_000
    SPEEDS = (0.5, 2.0)

    def _build(self, device: str, phase: Phase) -> Any:
        given = self.options
        # This package does not use torchaudio, but transformers imports it where it is installed for IndexTTS2.
        torchaudio_stub.install()
        phase("importing indextts25")
        from indextts25.infer_v2_5 import IndexTTS2

        phase("reading weights")
        model = _with_cache(IndexTTS2)(
            cfg_path=str(given.folder / "config.yaml"),
            model_dir=str(given.folder),
            use_bf16=self._precision(device) == "bfloat16",
            device=device,
        )
        for language in given.normalise:
            # The very first start builds each grammar, in up to two minutes; later ones read it from a file.
            phase(f"building the grammar for {language}")
            model._prepare_text(WARM_TEXTS.get(language, "It is 8:00 AM."), language, True)
        return model

    def _read(self, text: str, manner: Manner) -> Reading:
        model, prefix = self.model, f"<|{manner.language}|> "
        prepared = model._prepare_text(text, manner.language, manner.normalise)
        parts = model.split_text_by_tokens(prepared, self.options.max_tokens, prefix)
        tokens = tuple(tuple(model.tokenizer.encode(prefix + part, allowed_special="all")) for part in parts)
        return Reading(letters(_SPECIAL.sub("", prepared)), tokens)

    def _precision(self, device: str) -> str:
        asked = self.options.precision
        halved = has_bf16(device) if asked == "auto" else asked == "bfloat16" and device.startswith("cuda")
        return "bfloat16" if halved else "float32"

    def _request_options(self) -> tuple[str, ...]:
        return (NORMALISE, *BOUNDS)

    def _readable(self) -> tuple[str, ...]:
        """Japanese needs a dictionary, which is a package of its own."""
        there = all(importlib.util.find_spec(name) for name in ("fugashi", "unidic_lite"))
        return self.LANGUAGES if there else tuple(each for each in self.LANGUAGES if each != "ja")

    def batch_model(self, slots: CodeSlots, vocode: Callable[[Any], Any]) -> PackagedModel:
        from antiphon.engines.indextts.batch.versions import Model25

        numbers = self.most_codes, self.usual_codes
        return Model25(self.model, self.conditioning, self.readings, *numbers, self.read_mood, vocode)

    def _arguments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        language = params["language"]
        asked = params["options"].get(NORMALISE, True)
        if not isinstance(asked, bool):
            raise errors.InvalidRequest(f"{NORMALISE} must be true or false", param=f"extra_params.{NORMALISE}")
        # A request cannot ask for what was not prepared: to build a grammar holds up everybody for minutes.
        normalise = asked and language in self.options.normalise
        return {"lang": language, NORMALISE: normalise, **super()._arguments(params)}

    def _infer(self, text: str, delivery: Delivery, arguments: Mapping[str, Any]) -> Any:
        _, audio = self.model.infer(delivery.voice.path, text, None, duration_factor=delivery.duration, **arguments)
        return audio[:, 0]


def _with_cache(base: type[Any]) -> type[Any]:
    """The package's model with our cache. The package keeps eight voices by path, however large they are."""

    class Model(CachedConditioning, base):  # type: ignore[misc]  # the package has no types
        def _speaker_conditioning(self, path: str, key: object = None, verbose: bool = False) -> Any:
            return self._cached("voice", path, partial(super()._speaker_conditioning, path, None))

        def _emotion_conditioning(self, path: str, key: object = None, verbose: bool = False) -> Any:
            return self._cached("emotion", path, partial(super()._emotion_conditioning, path, None))

        def _compute(self, voice: str, emotion: str) -> tuple[Any, Any]:
            return self._speaker_conditioning(voice), self._emotion_conditioning(emotion)

        def _drop_own_cache(self) -> None:
            self._spk_cache.clear()
            self._emo_cache.clear()

    return Model


def engine(options: Mapping[str, Any]) -> IndexTTS25 | BatchedIndexTTS:
    """The engine in the runtime that its options ask for."""
    made = IndexTTS25(options)
    return BatchedIndexTTS(made) if made.options.batched else made
