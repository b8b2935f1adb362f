"""Codes: slots in which rows of the code model join, step and leave, each at its own place in its own text.

Keys and values lie in slots and not in pages: a row of 768 positions takes 94 MB in bfloat16 at the published size. A
step has one of few shapes, looks only at the rows and positions in use, and copies nothing to the host. What it
computes for a row too many is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from antiphon.engines.indextts.batch.graphs import Graphs
from antiphon.engines.indextts.batch.parts import Block, CodeModel
from antiphon.engines.indextts.batch.sampling import Knobs, Sampling, choose

#: A step looks at the least of these that suffices, so that there are few shapes.
POSITIONS = (64, 128, 192, 256, 384, 512, 768, 1024, 1344, 1664, 2048)
#: A step computes the least of these numbers of rows that suffices: a row alone does not pay for empty slots.
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
#: The id with which both packages fill the place of the prompt. Their repetition penalty counts it as said.
FILLER = 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a row begins with."""

    #: [positions, width]: speaker, emotion and text, without the start code.
    embedding: Any
    #: [at least `limit`] float32: one number for each code.
    uniforms: Any
    #: Most codes.
    limit: int
    sampling: Sampling = field(default_factory=Sampling)


def row_bytes(model: CodeModel, positions: int) -> int:
    """Bytes of the keys and values of a row."""
    return len(model.blocks) * 2 * model.width * positions * int(model.head.weight.element_size())


