"""IndexTTS2 through the package `indextts2-inference`: as IndexTTS-2.5, with emotions described in words as well."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Phase
from antiphon.domain.request import EMOTIONS
from antiphon.engines.indextts import indextts2_package
from antiphon.engines.indextts.base import SHARED_FILES, Delivery, IndexTTS
from antiphon.engines.indextts.conditioning import CachedConditioning
from antiphon.engines.indextts.options import BOUNDS

#: Folder of the model that reads an emotion from words; without it the engine does not offer `EMOTION_TEXT`.
EMOTION_READER = "qwen0.6bemo4-merge"
EMOTION_TEXT = "emotion_text"
#: Characters of a description that are read.
DESCRIPTION_CHARS = 1000


class IndexTTS2(IndexTTS):
    NAME = "indextts-2"
    PACKAGE = "indextts2-inference"
    TITLE = "IndexTTS2"
    CODE = 1
    LANGUAGES = ("zh", "en")
    FILES = (*SHARED_FILES, "bpe.model", "hf_cache/semantic_codec/model.safetensors")
    CODES_PER_SECOND = 50
    FOOTPRINT = 8_500_000_000

    def _environment(self) -> dict[str, str]:
        hub, self._config = indextts2_package.lay_out(self._options.folder)
        # The package logs pieces of texts, and a progress bar for every segment.
        return {"HF_HUB_CACHE": str(hub), "INDEXTTS_LOG_LEVEL": "ERROR", "TQDM_DISABLE": "1"}

    def _build(self, device: str, phase: Phase) -> Any:
        import torch

        given = self._options
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

    def _precision(self, device: str) -> str:
        """The package halves it to float16 only."""
        return "float16" if self._options.precision != "float32" and device.startswith("cuda") else "float32"

    def _request_options(self) -> tuple[str, ...]:
        text = (EMOTION_TEXT,) if self._reads_emotions else ()
        # The model always takes 25 diffusion steps.
        return (*text, *(name for name in BOUNDS if name != "diffusion_steps"))

    def _emotion(self, params: Mapping[str, Any]) -> Mapping[str, float]:
        text = params["options"].get(EMOTION_TEXT)
        if not text or params["emotion"]:
            return super()._emotion(params)
        found = list(self._model.qwen_emo.inference(str(text)[:DESCRIPTION_CHARS]).values())
        if len(found) != len(EMOTIONS):
            raise errors.UnitFailed("The mood could not be read from its description; name an emotion instead")
        return {name: min(1.2, max(0.0, float(weight))) for name, weight in zip(EMOTIONS, found, strict=True)}

    def _infer(self, text: str, delivery: Delivery, arguments: Mapping[str, Any]) -> Any:
        import numpy as np

        try:
            found = self._model.infer(delivery.voice.path, text, None, interval_silence=0, **arguments)
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

        def _compute(self, voice: str, emotion: str) -> None:
            self._get_speaker_conditioning(voice)
            self._get_emotion_conditioning(emotion)

        def _drop_own_cache(self) -> None:
            self._init_cache()

    return Model
