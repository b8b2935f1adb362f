"""Base of both IndexTTS engines: loads a model, speaks with it, and says what it can do."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.domain.request import EMOTIONS, NEUTRAL
from antiphon.domain.unit import SpeechParams
from antiphon.engines import model_folder
from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.indextts import emotion, pieces, precision, seeding
from antiphon.engines.indextts.guard import Guard
from antiphon.engines.indextts.interrupt import Interrupt, Interrupted
from antiphon.engines.indextts.options import NORMALISE, STRENGTH, Options, generation, strength
from antiphon.engines.indextts.reading import Manner, Reading, Readings
from antiphon.engines.references import Reference, References

if TYPE_CHECKING:
    from antiphon.engines.indextts.batch.codes import CodeSlots
    from antiphon.engines.indextts.batch.versions import PackagedModel

#: Hz.
RATE = 22050
#: The batched runtime's number; raised when the same files and request sound different.
BATCHED = 1
#: Diffusion steps for a request that names no number, and how much its conditions count above none (both packages').
STEPS, GUIDANCE = 25, 0.7
#: How fast people speak, about; only progress depends on it.
LETTERS_PER_SECOND = 14
#: The most codes for one piece of text that the models were trained for.
MAX_CODES = 1500
#: Files that both versions need, below the model's folder. Their bytes were verified when they were fetched.
SHARED_FILES = (
    "config.yaml",
    "gpt.pth",
    "s2mel.pth",
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


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one unit is to be spoken; the same for all its pieces."""

    voice: Reference
    #: A recording whose emotion is taken, and how much it counts (0 to 1).
    emotion_reference: Reference | None
    strength: float
    #: Eight weights in the order of `EMOTIONS`; None leaves the emotion to the recording, or to `mood`.
    weights: list[float] | None
    #: A description from which the weights are read.
    mood: str | None
    #: Times the usual length.
    duration: float
    manner: Manner
    #: Arguments of the package's `infer`: how codes are drawn, and what only one version knows.
    arguments: Mapping[str, Any]


