"""IndexTTS-2.5 through the package `indextts25-inference`: emotional speech in the voice of a recording.

One compute thread uses a model: the package keeps what it works on in the instance, and two threads would get each
other's sound.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.domain.request import EMOTIONS
from antiphon.engines.indextts import emotion, model_folder, pieces, seeding, torchaudio_stub
from antiphon.engines.indextts.conditioning import Conditioning
from antiphon.engines.indextts.guard import Guard, letters
from antiphon.engines.indextts.interrupt import Interrupt, Interrupted
from antiphon.engines.indextts.options import BOUNDS, STRENGTH, Options, generation, strength
from antiphon.engines.indextts.references import Recording, Recordings

MODEL = "indextts-2.5"
RATE = 22050
#: Raised when our own code makes the same request sound different.
CODE = 1
LANGUAGES = ("zh", "en", "ja", "es", "ar")
#: Codes for a second of audio at its usual speed, and the most that the model was made for.
CODES_PER_SECOND, MOST_CODES = 25, 1500
#: Below the model's folder; whether each byte is right was looked at when they were fetched.
FILES = (
    "config.yaml",
    "gpt.pth",
    "s2mel.pth",
    "codec.pth",
    "multilingual_zh_ja_yue_char_del.tiktoken",
    "wav2vec2bert_stats.pt",
    "feat1.pt",
    "feat2.pt",
    "hf_cache/campplus_cn_common.bin",
    "hf_cache/w2v-bert-2.0/config.json",
    "hf_cache/w2v-bert-2.0/model.safetensors",
    "hf_cache/w2v-bert-2.0/preprocessor_config.json",
    "hf_cache/bigvgan/config.json",
    "hf_cache/bigvgan/bigvgan_generator.pt",
)
#: Bytes of one worker, weights in float32 and what is computed with them, as measured on a CPU.
FOOTPRINT = 6_000_000_000
#: What is said to make the first sentence as quick as the others, by language.
WARMING = {"zh": "今天是2026年。", "es": "Son las 8:00."}


class IndexTTS25:
    """Options: see `indextts.options.Options`; and `voices`, the folder of the uploaded recordings."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = Options.of(options)
        self._guard = Guard()

    # Load

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        given = self._options
        model_folder.check(given.folder, FILES, MODEL)
        # The grammars lie with the model: they go with it to a machine without a network.
        model_folder.seal({"XDG_CACHE_HOME": str(given.folder / "cache")})
        phase("importing torch")
        import torch

        torch.set_num_threads(given.threads)
        self._recordings = Recordings(given.folder, given.voices)
        # Of no use to this version; where it is installed for the other one, transformers imports it.
        torchaudio_stub.do_without()
        phase("importing indextts25")
        from indextts25.infer_v2_5 import IndexTTS2

        phase("reading weights")
        device = given.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        self._model = _with_conditioning(IndexTTS2, Conditioning(given.voice_cache), given.reference_seconds)(
            cfg_path=str(given.folder / "config.yaml"),
            model_dir=str(given.folder),
            use_bf16=_bf16(given.precision, device),
            device=device,
        )
        model = self._model
        self._interrupt = Interrupt(model.gpt.inference_model, model.s2mel.models["cfm"].estimator, model.bigvgan)
        for language in given.normalise:
            # A grammar takes up to two minutes to build at the very first start, and is then read from a file.
            phase(f"building the grammar for {language}")
            model._prepare_text(WARMING.get(language, "It is 8:00 AM."), language, True)
        self._revision = model_folder.fingerprint(
            given.folder, FILES, (f"{CODE} {given.deciding()}", *self._recordings.identity())
        )

    def warm(self) -> None:
        voice = self._recordings.of_voice("")
        chosen, normalise = generation({}, self._options.num_beams), "en" in self._options.normalise
        self._say(voice, None, 1.0, None, 1.0, chosen, "en", normalise)("Hello there.", 0)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=self._revision,
            languages=LANGUAGES,
            voices=tuple(Voice(name, name.capitalize(), LANGUAGES) for name in self._recordings.names),
            default_voice=self._recordings.names[0],
            emotions=EMOTIONS,
            speed_min=0.5,
            speed_max=2.0,
            cloning=True,
            options=("emotion_ref", STRENGTH, "text_normalization", *BOUNDS),
            # Segments of at most 120 tokens: about four letters each, or one Chinese character.
            cut=Cut(max_chars=280, target_chars=160, first_chars=60, cjk_weight=2.5),
            footprint=FOOTPRINT,
            licence="bilibili Model Use License",
            attribution="IndexTTS-2.5, IndexTeam, bilibili",
        )

    # Speak

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        asked: Mapping[str, Any] = params["options"]
        voice = self._recordings.of_voice(params["voice"])
        weights = emotion.vector(params["emotion"], self._options.calm)
        mood = None
        if "emotion_ref" in asked:
            mood, weights = self._recordings.of_digest(asked["emotion_ref"], "emotion_audio"), None
        duration = 1.0 / params["speed"]
        normalise = bool(asked.get("text_normalization", params["language"] in self._options.normalise))
        chosen = generation(asked, self._options.num_beams)
        say = self._say(voice, mood, strength(asked), weights, duration, chosen, params["language"], normalise)
        with self._interrupt.watching(context):
            try:
                for audio in pieces.speak(params["text"], params["seed"], say, self._guard, RATE, duration):
                    yield Chunk(audio.tobytes())
            except Interrupted:
                return

    def close(self) -> None:
        self._recordings.close()

    def _say(
        self,
        voice: Recording,
        mood: Recording | None,
        alpha: float,
        weights: list[float] | None,
        duration: float,
        chosen: Mapping[str, Any],
        language: str,
        normalise: bool,
    ) -> pieces.Say:
        """A function that says a text with a seed."""
        import torch

        model = self._model

        def say(text: str, seed: int) -> Any:
            if language not in LANGUAGES:
                raise errors.InvalidRequest(f"The language must be one of {', '.join(LANGUAGES)}", param="language")
            # What a recording gives is computed before the seed is set: else a cached voice would sound different.
            with torch.no_grad():
                model.listen(voice, mood)
            seeding.sow(seed)
            longest = self._guard.longest(letters(text), 1.0)
            _, audio = model.infer(
                voice.path,
                text,
                None,
                language,
                emo_audio_prompt=mood.path if mood else None,
                emo_alpha=alpha,
                emo_vector=weights,
                duration_factor=duration,
                text_normalization=normalise,
                max_text_tokens_per_segment=self._options.max_tokens,
                max_mel_tokens=min(MOST_CODES, int(longest * CODES_PER_SECOND) + 1),
                # The codec has no sound for it: an index error here, and on a GPU the end of the process.
                suppress_tokens=[model.cfg.gpt.start_mel_token],
                **chosen,
            )
            return audio[:, 0]

        return say


