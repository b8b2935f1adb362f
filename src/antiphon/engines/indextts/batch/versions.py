"""Versions: what differs between IndexTTS-2.5 and IndexTTS2 in the runtime, made of a package's loaded model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.indextts.batch import conditions, parts, prompts
from antiphon.engines.indextts.batch.codes import CodeSlots
from antiphon.engines.indextts.batch.listener import Listener, VoiceKey
from antiphon.engines.indextts.batch.units import Row, Voice
from antiphon.engines.indextts.reading import Manner, Readings


class PackagedModel(ABC):
    """What both versions have in common: voices from the listener, prompts from the readings."""

    def __init__(
        self,
        package: Any,
        cache: ConditioningCache,
        readings: Readings,
        most_codes: Callable[[float], int],
        usual_codes: Callable[[float], float],
        read_mood: Callable[[str], Sequence[float] | None],
        vocode: Callable[[Any], Any],
    ) -> None:
        """`most_codes`: codes after which a text of so many letters is not going to end, and `usual_codes`: those that
        it takes, about. `read_mood`: the eight weights of a description. `vocode`: [rows, mels, frames] →
        [rows, 1, samples]"""
        self._vocode = vocode
        self._package, self._readings = package, readings
        self._most_codes, self._usual_codes = most_codes, usual_codes
        self._listener = Listener(package, cache, self._speaker, read_mood)
        self._prompt = prompts.prompt_model(package.gpt)
        self._regulator = parts.regulator(package.s2mel.models["length_regulator"])

    def heard(self, voice: Hashable) -> Voice | None:
        assert isinstance(voice, VoiceKey)
        return self._listener.heard(voice)

    def listen(self, voice: Hashable) -> Voice:
        assert isinstance(voice, VoiceKey)
        # Listening draws random numbers, which a unit that the package computes meanwhile must not miss.
        device = torch.device(self._package.device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            return self._listener.listen(voice)

    def prompts(self, voice: Voice, text: str, manner: Hashable) -> Sequence[Any]:
        assert isinstance(manner, Manner)
        number = self._language(manner)
        return [self._prompt(voice.speaker, part, number) for part in self._readings.of(text, manner).parts]

    def max_codes(self, text: str, manner: Hashable) -> int:
        assert isinstance(manner, Manner)
        return self._most_codes(self._readings.of(text, manner).length)

    def usual_codes(self, text: str, manner: Hashable) -> float:
        assert isinstance(manner, Manner)
        return self._usual_codes(self._readings.of(text, manner).length)

    def vocode(self, mels: Any) -> Any:
        return self._vocode(mels.float())

    @abstractmethod
    def conditions(self, rows: Sequence[Row]) -> Sequence[Any]: ...

    @abstractmethod
    def _speaker(self, heard: Any, style: Any, emotion: Any) -> Any:
        """[n, width]: what a prompt begins with, of a recording, its style and an emotion vector."""

    def _language(self, manner: Manner) -> int:
        return 0


class Model25(PackagedModel):
    """25 codes a second, of which the codec makes features; it knows languages and takes any duration."""

    def __init__(self, package: Any, *rest: Any) -> None:
        super().__init__(package, *rest)
        from indextts25.utils.tokenizer import lang_to_token

        self._number = lang_to_token
        self._codec = parts.codec(package.semantic_codec)

    def conditions(self, rows: Sequence[Row]) -> Sequence[Any]:
        lengths = _counts(rows)
        frames = [conditions.frames25(len(row.codes), row.ask.duration) for row in rows]
        features = conditions.decode(self._codec, pad_sequence([row.codes for row in rows], True), lengths)
        return _cut(conditions.regulate(self._regulator, features, 2 * lengths, _like(lengths, frames)), frames)

    def _speaker(self, heard: Any, style: Any, emotion: Any) -> Any:
        return self._package.gpt.spk_emb_proj(style) + emotion

    def _language(self, manner: Manner) -> int:
        return int(self._number(manner.language))


class Model2(PackagedModel):
    """50 codes a second, to each of which the code model's own latents are added."""

    def __init__(self, slots: CodeSlots, package: Any, *rest: Any) -> None:
        """`slots` go over the codes once more."""
        super().__init__(package, *rest)
        self._slots, reader = slots, parts.Reader()
        self._project = tuple(
            reader.linear(f"gpt_layer.{n}", each) for n, each in enumerate(package.s2mel.models["gpt_layer"])
        )
        self._codes = parts.codes(package.semantic_codec)

    def conditions(self, rows: Sequence[Row]) -> Sequence[Any]:
        drawn = [row.codes for row in rows]
        latents = self._slots.latents([row.prompt.embedding for row in rows if row.prompt is not None], drawn)
        frames = [conditions.frames2(len(codes)) for codes in drawn]
        padded = pad_sequence([each.float() for each in latents], True)
        features = conditions.features2(self._codes, self._project, pad_sequence(drawn, True), padded)
        lengths = _counts(rows)
        return _cut(conditions.regulate(self._regulator, features, lengths, _like(lengths, frames)), frames)

    def _speaker(self, heard: Any, style: Any, emotion: Any) -> Any:
        length = torch.tensor([heard.shape[-1]], device=heard.device)
        return self._package.gpt.get_conditioning(heard.transpose(1, 2), length)[0] + emotion


def _counts(rows: Sequence[Row]) -> Any:
    return _like(rows[0].codes, [len(row.codes) for row in rows])


def _like(tensor: Any, numbers: list[int]) -> Any:
    """[n] long, where the tensor is."""
    return torch.tensor(numbers, device=tensor.device)


def _cut(made: Any, frames: list[int]) -> list[Any]:
    return [made[n, :count] for n, count in enumerate(frames)]
