"""Parts: weights out of the packages' modules, as tensors in one precision, with their shapes checked.

Everything that the runtime knows about the insides of `indextts25` 0.2.0 and `indextts` 2.1.1 is in this file. A tensor
in the precision that is asked for is shared with the package's module, not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from antiphon.engines.indextts.batch.int8 import Int8Layer, Int8Linear

#: torch takes no part in type checking.
Tensor = Any
Module = Any


class UnknownModel(ValueError):
    """The package's modules, or the model's configuration, are not the ones that this runtime was written for."""


@dataclass(frozen=True, slots=True)
class Linear:
    """`x @ weight.T + bias`."""

    #: [out, in]
    weight: Tensor
    #: [out], or None
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution over time."""

    #: [out, in, kernel]
    weight: Tensor
    #: [out]
    bias: Tensor
    padding: int = 0
    groups: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        """[rows, in, frames] → [rows, out, frames]"""
        return torch.nn.functional.conv1d(x, self.weight, self.bias, padding=self.padding, groups=self.groups)


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm over the last dimension."""

    #: [width]
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)


class Reader:
    """Takes tensors out of modules, in one precision."""

    def __init__(self, dtype: Any = None) -> None:
        """`dtype`: None keeps each tensor's own."""
        self.dtype = dtype

    def tensor(self, name: str, value: Tensor, *shape: int) -> Tensor:
        """`value` in the precision; -1 in `shape` stands for any length. Raises `UnknownModel`."""
        fits = len(shape) == value.dim() and all(
            want in (-1, have) for want, have in zip(shape, value.shape, strict=True)
        )
        if not fits:
            raise UnknownModel(
                f"{name} has the shape {list(value.shape)} and not {list(shape)}: the batched runtime does not know "
                "this version of the package or of the model"
            )
        return value.detach() if self.dtype is None else value.detach().to(self.dtype)

    def linear(self, name: str, module: Module, out: int = -1, into: int = -1) -> Linear:
        bias = module.bias
        return Linear(
            self.tensor(f"{name}.weight", weight(module), out, into),
            None if bias is None else self.tensor(f"{name}.bias", bias, out),
        )

    def transposed(self, name: str, module: Module, into: int, out: int) -> Linear | Int8Linear:
        """transformers' `Conv1D`, whose weight is [in, out]; or what replaced it."""
        if isinstance(module, Int8Layer):
            return module.linear
        made = self.tensor(f"{name}.weight", module.weight, into, out)
        return Linear(made.T, self.tensor(f"{name}.bias", module.bias, out))

    def conv(self, name: str, module: Module, out: int = -1, into: int = -1) -> Conv:
        """`into`: channels of one group."""
        if module.stride[0] != 1 or module.dilation[0] != 1:
            raise UnknownModel(f"{name} has a stride or a dilation, which the batched runtime does not compute")
        return Conv(
            self.tensor(f"{name}.weight", weight(module), out, into, -1),
            self.tensor(f"{name}.bias", module.bias, out),
            module.padding[0],
            module.groups,
        )

    def norm(self, name: str, module: Module, width: int) -> Norm:
        return Norm(
            self.tensor(f"{name}.weight", module.weight, width),
            self.tensor(f"{name}.bias", module.bias, width),
            module.eps,
        )


def weight(module: Module) -> Tensor:
    """A module's weight. IndexTTS2 keeps some as a direction and a length (weight norm), the newer package does not."""
    length = getattr(module, "weight_g", None)
    return module.weight if length is None else torch._weight_norm(module.weight_v, length, 0)


# The code model: GPT-2


@dataclass(frozen=True, slots=True)
class Block:
    """A layer of the code model."""

    before_attention: Norm
    qkv: Linear | Int8Linear
    attended: Linear | Int8Linear
    before_mlp: Norm
    up: Linear | Int8Linear
    down: Linear | Int8Linear


@dataclass(frozen=True, slots=True)
class CodeModel:
    """`UnifiedVoice` of either package; `width` is that of a position, `codes` counts the start and the stop code."""

    heads: int
    width: int
    codes: int
    start: int
    stop: int
    #: Position of the first code that is drawn; the start code is at 0. IndexTTS2 leaves 1 out.
    first_position: int
    blocks: tuple[Block, ...]
    #: Both are applied, one after the other.
    last_norms: tuple[Norm, Norm]
    head: Linear
    #: [codes, width]
    embedding: Tensor
    #: [positions, width]
    positions: Tensor

    @property
    def max_codes(self) -> int:
        """Most codes that the model has positions for."""
        return int(self.positions.shape[0]) - self.first_position


def code_model(module: Module, dtype: Any = None) -> CodeModel:
    """From the `UnifiedVoice` of either package."""
    reader, width, codes = Reader(dtype), module.model_dim, module.number_mel_codes
    if width % module.heads:
        raise UnknownModel(f"The code model is {width} wide, which {module.heads} heads do not divide")
    return CodeModel(
        heads=module.heads,
        width=width,
        codes=codes,
        start=module.start_mel_token,
        stop=module.stop_mel_token,
        # The newer one has languages.
        first_position=1 if hasattr(module, "lang_embedding") else 2,
        blocks=tuple(_block(reader, f"gpt.h.{n}", each, width) for n, each in enumerate(module.gpt.h)),
        last_norms=(
            reader.norm("gpt.ln_f", module.gpt.ln_f, width),
            reader.norm("final_norm", module.final_norm, width),
        ),
        head=reader.linear("mel_head", module.mel_head, codes, width),
        embedding=reader.tensor("mel_embedding", module.mel_embedding.weight, codes, width),
        positions=reader.tensor("mel_pos_embedding", module.mel_pos_embedding.emb.weight, -1, width),
    )


