"""IndexTTS2 through the package `indextts2-inference`: as IndexTTS-2.5, with emotions described in words as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.domain import errors
from antiphon.domain.engine import Phase
from antiphon.domain.request import EMOTIONS
from antiphon.engines.indextts import emotion, indextts2_package
from antiphon.engines.indextts.base import SHARED_FILES, Delivery, IndexTTS
from antiphon.engines.indextts.batched import BatchedIndexTTS
from antiphon.engines.indextts.conditioning import CachedConditioning
from antiphon.engines.indextts.guard import letters
from antiphon.engines.indextts.options import BOUNDS
from antiphon.engines.indextts.reading import Manner, Reading

if TYPE_CHECKING:
    from antiphon.engines.indextts.batch.codes import CodeSlots
    from antiphon.engines.indextts.batch.versions import PackagedModel

#: Folder of the model that reads an emotion from words; without it the engine does not offer `EMOTION_TEXT`.
EMOTION_READER = "qwen0.6bemo4-merge"
EMOTION_TEXT = "emotion_text"
#: Characters of a description that are read.
DESCRIPTION_CHARS = 1000


class IndexTTS2(IndexTTS):
    NAME = "indextts-2"
    PACKAGE = "indextts2-inference"
    TITLE = "IndexTTS2"
    CODE = 3
    LANGUAGES = ("zh", "en")
    FILES = (*SHARED_FILES, "bpe.model", "hf_cache/semantic_codec/model.safetensors")
    CODES_PER_SECOND = 50
    POSITIONS = 1664
    FOOTPRINT = 8_500_000_000

    def _environment(self) -> dict[str, str]:
        hub, self._config = indextts2_package.lay_out(self.options.folder)
        # The package logs pieces of texts, and a progress bar for every segment.
        return {"HF_HUB_CACHE": str(hub), "INDEXTTS_LOG_LEVEL": "ERROR", "TQDM_DISABLE": "1"}

    def _build(self, device: str, phase: Phase) -> Any:
        import torch

        given = self.options
        phase("importing indextts")
        package = indextts2_package.load_patched()
        self._reads_emotions = (given.folder / EMOTION_READER / "config.json").is_file()
        if not self._reads_emotions:
            package.QwenEmotion = indextts2_package.NoEmotionReader
        if not given.normalise:
            indextts2_package.disable_normalisation(package.TextNormalizer)
        # Reading the weights builds the grammars too, in a minute or two at the very first start.
        phase("reading weights and grammars")
        with torch.no_grad():
            return _with_cache(package.IndexTTS2)(
                model_dir=str(given.folder),
                cfg_path=str(self._config),
                use_fp16=self._precision(device) == "float16",
                device=device,
                language=given.normalise[0] if len(given.normalise) == 1 else None,
            )

    def _read(self, text: str, manner: Manner) -> Reading:
        """The language decides nothing: the package tells Chinese from English by the signs."""
        tokenizer = self.model.tokenizer
        signs = tokenizer.tokenize(text)
        parts = tokenizer.split_segments(signs, self.options.max_tokens)
        return Reading(letters("".join(signs)), tuple(tuple(tokenizer.convert_tokens_to_ids(part)) for part in parts))

    def _precision(self, device: str) -> str:
        """The package halves it to float16 only."""
        return "float16" if self.options.precision != "float32" and device.startswith("cuda") else "float32"

    def _request_options(self) -> tuple[str, ...]:
        text = (EMOTION_TEXT,) if self._reads_emotions else ()
        # The model always takes 25 diffusion steps.
        return (*text, *(name for name in BOUNDS if name != "diffusion_steps"))

    def _mood(self, params: Mapping[str, Any]) -> str | None:
        text = params["options"].get(EMOTION_TEXT)
        return str(text)[:DESCRIPTION_CHARS] if text and not params["emotion"] else None

    def read_mood(self, mood: str) -> list[float] | None:
        found = list(self.model.qwen_emo.inference(mood).values())
        if len(found) != len(EMOTIONS):
            raise errors.UnitFailed("The mood could not be read from its description; name an emotion instead")
        weights = {name: min(1.2, max(0.0, float(weight))) for name, weight in zip(EMOTIONS, found, strict=True)}
        return emotion.vector(weights)

    def batch_model(self, slots: CodeSlots, vocode: Callable[[Any], Any]) -> PackagedModel:
        from antiphon.engines.indextts.batch.versions import Model2

        numbers = self.most_codes, self.usual_codes
        return Model2(slots, self.model, self.conditioning, self.readings, *numbers, self.read_mood, vocode)

    def _infer(self, text: str, delivery: Delivery, arguments: Mapping[str, Any]) -> Any:
        import numpy as np

        try:
            found = self.model.infer(delivery.voice.path, text, None, interval_silence=0, **arguments)
        except (RuntimeError, IndexError) as e:
            if "CUDA" in str(e):
                raise
            # The model stopped at its very first code, so there are no samples to compute with.
            found = None
        # The package returns None where it caught an index out of range.
        return np.zeros(0, dtype=np.int16) if found is None else found[1][:, 0]


def _with_cache(base: type[Any]) -> type[Any]:
    """The package's model with our cache. The package keeps one voice by path, with the graphs of its gradients."""

    class Model(CachedConditioning, base):  # type: ignore[misc]  # the package has no types
        def _get_speaker_conditioning(self, path: str, verbose: bool = False) -> Any:
            return self._cached("voice", path, partial(super()._get_speaker_conditioning, path))

        def _get_emotion_conditioning(self, path: str, verbose: bool = False) -> Any:
            return self._cached("emotion", path, partial(super()._get_emotion_conditioning, path))

        def _compute(self, voice: str, emotion: str) -> tuple[Any, Any]:
            return self._get_speaker_conditioning(voice), self._get_emotion_conditioning(emotion)

        def _drop_own_cache(self) -> None:
            self._init_cache()

    return Model


def engine(options: Mapping[str, Any]) -> IndexTTS2 | BatchedIndexTTS:
    """The engine in the runtime that its options ask for."""
    made = IndexTTS2(options)
    return BatchedIndexTTS(made) if made.options.batched else made
