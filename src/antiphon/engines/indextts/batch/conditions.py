"""Conditions: from codes to what the flow is conditioned on, for rows of unequal length, each as if it were alone.

Three things would tell a row of its neighbours, and of the padding behind it: a convolution reads zeros beyond a row's
end, so the padding is zero before each; the length regulator's norm goes over time, so its mean and variance are those
of the row's own frames; and frames are stretched with the row's own factor, in torch's own order of rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from antiphon.engines.indextts.batch.parts import Codec, Codes, Linear, Regulator

#: Frames of mel for one frame of features (50 features and about 86 frames a second).
STRETCH = 1.72


def frames25(codes: int, duration: float) -> int:
    """Frames of mel for that many codes of IndexTTS-2.5 (25 a second); `duration` is in times the usual length."""
    return int(2 * codes * STRETCH * duration)


def frames2(codes: int) -> int:
    """Frames of mel for that many codes of IndexTTS2 (50 a second). The package multiplies in float32."""
    return int((torch.tensor([codes]) * STRETCH).long())


def decode(codec: Codec, codes: Any, lengths: Any) -> Any:
    """[rows, 2 n, features]: two frames of features for each code of IndexTTS-2.5, 50 a second.

    `codes` [rows, n] long, padded with any code; `lengths` [rows] long.
    """
    inside = _inside(lengths, codes.shape[1])
    x = codec.codes(codes) * inside
    x = codec.first_norm(codec.embed(x).transpose(1, 2))
    for block in codec.blocks:
        y = block.conv(x.transpose(1, 2) * inside).transpose(1, 2)
        x = x + block.scale * block.down(functional.gelu(block.up(block.norm(y))))
    x = codec.out(codec.last_norm(x)).transpose(1, 2)
    return codec.after(x.repeat_interleave(2, 2) * inside.repeat_interleave(2, 2)).transpose(1, 2)


def features2(codes: Codes, project: tuple[Linear, ...], drawn: Any, latents: Any) -> Any:
    """[rows, n, features]: IndexTTS2's, one frame for each code: what it stands for, and the model's own latents.

    `drawn` [rows, n] long, `latents` [rows, n, width]; `project` is the package's `gpt_layer`.
    """
    for layer in project:
        latents = layer(latents)
    return codes(drawn).transpose(1, 2) + latents


def regulate(regulator: Regulator, features: Any, lengths: Any, frames: Any) -> Any:
    """[rows, longest, channels]: the features of each row stretched to its frames; zero beyond them.

    `features` [rows, n, features]; `lengths` and `frames` [rows] long.
    """
    x = _stretched(regulator.project(features).transpose(1, 2), lengths, frames)
    inside = _inside(frames, x.shape[2])
    count = (frames * x.shape[1])[:, None, None]
    for layer in regulator.layers:
        x = layer.conv(x * inside)
        mean = (x * inside).sum((1, 2), keepdim=True) / count
        variance = ((x - mean).square() * inside).sum((1, 2), keepdim=True) / count
        x = (x - mean) * torch.rsqrt(variance + layer.eps) * layer.weight[:, None] + layer.bias[:, None]
        x = functional.mish(x)
    return (regulator.out(x) * inside).transpose(1, 2)


def _stretched(x: Any, lengths: Any, frames: Any) -> Any:
    """The nearest neighbour of every frame, as torch's `interpolate` finds it: [rows, channels, longest]."""
    at = torch.arange(int(frames.max()), device=x.device)
    # (from / to) · frame, all in float32; in another order a frame here and there would be its neighbour.
    nearest = (at * (lengths.float() / frames)[:, None]).floor().long()
    nearest = torch.minimum(nearest, lengths[:, None] - 1)
    return x.gather(2, nearest[:, None].expand(-1, x.shape[1], -1))


def _inside(lengths: Any, longest: int) -> Any:
    """[rows, 1, longest] bool: which places are a row's own."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None])[:, None]
