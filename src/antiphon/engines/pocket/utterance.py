"""Utterance: one part of a text, spoken frame by frame in the way of the package, but by the caller's own thread.

The package's `generate_audio_stream` runs two threads ahead of the listener, and decodes as many frames at once as are
there just then: its samples differ from run to run in the last bits, and after a cancel it goes on for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Frames (80 ms each) that are decoded together, one group after the other; the last number is that of all further
#: groups. The first sound comes after one frame. Each group is computed while those before it play, so it may not be
#: much longer than they are; long ones take less time.
GROUPS = (1, 1, 2, 3, 4, 6, 8)
#: Most tokens of a text that the model speaks at once (the package's number).
MAX_TOKENS = 50
#: Tokens of speech in a second, about; only progress depends on it.
TOKENS_PER_SECOND = 4.0
#: Seconds over which the first samples rise: a fresh decoder starts with a click.
FADE = 0.005


@dataclass(frozen=True, slots=True)
class Prompt:
    """A part of a text as the model reads it."""

    #: [1, tokens]
    tokens: Any
    #: Frames after the one with which the model says that it has ended.
    more: int


def prompts(model: Any, text: str) -> list[Prompt]:
    """The parts of a text. Raises `ValueError` for one without a sign that the model reads."""
    from pocket_tts.models.text_chunking import prepare_text_prompt, split_into_best_sentences

    rules = {
        "pad_with_spaces_for_short_inputs": model.pad_with_spaces_for_short_inputs,
        "remove_semicolons": model.remove_semicolons,
        "append_terminal_punctuation": model.append_terminal_punctuation,
        "capitalize_first_letter": model.capitalize_first_letter,
        "replace_characters": model.replace_characters,
    }
    conditioner, more = model.flow_lm.conditioner, model.model_recommended_frames_after_eos
    found = []
    for part in split_into_best_sentences(conditioner.tokenizer, text, MAX_TOKENS, **rules):
        prepared, guess = prepare_text_prompt(part, **rules)
        found.append(Prompt(conditioner.prepare(prepared), guess + 2 if more is None else more))
    return found


class Utterance:
    """Not thread-safe: one thread computes with a model. `frame` draws from torch's generator of this process."""

    def __init__(self, model: Any, voice: Any, prompt: Prompt) -> None:
        """Reads the text. `voice`: the state to speak from, which is left as it is."""
        import torch
        from pocket_tts.modules.stateful_module import init_states

        self._model, self._more = model, prompt.more
        tokens = prompt.tokens.shape[1]
        #: Frames after which the model is not going to end.
        self.most: int = model._estimate_max_gen_len(tokens)
        self.usual = max(1.0, tokens / TOKENS_PER_SECOND * model.config.mimi.frame_rate)
        self._steps = int(model.mimi.encoder_frame_rate / model.mimi.frame_rate)
        with torch.no_grad():
            # The package's function puts a longer copy in the place of each cache.
            self._state = {
                name: {key: each if key == "cache" else each.clone() for key, each in state.items()}
                for name, state in voice.items()
            }
            model._expand_kv_cache(self._state, model._flow_lm_current_end(voice) + tokens + self.most)
            model._run_flow_lm_and_increment_step(model_state=self._state, text_tokens=prompt.tokens)
            self._decoding = init_states(model.mimi, 1, self.most * self._steps)
            # Not a number: the model's sign for a beginning.
            self._last = torch.full((1, 1, model.flow_lm.ldim), float("nan"), dtype=model.flow_lm.dtype)
        #: Frames that were computed, and the one in which the model said that it ends.
        self.done = 0
        self._ended: int | None = None
        self._begun = False

    def frame(self) -> Any | None:
        """The next frame's latent [1, 1, channels]; None: the text has been said, or does not come to an end."""
        import torch

        if self.done >= self.most:
            return None
        with torch.no_grad():
            latent, ends = self._model._run_flow_lm_and_increment_step(
                model_state=self._state, backbone_input_latents=self._last
            )
        if self._ended is None and self.done >= self._model._MIN_FRAMES_BEFORE_EOS and ends.item():
            self._ended = self.done
        if self._ended is not None and self.done >= self._ended + self._more:
            return None
        self.done += 1
        self._last = latent
        return latent

    def decode(self, latents: list[Any]) -> Any:
        """The samples of the next frames: float32, one dimension."""
        import torch
        from pocket_tts.modules.stateful_module import increment_steps

        model = self._model
        with torch.no_grad():
            scaled = torch.cat(latents, dim=1) * model.flow_lm.emb_std + model.flow_lm.emb_mean
            audio = model.mimi.decode_from_latent(scaled, self._decoding)
            increment_steps(model.mimi, self._decoding, increment=self._steps * len(latents))
        samples = audio[0, 0].numpy()
        if not self._begun:
            self._begun = True
            _rise(samples, int(FADE * model.sample_rate))
        return samples


def groups() -> Iterator[int]:
    """How many frames are decoded together, one group after the other."""
    yield from GROUPS
    while True:
        yield GROUPS[-1]


def _rise(samples: Any, count: int) -> None:
    import numpy as np

    samples[:count] *= np.linspace(0.0, 1.0, count, dtype=np.float32)[: len(samples)]
