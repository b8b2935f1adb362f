"""Int8: the weights of the code model's layers as whole numbers of eight bits, with a factor for each output.

They take half the memory of bfloat16 and a quarter of that of float32. A layer's weights are made full again while it
computes, so this is for cards whose memory is short, not for speed. The package's own modules are replaced: the memory
is free then, and a search with beams has the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

#: The largest whole number: -127 to 127.
MOST = 127


@dataclass(frozen=True, slots=True)
class Int8Linear:
    """`x @ (weight × scale).T + bias`."""

    #: [out, in] int8
    weight: Any
    #: [out], in the precision that is computed in.
    scale: Any
    #: [out]
    bias: Any

    def __call__(self, x: Any) -> Any:
        # Multiplied first: sums of whole numbers would leave the range of float16.
        return torch.nn.functional.linear(x, self.weight * self.scale[:, None], self.bias)


class Int8Layer(torch.nn.Module):  # type: ignore[misc]  # torch takes no part in type checking
    """In the place of transformers' `Conv1D`."""

    def __init__(self, weight: Any, bias: Any) -> None:
        """`weight` [in, out]"""
        super().__init__()
        full = weight.detach().T
        # Rounded to the precision first, so that the factor itself adds no error of its own.
        scale = (full.abs().amax(1).float() / MOST).clamp(min=torch.finfo(weight.dtype).tiny).to(weight.dtype)
        whole = (full.float() / scale.float()[:, None]).round().clamp(-MOST, MOST)
        self.register_buffer("weight", whole.to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias.detach())

    @property
    def linear(self) -> Int8Linear:
        return Int8Linear(self.weight, self.scale, self.bias)

    def forward(self, x: Any) -> Any:
        return self.linear(x)


def quantise(gpt: Any) -> None:
    """Replaces the matrices of the code model's layers, one after the other; those that are replaced already stay."""
    for owner, name, layer in _layers(gpt):
        if not isinstance(layer, Int8Layer):
            setattr(owner, name, Int8Layer(layer.weight, layer.bias))


def saved(gpt: Any) -> int:
    """Bytes that `quantise` frees, without the factors."""
    weights = [layer.weight for _, _, layer in _layers(gpt)]
    return sum(int(weight.numel() * (weight.element_size() - 1)) for weight in weights)


def _layers(gpt: Any) -> Iterator[tuple[Any, str, Any]]:
    """The matrices of a `UnifiedVoice`: whose, by which name, and the layer."""
    for block in gpt.gpt.h:
        for owner, name in ((block.attn, "c_attn"), (block.attn, "c_proj"), (block.mlp, "c_fc"), (block.mlp, "c_proj")):
            yield owner, name, getattr(owner, name)
