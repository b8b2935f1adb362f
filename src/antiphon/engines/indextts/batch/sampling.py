"""Sampling: chooses a code for every row, with the same chances as transformers' processors give.

A code is the inverse of the cumulative distribution at one uniform number, so a row needs one number for each code and
no generator on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

#: The largest `top_k` that a request may ask for: the shapes are the same for every row.
MAX_TOP_K = 200


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are drawn for one row. The defaults are the packages' own."""

    #: 0 takes the likeliest code each time.
    temperature: float = 0.8
    #: 1 to `MAX_TOP_K`.
    top_k: int = 30
    top_p: float = 0.8
    #: Divides the score of a code that was said before, or multiplies it if it is negative.
    repetition_penalty: float = 10.0


@dataclass(frozen=True, slots=True)
class Knobs:
    """`Sampling` of every row, as tensors [rows] on the device."""

    temperature: Any
    cold: Any
    top_k: Any
    top_p: Any
    penalty: Any

    @classmethod
    def plain(cls, rows: int, device: Any) -> Knobs:
        ones = torch.ones(rows, device=device)
        zeros = torch.zeros(rows, dtype=torch.bool, device=device)
        return cls(ones, zeros, torch.ones(rows, dtype=torch.long, device=device), ones.clone(), ones.clone())

    @property
    def tensors(self) -> tuple[Any, ...]:
        return self.temperature, self.cold, self.top_k, self.top_p, self.penalty

    def first(self, rows: int) -> Knobs:
        """Those of the first rows; nothing is copied."""
        return Knobs(*(tensor[:rows] for tensor in self.tensors))

    def set(self, rows: Any, samplings: list[Sampling]) -> None:
        """`rows`: [n] long, one for each of `samplings`."""
        device = self.temperature.device

        def column(values: Sequence[float]) -> Any:
            return torch.tensor(values, device=device)

        cold = [each.temperature <= 0 for each in samplings]
        self.cold[rows] = column(cold)
        self.temperature[rows] = column(
            [1.0 if frozen else each.temperature for frozen, each in zip(cold, samplings, strict=True)]
        )
        self.top_k[rows] = column([1 if frozen else each.top_k for frozen, each in zip(cold, samplings, strict=True)])
        self.top_p[rows] = column([each.top_p for each in samplings])
        self.penalty[rows] = column([each.repetition_penalty for each in samplings])


def candidates(logits: Any, said: Any, knobs: Knobs) -> tuple[Any, Any]:
    """The codes that may be drawn, the likeliest first, and their chances: both [rows, k].

    `logits` [rows, codes] float32, `said` [rows, codes] bool. The order is that of transformers: penalty, temperature,
    top-k, top-p.
    """
    penalty = knobs.penalty[:, None]
    logits = torch.where(said, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    values, codes = (logits / knobs.temperature[:, None]).topk(min(MAX_TOP_K, logits.shape[-1]))
    rank = torch.arange(values.shape[1], device=values.device)
    chances = values.masked_fill(rank >= knobs.top_k[:, None], float("-inf")).softmax(-1)
    before = chances.cumsum(-1) - chances
    # The likeliest code stays, whatever top-p is.
    chances = chances * ((before < knobs.top_p[:, None]) | (rank == 0))
    return codes, chances / chances.sum(-1, keepdim=True)


def choose(logits: Any, said: Any, uniform: Any, knobs: Knobs) -> Any:
    """[rows] long: a code for each row; `uniform` [rows] in [0, 1)."""
    codes, chances = candidates(logits, said, knobs)
    at = (chances.cumsum(-1) <= uniform[:, None]).sum(-1)
    # A sum of float32 may end a little below 1, and a number above it must not choose a code that has no chance.
    at = torch.minimum(at, (chances > 0).sum(-1) - 1)
    return codes.gather(1, at.clamp(min=0)[:, None])[:, 0]