def _bf16(precision: str, device: str) -> bool:
    """Whether half precision is computed with: where it was asked for, or the card has it."""
    if not device.startswith("cuda"):
        return False
    import torch

    return precision == "bfloat16" or (precision == "auto" and torch.cuda.is_bf16_supported())


def _with_conditioning(base: type[Any], cache: Conditioning, seconds: float) -> type[Any]:
    """The package's model with our cache of what recordings give, by what is in them, and with shorter references.

    The package keeps eight voices by their path, whatever their size.
    """

    class Model(base):  # type: ignore[misc]  # the package has no types
        def listen(self, voice: Recording, mood: Recording | None) -> None:
            """Computes what a recording gives, or finds it."""
            self.digests = {os.path.abspath(each.path): each.digest for each in (voice, mood) if each}
            self._speaker_conditioning(voice.path, None)
            self._emotion_conditioning((mood or voice).path, None)

        def _speaker_conditioning(self, path: str, key: object, verbose: bool = False) -> Any:
            return self._kept("voice", path, super()._speaker_conditioning, self._spk_cache)

        def _emotion_conditioning(self, path: str, key: object, verbose: bool = False) -> Any:
            return self._kept("mood", path, super()._emotion_conditioning, self._emo_cache)

        def _kept(self, what: str, path: str, make: Any, theirs: dict[Any, Any]) -> Any:
            def fresh() -> Any:
                made = make(path, None)
                theirs.clear()
                return made

            return cache.get((what, self.digests[os.path.abspath(path)]), fresh)

        def _load_and_cut_audio(self, path: str, longest: float, verbose: bool = False, sr: int | None = None) -> Any:
            return super()._load_and_cut_audio(path, min(longest, seconds), verbose, sr)

    return Model