class CodeSlots:
    """A row keeps its slot's number, and may be moved: rows in use stand first in every tensor, without a gap."""

    def __init__(
        self, model: CodeModel, slots: int, positions: int, max_codes: int, graphs: Graphs | None = None
    ) -> None:
        """`positions`: of a prompt and its codes together."""
        self._graphs = Graphs() if graphs is None else graphs
        self._model, self.slots, self.positions = model, slots, positions
        self.max_codes = min(max_codes, model.max_codes)
        self._head_width = model.width // model.heads
        like = model.head.weight
        device = like.device

        def zeros(*shape: int, dtype: Any = torch.long) -> Any:
            return torch.zeros(shape, dtype=dtype, device=device)

        #: [layer, slot, key or value, head, position, head width]
        self._kv = zeros(len(model.blocks), slots, 2, model.heads, positions, self._head_width, dtype=like.dtype)
        #: Where the next key and value go; codes drawn; most codes; the code drawn last. All [slots].
        self._length, self._count, self._limit, self._last = zeros(slots), zeros(slots), zeros(slots), zeros(slots)
        # One more than a row draws: a slot that is done reads and writes there.
        self._codes = zeros(slots, self.max_codes + 1)
        self._uniforms = zeros(slots, self.max_codes + 1, dtype=torch.float32)
        #: [slots, codes]: which the penalty counts.
        self._said = zeros(slots, model.codes, dtype=torch.bool)
        self._live = zeros(slots, dtype=torch.bool)
        self._knobs = Knobs.plain(slots, device)
        self._by_row = (
            self._length, self._count, self._limit, self._last, self._codes, self._uniforms, self._said, self._live,
            *self._knobs.tensors,
        )  # fmt: skip
        self._places, self._rows = torch.arange(positions, device=device), torch.arange(slots, device=device)
        #: The host's own count of positions by slot, at least what the device has; only of slots with a row.
        self._used: dict[int, int] = {}
        #: Positions of the prompts, by slot.
        self._prompts: dict[int, int] = {}
        #: The slot of each row, in the order of the tensors.
        self._order: list[int] = []

    @property
    def free(self) -> int:
        """Slots without a row."""
        return self.slots - len(self._used)

    def problem(self, prompt: Prompt) -> str | None:
        """Why the prompt does not fit into a slot, in words; None if it does."""
        length = int(prompt.embedding.shape[0])
        if length >= self.positions:
            return f"its text takes {length} positions, and a slot has {self.positions}"
        if not 0 < prompt.limit <= self.max_codes:
            return f"it may have {prompt.limit} codes, and the model has places for {self.max_codes}"
        if length + prompt.limit > self.positions:
            return f"it needs {length + prompt.limit} positions, and a slot has {self.positions}"
        if prompt.sampling.top_k < 1 or int(prompt.uniforms.shape[0]) < prompt.limit:
            return "it has no random number for each of its codes, or no code to choose from"
        return None

    # Join and leave

    def join(self, prompts: list[Prompt]) -> list[int]:
        """Puts rows into free slots and returns these; each must fit (`problem`)."""
        slots = [slot for slot in range(self.slots) if slot not in self._used][: len(prompts)]
        if len(slots) < len(prompts):
            raise IndexError(f"{len(prompts)} rows do not fit into {self.free} free slots")
        index = self._rows[len(self._order) : len(self._order) + len(slots)]
        # What the last row left is masked, but nothing times a value that is no number is no number.
        self._kv[:, index] = 0
        self._prefill(index, [prompt.embedding for prompt in prompts])
        lengths = [int(prompt.embedding.shape[0]) for prompt in prompts]
        self._length[index] = torch.tensor(lengths, device=index.device)
        self._limit[index] = torch.tensor([prompt.limit for prompt in prompts], device=index.device)
        self._count[index] = 0
        self._last[index] = self._model.start
        self._said[index] = False
        self._said[index, FILLER] = True
        self._said[index, self._model.start] = True
        self._knobs.set(index, [prompt.sampling for prompt in prompts])
        for row, prompt in enumerate(prompts, len(self._order)):
            self._uniforms[row, : prompt.limit] = prompt.uniforms[: prompt.limit]
        self._live[index] = True
        self._used.update(zip(slots, lengths, strict=True))
        self._prompts.update(zip(slots, lengths, strict=True))
        self._order += slots
        return slots

    def leave(self, slot: int) -> None:
        """Frees a slot, at any time between two steps. The last row takes the place that is free."""
        del self._used[slot], self._prompts[slot]
        row, last = self._order.index(slot), len(self._order) - 1
        moved = self._order.pop()
        if row != last:
            self._order[row] = moved
            for tensor in self._by_row:
                tensor[row] = tensor[last]
            end = min(self._used[moved] + 1, self.positions)
            self._kv[:, row, :, :, :end] = self._kv[:, last, :, :, :end]
        self._live[last] = False
        self._length[last] = 0

    def codes(self, slot: int, count: int) -> Any:
        """[count] long: a copy of what the slot's row drew."""
        return self._codes[self._order.index(slot), :count].clone()

    def drawn(self, slot: int) -> int:
        """Codes of a row so far; the device is not asked, so those of a row that is done may be counted too high."""
        return self._used[slot] - self._prompts[slot]

    def _prefill(self, index: Any, embeddings: list[Any]) -> None:
        """Keys and values of the prompts. They are padded on the right, where a causal mask never looks."""
        longest = max(each.shape[0] for each in embeddings)
        x = torch.stack([functional.pad(each, (0, 0, 0, longest - each.shape[0])) for each in embeddings])
        x = x.to(self._kv.dtype)
        for layer, block in enumerate(self._model.blocks):
            x, kv = self._block(x, block)
            self._kv[layer, index, :, :, :longest] = kv

    def _block(self, x: Any, block: Block) -> tuple[Any, Any]:
        """A layer over whole prompts: [rows, positions, width], and [rows, 2, heads, positions, head width]."""
        rows, length = x.shape[:2]
        qkv = block.qkv(block.before_attention(x)).view(rows, length, 3, self._model.heads, self._head_width)
        qkv = qkv.permute(0, 2, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*qkv.unbind(1), is_causal=True)
        x = x + block.attended(attended.transpose(1, 2).reshape(rows, length, -1))
        return x + _mlp(block, x), qkv[:, 1:]

    # Step

    def advance(self, steps: int) -> dict[int, int]:
        """Draws up to `steps` codes for every row, and looks at the device once.

        Returns the slots that are done, each with the number of its codes; the stop code is none of them.
        """
        if not self._used:
            return {}
        need = min(max(self._used.values()) + steps, self.positions)
        look = min(next((each for each in POSITIONS if each >= need), self.positions), self.positions)
        for _ in range(steps):
            self._step(look)
        live, count = torch.stack([self._live, self._count]).tolist()
        rows = {slot: row for row, slot in enumerate(self._order)}
        for slot, row in rows.items():
            if live[row]:
                self._used[slot] += steps
        return {slot: count[row] for slot, row in rows.items() if not live[row]}

    def _step(self, look: int) -> None:
        rows = next((each for each in ROWS if each >= len(self._order)), self.slots)
        rows = min(rows, self.slots)
        self._graphs.run(("codes", look, rows), partial(self._draw, look, rows))

    def _draw(self, look: int, rows: int) -> None:
        """A code for each of the first rows. All else that it reads are tensors, which it changes in place."""
        index, live, count = self._rows[:rows], self._live[:rows], self._count[:rows]
        logits = self._logits(look, rows)
        code = choose(logits, self._said[:rows], self._uniforms[index, count], self._knobs.first(rows))
        # Scores that are no numbers would choose any code, the start too, for which the codec has no sound.
        code = code.where(~logits.isnan().any(-1), self._model.stop)
        drawn = live & (code != self._model.stop)
        self._codes[index, count] = code
        self._said[index, code] |= live
        count += drawn
        live.copy_(drawn & (count < self._limit[:rows]))
        self._length[:rows] += live
        self._last[:rows] = code

    def _logits(self, look: int, rows: int) -> Any:
        """[rows, codes] float32: scores of the next code."""
        model, length = self._model, self._length[:rows]
        place = self._count[:rows]
        if model.first_position > 1:
            place = place + (place > 0) * (model.first_position - 1)
        x = model.embedding[self._last[:rows]] + model.positions[place]
        mask = (self._places[:look] <= length[:, None])[:, None, None]
        for layer, block in enumerate(model.blocks):
            qkv = block.qkv(block.before_attention(x)).view(rows, 3, model.heads, self._head_width)
            kv = self._kv[layer, :rows]
            kv[self._rows[:rows], :, :, length] = qkv[:, 1:]
            attended = functional.scaled_dot_product_attention(
                qkv[:, 0, :, None], kv[:, 0, :, :look], kv[:, 1, :, :look], attn_mask=mask
            )
            x = x + block.attended(attended.reshape(rows, -1))
            x = x + _mlp(block, x)
        for norm in model.last_norms:
            x = norm(x)
        logits = model.head(x).float()
        # The codec has no sound for it.
        logits[:, model.start].fill_(float("-inf"))
        return logits

    # IndexTTS2 goes over a text's codes once more

    def latents(self, prompts: list[Any], codes: list[Any]) -> list[Any]:
        """[codes, width] for each row: what the model makes of all codes of a text, the place before each.

        `prompts` [positions, width] and `codes` [n] long. IndexTTS2 adds this to what the codes stand for.
        """
        model = self._model
        rows = []
        for prompt, drawn in zip(prompts, codes, strict=True):
            said = torch.cat([drawn.new_full((1,), model.start), drawn[:-1]])
            rows.append(torch.cat([prompt, model.embedding[said] + model.positions[: len(said)]]))
        longest = max(each.shape[0] for each in rows)
        x = torch.stack([functional.pad(each, (0, 0, 0, longest - each.shape[0])) for each in rows])
        for block in model.blocks:
            x, _ = self._block(x, block)
        for norm in model.last_norms:
            x = norm(x)
        return [x[n, len(prompt) : len(prompt) + len(codes[n])] for n, prompt in enumerate(prompts)]


def _mlp(block: Block, x: Any) -> Any:
    return block.down(functional.gelu(block.up(block.before_mlp(x)), approximate="tanh"))