class IndexTTS(ABC):
    """Options: see `options.Options`; and `voices`, the folder of the uploaded recordings."""

    NAME: ClassVar[str]
    #: The distribution that speaks.
    PACKAGE: ClassVar[str]
    TITLE: ClassVar[str]
    #: Raised when the same files and request sound different.
    CODE: ClassVar[int]
    LANGUAGES: ClassVar[tuple[str, ...]]
    FILES: ClassVar[tuple[str, ...]]
    CODES_PER_SECOND: ClassVar[int]
    #: Of a slot of the batched runtime: a prompt, and codes for about half a minute.
    POSITIONS: ClassVar[int]
    #: Bytes of one worker on a CPU: weights in float32, and what is computed with them.
    FOOTPRINT: ClassVar[int]
    #: Slowest and fastest that the model itself speaks.
    SPEEDS: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = Options.of(options)
        #: Whether the weights of the code model's layers are in eight bits.
        self._int8 = False
        self._guard = Guard()
        #: Languages that can be read with what is installed.
        self.languages = self._readable()

    # Load

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        given = self.options
        model_folder.check(given.folder, self.FILES, self.NAME)
        # Grammars are built into the model's folder, so that a copy of it works on a machine without a network.
        model_folder.seal({"XDG_CACHE_HOME": str(given.folder / "cache"), **self._environment()})
        phase("importing torch")
        import torch

        self.prepare_thread()
        self._references = References(given.folder, given.voices)
        self.device = device = given.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        self.model = model = self._build(device, phase)
        self.conditioning = ConditioningCache(given.voice_cache)
        model.use(self.conditioning, given.reference_seconds)
        self.readings = Readings(self._read)
        self._interrupt = Interrupt(model.gpt.inference_model, model.s2mel.models["cfm"].estimator, model.bigvgan)
        self._identify()

    def _identify(self) -> None:
        lines = (self._deciding(self.device), *self._references.identity())
        self._revision = model_folder.fingerprint(self.options.folder, self.FILES, lines)

    def quantise(self) -> None:
        """Keeps the weights of the code model's layers in eight bits from now on. It has another revision then."""
        from antiphon.engines.indextts.batch import int8

        int8.quantise(self.model.gpt)
        self._int8 = True
        self._identify()

    def prepare_thread(self) -> None:
        """Each thread that computes has a number of threads of its own to help it."""
        import torch

        torch.set_num_threads(self.options.threads)

    def _environment(self) -> dict[str, str]:
        """Environment variables that the package reads when it is imported."""
        return {}

    @abstractmethod
    def _build(self, device: str, phase: Phase) -> Any:
        """The package's model with `conditioning.CachedConditioning` mixed in."""

    @abstractmethod
    def _read(self, text: str, manner: Manner) -> Reading:
        """What the model reads in a text."""

    @abstractmethod
    def _precision(self, device: str) -> str:
        """What the model computes in: float32, float16 or bfloat16."""

    def _deciding(self, device: str) -> str:
        """A line that changes with all that changes the sound: code, package, options, kind of device, precision."""
        try:
            version = importlib.metadata.version(self.PACKAGE)
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"
        runtime = f"batched {BATCHED}{self._narrowed(device)}" if self.options.batched else "serial"
        made_with = f"{self.PACKAGE} {version} {runtime} {device.partition(':')[0]} {self._precision(device)}"
        return f"{self.CODE} {made_with} steps {STEPS} guidance {GUIDANCE} {self.options.deciding()}"

    def sound(self, device: str) -> tuple[str, str]:
        """What the batched runtime computes the flow and the vocoder in."""
        return precision.sound(self.options.sound_precision, self._precision(device), device)

    def _narrowed(self, device: str) -> str:
        """What of the batched runtime is not as exact as it can be; empty if all is."""
        names = zip(("flow", "vocoder"), self.sound(device), strict=True)
        halved = [f" {name} {dtype}" for name, dtype in names if dtype != "float32"]
        return "".join([*halved, " weights int8"] if self._int8 else halved)

    def warm(self) -> None:
        params = self.warm_params()
        self._speaker(self.delivery(params))(params["text"], params["seed"])

    def capabilities(self) -> Capabilities:
        names = self._references.names
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=self._revision,
            languages=self.languages,
            voices=tuple(Voice(name, name.capitalize(), self.languages) for name in names),
            default_voice=names[0],
            emotions=(*EMOTIONS, NEUTRAL),
            speed_min=self.SPEEDS[0],
            speed_max=self.SPEEDS[1],
            cloning=True,
            normalises=self.options.normalise,
            options=("emotion_ref", STRENGTH, *self._request_options()),
            # Segments of at most 120 tokens: about four letters each, or one Chinese character.
            cut=Cut(max_chars=280, target_chars=160, first_chars=60, cjk_weight=2.5),
            footprint=self.FOOTPRINT,
            licence="bilibili Model Use License",
            attribution=f"{self.TITLE}, IndexTeam, bilibili",
        )

    def _readable(self) -> tuple[str, ...]:
        return self.LANGUAGES

    @abstractmethod
    def _request_options(self) -> tuple[str, ...]:
        """Options of a request beside those that both versions know."""

    # Speak

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """One chunk for each piece of the text. Raises `InvalidRequest`, `UnknownVoice`, `UnitFailed`."""
        yield from self.speak(params, self.delivery(params), context)

    def speak(self, params: Mapping[str, Any], delivery: Delivery, context: Context) -> Iterator[Chunk]:
        """The package itself computes the unit, one piece after the other."""
        if delivery.mood is not None:
            delivery = replace(delivery, weights=self.read_mood(delivery.mood), mood=None)
        speaker = self._speaker(delivery)
        utterance = self.utterance(params, delivery)
        steps = float(delivery.arguments.get("diffusion_steps", STEPS))

        def say(text: str, seed: int) -> Any:
            codes = self.usual_codes(self.length(text, delivery))
            self._interrupt.begin((codes, steps), utterance.part)
            return speaker(text, seed)

        with self._interrupt.watching(context):
            try:
                for audio in pieces.speak(utterance, say):
                    yield Chunk(audio.tobytes())
            except Interrupted:
                return

    def close(self) -> None:
        self.readings.close()
        self._references.close()

    def utterance(self, params: Mapping[str, Any], delivery: Delivery) -> pieces.Utterance:
        """What is to be said for a unit, one piece after the other."""
        text, seed, duration = params["text"], params["seed"], delivery.duration
        return pieces.Utterance(text, seed, self._guard, RATE, duration, lambda part: self.length(part, delivery))

    def length(self, text: str, delivery: Delivery) -> float:
        """Letters of what is said: numbers count as the words that they are read as."""
        return self.readings.of(text, delivery.manner).length

    def most_codes(self, length: float) -> int:
        """Codes after which a text of so many letters is not going to end."""
        return min(MAX_CODES, int(self._guard.longest(length, 1.0) * self.CODES_PER_SECOND) + 1)

    def usual_codes(self, length: float) -> float:
        """Codes that so many letters take, about; only progress depends on it."""
        return max(1.0, length / LETTERS_PER_SECOND * self.CODES_PER_SECOND)

    def delivery(self, params: Mapping[str, Any]) -> Delivery:
        asked: Mapping[str, Any] = params["options"]
        if params["language"] not in self.languages:
            raise errors.InvalidRequest(f"The language must be one of {', '.join(self.languages)}", param="language")
        voice = self._references.of_voice(params["voice"])
        mood, weights, reference = self._mood(params), None, None
        if "emotion_ref" in asked:
            reference, mood = self._references.of_digest(asked["emotion_ref"], "emotion_audio"), None
        elif mood is None:
            weights = emotion.asked(params["emotion"], self.options.calm)
        duration = 1.0 / params["speed"] if self.SPEEDS != (1.0, 1.0) else 1.0
        arguments = self._arguments(params)
        manner = Manner(params["language"], bool(arguments.get(NORMALISE, True)))
        return Delivery(voice, reference, strength(asked), weights, mood, duration, manner, arguments)

    def _mood(self, params: Mapping[str, Any]) -> str | None:
        """A description of the emotion, where the model reads them and the request names no emotion."""
        return None

    def read_mood(self, mood: str) -> list[float] | None:
        """The eight weights of a description. Raises `UnitFailed`."""
        raise errors.UnitFailed("This model reads no moods; name an emotion instead")

    @abstractmethod
    def batch_model(self, slots: CodeSlots, vocode: Callable[[Any], Any]) -> PackagedModel:
        """What the batched runtime needs of the loaded model. `vocode` makes [rows, 1, samples] of
        [rows, mels, frames]."""

    def warm_params(self) -> dict[str, Any]:
        """A unit that is spoken when the model is loaded."""
        return SpeechParams("Hello there.", "", "en").as_params()

    def _arguments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of `infer` that a request decides."""
        return generation(params["options"], self.options.num_beams)

    def _speaker(self, delivery: Delivery) -> pieces.Say:
        """A function that says a piece of text with a seed."""
        import torch

        model = self.model

        def say(text: str, seed: int) -> Any:
            with torch.no_grad():
                # Before the seed is set: computing it draws random numbers, which a cached voice does not.
                model.listen(delivery.voice, delivery.emotion_reference)
                seeding.set_seed(seed)
                return self._infer(text, delivery, self._infer_arguments(text, delivery))

        return say

    def _infer_arguments(self, text: str, delivery: Delivery) -> dict[str, Any]:
        """Arguments of both packages' `infer`."""
        reference = delivery.emotion_reference
        return {
            "emo_audio_prompt": reference.path if reference else None,
            "emo_alpha": delivery.strength,
            "emo_vector": delivery.weights,
            "max_text_tokens_per_segment": self.options.max_tokens,
            "max_mel_tokens": self.most_codes(self.length(text, delivery)),
            # The codec has no sound for this code: drawn on a CPU it is an index error, and on a GPU the process ends.
            "suppress_tokens": [self.model.cfg.gpt.start_mel_token],
            **delivery.arguments,
        }

    @abstractmethod
    def _infer(self, text: str, delivery: Delivery, arguments: Mapping[str, Any]) -> Any:
        """The samples of one piece: int16, one dimension."""
