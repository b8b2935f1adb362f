"""IndexTTS2 (bilibili): speech in the voice of a recording, with eight emotions, and moods described in words.

Package `indextts2-inference`, under the bilibili Model Use License: an extra."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.domain.request import EMOTIONS
from antiphon.engines.indextts import emotion, indextts2_package, model_folder, pieces, seeding
from antiphon.engines.indextts.conditioning import Conditioning
from antiphon.engines.indextts.guard import Guard, letters
from antiphon.engines.indextts.interrupt import Interrupt, Interrupted
from antiphon.engines.indextts.options import BOUNDS, STRENGTH, Options, generation, strength
from antiphon.engines.indextts.references import Recording, Recordings

MODEL = "indextts-2"
#: Raised when the same files and request sound different.
CODE = 1
#: Hz.
RATE = 22050
LANGUAGES = ("zh", "en")
#: The codec's, and the most that the model was trained for.
CODES_PER_SECOND, MOST_CODES = 50, 1500
FILES = (
    "config.yaml",
    "gpt.pth",
    "s2mel.pth",
    "bpe.model",
    "wav2vec2bert_stats.pt",
    "feat1.pt",
    "feat2.pt",
    "hf_cache/campplus_cn_common.bin",
    "hf_cache/w2v-bert-2.0/config.json",
    "hf_cache/w2v-bert-2.0/model.safetensors",
    "hf_cache/w2v-bert-2.0/preprocessor_config.json",
    "hf_cache/bigvgan/config.json",
    "hf_cache/bigvgan/bigvgan_generator.pt",
    "hf_cache/semantic_codec/model.safetensors",
)
#: The model that reads a mood from words; without it such requests are refused.
MOODS = "qwen0.6bemo4-merge"
MOOD = "emotion_text"
#: Bytes of one worker, weights in float32 and what is computed with them.
FOOTPRINT = 8_500_000_000


class IndexTTS2:
    """Options: see `indextts.options.Options`; and `voices`, the folder of the uploaded recordings."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = Options.of(options)
        self._guard = Guard()

    # Load

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        given = self._options
        model_folder.check(given.folder, FILES, MODEL)
        hub, config = indextts2_package.lay_out(given.folder)
        # The package writes pieces of texts, and a bar for every segment, into the log.
        quiet = {"INDEXTTS_LOG_LEVEL": "ERROR", "TQDM_DISABLE": "1"}
        model_folder.seal({"XDG_CACHE_HOME": str(given.folder / "cache"), "HF_HUB_CACHE": str(hub), **quiet})
        phase("importing torch")
        import torch

        torch.set_num_threads(given.threads)
        self._recordings = Recordings(given.folder, given.voices)
        phase("importing indextts")
        package = indextts2_package.mend()
        self._moods = (given.folder / MOODS / "config.json").is_file()
        if not self._moods:
            package.QwenEmotion = indextts2_package.NoMoods
        if not given.normalise:
            indextts2_package.plain(package.TextNormalizer)
        # Reading the weights builds the grammars too: a minute or two at the very first start.
        phase("reading weights and grammars")
        device = given.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        half = given.precision != "float32" and device.startswith("cuda")
        made = _with_conditioning(package.IndexTTS2, Conditioning(given.voice_cache), given.reference_seconds)
        language = given.normalise[0] if len(given.normalise) == 1 else None
        with torch.no_grad():
            self._model = made(
                model_dir=str(given.folder), cfg_path=str(config), use_fp16=half, device=device, language=language
            )
        model = self._model
        self._interrupt = Interrupt(model.gpt.inference_model, model.s2mel.models["cfm"].estimator, model.bigvgan)
        decided = f"{CODE} {given.deciding()} {half}"
        self._revision = model_folder.fingerprint(given.folder, FILES, (decided, *self._recordings.identity()))

    def warm(self) -> None:
        voice = self._recordings.of_voice("")
        self._say(voice, None, 1.0, None, generation({}, self._options.num_beams))("Hello there.", 0)

    def capabilities(self) -> Capabilities:
        moods = (MOOD,) if self._moods else ()
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=self._revision,
            languages=LANGUAGES,
            voices=tuple(Voice(name, name.capitalize(), LANGUAGES) for name in self._recordings.names),
            default_voice=self._recordings.names[0],
            emotions=EMOTIONS,
            cloning=True,
            # It always takes 25 steps.
            options=("emotion_ref", STRENGTH, *moods, *(name for name in BOUNDS if name != "diffusion_steps")),
            cut=Cut(max_chars=280, target_chars=160, first_chars=60, cjk_weight=2.5),
            footprint=FOOTPRINT,
            licence="bilibili Model Use License",
            attribution="IndexTTS2, IndexTeam, bilibili",
        )

    # Speak

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        asked: Mapping[str, Any] = params["options"]
        if params["language"] not in LANGUAGES:
            raise errors.InvalidRequest(f"The language must be one of {', '.join(LANGUAGES)}", param="language")
        voice = self._recordings.of_voice(params["voice"])
        weights = emotion.vector(self._mood(params), self._options.calm)
        mood = None
        if "emotion_ref" in asked:
            mood, weights = self._recordings.of_digest(asked["emotion_ref"], "emotion_audio"), None
        say = self._say(voice, mood, strength(asked), weights, generation(asked, self._options.num_beams))
        with self._interrupt.watching(context):
            try:
                for audio in pieces.speak(params["text"], params["seed"], say, self._guard, RATE, 1.0):
                    yield Chunk(audio.tobytes())
            except Interrupted:
                return

    def close(self) -> None:
        self._recordings.close()

    def _mood(self, params: Mapping[str, Any]) -> Mapping[str, float]:
        """Weights by name: what was asked for, or what the words say."""
        text = params["options"].get(MOOD)
        if not text or params["emotion"]:
            return dict(params["emotion"])
        read = list(self._model.qwen_emo.inference(str(text)[:1000]).values())
        if len(read) != len(EMOTIONS):
            raise errors.UnitFailed("The mood could not be read from its description; name an emotion instead")
        return {name: min(1.2, max(0.0, float(weight))) for name, weight in zip(EMOTIONS, read, strict=True)}

    def _say(
        self,
        voice: Recording,
        mood: Recording | None,
        alpha: float,
        weights: list[float] | None,
        chosen: Mapping[str, Any],
    ) -> pieces.Say:
        """A function that says a text with a seed."""
        import numpy as np
        import torch

        model = self._model

        def say(text: str, seed: int) -> Any:
            with torch.no_grad():
                # What a recording gives is computed before the seed is set: else a cached voice would sound different.
                model.listen(voice, mood)
                seeding.sow(seed)
                longest = self._guard.longest(letters(text), 1.0)
                try:
                    found = model.infer(
                        voice.path,
                        text,
                        None,
                        emo_audio_prompt=mood.path if mood else None,
                        emo_alpha=alpha,
                        emo_vector=weights,
                        interval_silence=0,
                        max_text_tokens_per_segment=self._options.max_tokens,
                        max_mel_tokens=min(MOST_CODES, int(longest * CODES_PER_SECOND) + 1),
                        # The codec has no sound for it: an index error, and on a GPU the end of the process.
                        suppress_tokens=[model.cfg.gpt.start_mel_token],
                        **chosen,
                    )
                except (RuntimeError, IndexError) as e:
                    if "CUDA" in str(e):
                        raise
                    # A stop at the very first code: there are no samples to compute with.
                    found = None
            # It says None for whatever index was out of range.
            return np.zeros(0, dtype=np.int16) if found is None else found[1][:, 0]

        return say


