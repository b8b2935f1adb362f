"""Prompts: what a row of the code model begins with, made of a speaker with an emotion and of a text's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from antiphon.engines.indextts.batch.parts import Linear, Module, Reader, Tensor


@dataclass(frozen=True, slots=True)
class PromptModel:
    """The text's half of `UnifiedVoice` of either package."""

    #: [tokens, width] and [positions, width]
    embedding: Tensor
    positions: Tensor
    #: [languages, width]; None for IndexTTS2.
    languages: Tensor
    #: From a style [192] to the speaker; None for IndexTTS2.
    speaker: Linear | None
    #: [2, width], behind the speaker: zero for IndexTTS-2.5, and IndexTTS2's embeddings of half and of whole speed.
    after_speaker: Tensor
    start: int
    stop: int
    #: Tokens that the package takes out of a text.
    dropped: frozenset[int]

    @property
    def max_tokens(self) -> int:
        """Most tokens of a text."""
        return int(self.positions.shape[0]) - 2

    def __call__(self, speaker: Tensor, tokens: Sequence[int], language: int = 0) -> Tensor:
        """[positions, width]. `speaker` [n, width] has the emotion in it; `language` is the package's number."""
        ids = [self.start, *(token for token in tokens if token not in self.dropped), self.stop]
        text = self.embedding[torch.tensor(ids, device=self.embedding.device)] + self.positions[: len(ids)]
        if self.languages is not None:
            text = text + self.languages[language]
        return torch.cat([speaker, self.after_speaker, text])


def prompt_model(module: Module, dtype: Any = None) -> PromptModel:
    reader, width = Reader(dtype), module.model_dim
    newer = hasattr(module, "lang_embedding")
    speed = None if newer else reader.tensor("speed_emb", module.speed_emb.weight, 2, width).flip(0)
    embedding = reader.tensor("text_embedding", module.text_embedding.weight, -1, width)
    stop, start = module.stop_text_token, module.start_text_token
    return PromptModel(
        embedding=embedding,
        positions=reader.tensor("text_pos_embedding", module.text_pos_embedding.emb.weight, -1, width),
        languages=reader.tensor("lang_embedding", module.lang_embedding.weight, -1, width) if newer else None,
        speaker=reader.linear("spk_emb_proj", module.spk_emb_proj, width, 192) if newer else None,
        after_speaker=embedding.new_zeros(2, width) if speed is None else speed,
        start=start,
        stop=stop,
        # The newer one keeps its start token, which is "!" in a text.
        dropped=frozenset({stop}) if newer else frozenset({start, stop}),
    )
