"""Flow parts: weights of the packages' flow matching (`CFM` with its `DiT`), as `parts` takes those of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from antiphon.engines.indextts.batch.parts import Conv, Linear, Module, Reader, Tensor, UnknownModel


@dataclass(frozen=True, slots=True)
class TimedNorm:
    """A root-mean-square norm whose scale and shift come from the time."""

    #: [width] of the norm itself.
    weight: Tensor
    eps: float
    #: From the time's embedding to scale and shift: [2 width, width].
    project: Linear


@dataclass(frozen=True, slots=True)
class FlowLayer:
    before_attention: TimedNorm
    qkv: Linear
    attended: Linear
    before_mlp: TimedNorm
    gate: Linear
    up: Linear
    down: Linear
    #: Merges the layer's input with that of an earlier one; the later half of the layers has it.
    merge: Linear | None


@dataclass(frozen=True, slots=True)
class WaveLayer:
    #: Reads `2 × reach + 1` frames; its padding is not used.
    conv: Conv
    #: To the next layer and to the sum of all; the last one only to the sum.
    out: Conv


@dataclass(frozen=True, slots=True)
class FlowModel:
    """`CFM` of either package."""

    mels: int
    width: int
    heads: int
    #: The input layer: the part that reads x [width, mels], and that which reads reference, condition and style.
    input_x: Tensor
    input_rest: Linear
    condition: Linear
    layers: tuple[FlowLayer, ...]
    last_norm: TimedNorm
    #: Of what the transformer made and x.
    long_skip: Linear
    to_wave: Linear
    waves: tuple[WaveLayer, ...]
    #: From the time to a bias for each layer of `waves`: [2 wave width × layers, wave width, 1].
    wave_times: Conv
    residual: Linear
    final: Linear
    final_eps: float
    #: From the time's embedding to shift and scale.
    final_times: Linear
    out: Conv
    #: [positions, head width / 2] complex64: rotary positions.
    turns: Tensor
    #: The packages' embeddings of times [n] → [n, width]; used once for each number of steps.
    time: Callable[[Tensor], Tensor]
    wave_time: Callable[[Tensor], Tensor]

    @property
    def reach(self) -> int:
        """Frames that a layer of `waves` reads to either side."""
        return int(self.waves[0].conv.weight.shape[2]) // 2


def flow_model(module: Module, dtype: Any = None) -> FlowModel:
    """From the `CFM` of either package, once its caches are set up. Raises `UnknownModel`."""
    dit, reader = module.estimator, Reader(dtype)
    _check(dit)
    mels, wide, wave = dit.in_channels, dit.conv1.in_features, dit.wavenet.hidden_channels
    layers = list(dit.transformer.layers)
    merged = dit.cond_x_merge_linear
    whole = reader.tensor("cond_x_merge_linear", merged.weight, wide, -1)
    return FlowModel(
        mels=mels,
        width=wide,
        heads=dit.num_heads,
        input_x=whole[:, :mels],
        input_rest=Linear(whole[:, mels:], reader.tensor("cond_x_merge_linear.bias", merged.bias, wide)),
        condition=reader.linear("cond_projection", dit.cond_projection, wide),
        layers=tuple(_layer(reader, n, each, wide, n > len(layers) // 2) for n, each in enumerate(layers)),
        last_norm=_norm(reader, "transformer.norm", dit.transformer.norm, wide),
        long_skip=reader.linear("skip_linear", dit.skip_linear, wide, wide + mels),
        to_wave=reader.linear("conv1", dit.conv1, wave, wide),
        waves=tuple(
            WaveLayer(
                reader.conv(f"wavenet.in_layers.{n}", into.conv.conv, 2 * wave, wave),
                reader.conv(f"wavenet.res_skip_layers.{n}", out.conv.conv, -1, wave),
            )
            for n, (into, out) in enumerate(zip(dit.wavenet.in_layers, dit.wavenet.res_skip_layers, strict=True))
        ),
        wave_times=reader.conv("wavenet.cond_layer", dit.wavenet.cond_layer.conv.conv, -1, wave),
        residual=reader.linear("res_projection", dit.res_projection, wave, wide),
        final=reader.linear("final_layer.linear", dit.final_layer.linear, wave, wave),
        final_eps=dit.final_layer.norm_final.eps,
        final_times=reader.linear("final_layer.adaLN", dit.final_layer.adaLN_modulation[1], 2 * wave, wave),
        out=reader.conv("conv2", dit.conv2, mels, wave),
        turns=torch.view_as_complex(dit.transformer.freqs_cis.float().contiguous()),
        time=dit.t_embedder,
        wave_time=dit.t_embedder2,
    )


def _check(dit: Module) -> None:
    fine = (
        dit.final_layer_type == "wavenet"
        and dit.transformer_style_condition
        and dit.long_skip_connection
        and not (dit.time_as_token or dit.style_as_token or dit.is_causal)
        and dit.transformer.freqs_cis is not None
    )
    if not fine:
        raise UnknownModel("The model's configuration asks for a DiT that the batched runtime does not compute")


def _layer(reader: Reader, number: int, layer: Module, width: int, late: bool) -> FlowLayer:
    name, attention, mlp = f"transformer.layers.{number}", layer.attention, layer.feed_forward
    merges = late and layer.uvit_skip_connection
    return FlowLayer(
        before_attention=_norm(reader, f"{name}.attention_norm", layer.attention_norm, width),
        qkv=reader.linear(f"{name}.attention.wqkv", attention.wqkv, 3 * width, width),
        attended=reader.linear(f"{name}.attention.wo", attention.wo, width, width),
        before_mlp=_norm(reader, f"{name}.ffn_norm", layer.ffn_norm, width),
        gate=reader.linear(f"{name}.feed_forward.w1", mlp.w1, -1, width),
        up=reader.linear(f"{name}.feed_forward.w3", mlp.w3, -1, width),
        down=reader.linear(f"{name}.feed_forward.w2", mlp.w2, width),
        merge=reader.linear(f"{name}.skip_in_linear", layer.skip_in_linear, width, 2 * width) if merges else None,
    )


def _norm(reader: Reader, name: str, norm: Module, width: int) -> TimedNorm:
    return TimedNorm(
        reader.tensor(f"{name}.weight", norm.norm.weight, width),
        norm.norm.eps,
        reader.linear(f"{name}.project_layer", norm.project_layer, 2 * width, width),
    )