def _with_conditioning(base: type[Any], cache: Conditioning, seconds: float) -> type[Any]:
    """The package's model with our cache of what recordings give, by what is in them, and with shorter references.

    The package keeps one voice by its path, and the graphs of its gradients with it.
    """

    class Model(base):  # type: ignore[misc]  # the package has no types
        def listen(self, voice: Recording, mood: Recording | None) -> None:
            """Computes what a recording gives, or finds it."""
            self.digests = {os.path.abspath(each.path): each.digest for each in (voice, mood) if each}
            self._get_speaker_conditioning(voice.path)
            self._get_emotion_conditioning((mood or voice).path)

        def _get_speaker_conditioning(self, path: str, verbose: bool = False) -> Any:
            return self._kept("voice", path, super()._get_speaker_conditioning)

        def _get_emotion_conditioning(self, path: str, verbose: bool = False) -> Any:
            return self._kept("mood", path, super()._get_emotion_conditioning)

        def _kept(self, what: str, path: str, make: Any) -> Any:
            def fresh() -> Any:
                self._init_cache()
                made = make(path)
                self._init_cache()
                return made

            return cache.get((what, self.digests[os.path.abspath(path)]), fresh)

        def _load_and_cut_audio(self, path: str, longest: float, verbose: bool = False, sr: int | None = None) -> Any:
            return super()._load_and_cut_audio(path, min(longest, seconds), verbose, sr)

    return Model