def _block(reader: Reader, name: str, block: Module, width: int) -> Block:
    attention, mlp = block.attn, block.mlp
    return Block(
        before_attention=reader.norm(f"{name}.ln_1", block.ln_1, width),
        qkv=reader.transposed(f"{name}.attn.c_attn", attention.c_attn, width, 3 * width),
        attended=reader.transposed(f"{name}.attn.c_proj", attention.c_proj, width, width),
        before_mlp=reader.norm(f"{name}.ln_2", block.ln_2, width),
        up=reader.transposed(f"{name}.mlp.c_fc", mlp.c_fc, width, 4 * width),
        down=reader.transposed(f"{name}.mlp.c_proj", mlp.c_proj, 4 * width, width),
    )


# Codes to conditions


@dataclass(frozen=True, slots=True)
class ConvNext:
    """A block of the codec's decoder."""

    conv: Conv
    norm: Norm
    up: Linear
    down: Linear
    #: [width]
    scale: Tensor


@dataclass(frozen=True, slots=True)
class Codes:
    """What a code stands for."""

    #: [codes, small]
    codebook: Tensor
    project: Conv

    def __call__(self, codes: Tensor) -> Tensor:
        """[rows, n] long → [rows, features, n]"""
        return self.project(torch.nn.functional.embedding(codes, self.codebook).transpose(1, 2))


@dataclass(frozen=True, slots=True)
class Codec:
    """The decoder of IndexTTS-2.5's `EnhancedCodec`."""

    codes: Codes
    embed: Conv
    first_norm: Norm
    blocks: tuple[ConvNext, ...]
    last_norm: Norm
    out: Linear
    after: Conv


def codes(module: Module, dtype: Any = None) -> Codes:
    """From the codec of either package; it has one codebook."""
    reader, quantizers = Reader(dtype), module.quantizer.quantizers
    if len(quantizers) != 1:
        raise UnknownModel(f"The codec has {len(quantizers)} codebooks and not one")
    found = quantizers[0]
    return Codes(
        reader.tensor("quantizer.codebook", found.codebook.weight, -1, -1),
        reader.conv("quantizer.out_project", found.out_project, -1, found.codebook.weight.shape[1]),
    )


def codec(module: Module, dtype: Any = None) -> Codec:
    """From IndexTTS-2.5's `EnhancedCodec`."""
    reader, (backbone, out) = Reader(dtype), module.decoder
    wide = backbone.embed.out_channels
    return Codec(
        codes=codes(module, dtype),
        embed=reader.conv("decoder.embed", backbone.embed, wide),
        first_norm=reader.norm("decoder.norm", backbone.norm, wide),
        blocks=tuple(
            ConvNext(
                reader.conv(f"convnext.{n}.dwconv", each.dwconv, wide, 1),
                reader.norm(f"convnext.{n}.norm", each.norm, wide),
                reader.linear(f"convnext.{n}.pwconv1", each.pwconv1, -1, wide),
                reader.linear(f"convnext.{n}.pwconv2", each.pwconv2, wide),
                reader.tensor(f"convnext.{n}.gamma", each.gamma, wide),
            )
            for n, each in enumerate(backbone.convnext)
        ),
        last_norm=reader.norm("decoder.final_layer_norm", backbone.final_layer_norm, wide),
        out=reader.linear("decoder.1", out, -1, wide),
        after=reader.conv("up", module.up),
    )


@dataclass(frozen=True, slots=True)
class RegulatorLayer:
    conv: Conv
    #: Of a norm over all channels and frames: [channels] each.
    weight: Tensor
    bias: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Regulator:
    """`InterpolateRegulator` of either package, with continuous input."""

    project: Linear
    layers: tuple[RegulatorLayer, ...]
    out: Conv


def regulator(module: Module, dtype: Any = None) -> Regulator:
    reader, layers = Reader(dtype), list(module.model)
    project = reader.linear("content_in_proj", module.content_in_proj)
    channels = project.weight.shape[0]
    made = []
    for n in range(0, len(layers) - 1, 3):
        conv, norm, act = layers[n : n + 3]
        if norm.num_groups != 1 or type(act).__name__ != "Mish":
            raise UnknownModel("The length regulator has other layers than the batched runtime computes")
        made.append(
            RegulatorLayer(
                reader.conv(f"model.{n}", conv, channels, channels),
                reader.tensor(f"model.{n + 1}.weight", norm.weight, channels),
                reader.tensor(f"model.{n + 1}.bias", norm.bias, channels),
                norm.eps,
            )
        )
    return Regulator(project, tuple(made), reader.conv("model.last", layers[-1], -1, channels))
