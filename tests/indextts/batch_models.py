"""Modules of both packages for the batched runtime's tests, with random weights in two sizes, and made-up voices."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.indextts import checkpoint

TEXT = "the quick brown fox jumps over the lazy dog and nobody in this quiet house was surprised to hear it"


def mid_config() -> dict[str, Any]:
    """Eight layers of 512 for the codes, seven of 256 for the flow: large enough for padding to be heard."""
    config = checkpoint._config()
    config["gpt"] |= {"model_dim": 512, "heads": 8, "layers": 8}
    config["semantic_codec"] |= {"vocos_dim": 96, "vocos_intermediate_dim": 256, "vocos_num_layers": 4}
    config["s2mel"]["length_regulator"]["channels"] = 256
    config["s2mel"]["DiT"] |= {"hidden_dim": 256, "num_heads": 4, "depth": 7, "content_dim": 256}
    config["s2mel"]["wavenet"] |= {"hidden_dim": 256, "num_layers": 4, "kernel_size": 5}
    return config


@dataclass
class Modules:
    """The packages' own, as they load them."""

    config: dict[str, Any]
    gpt: Any
    codec: Any
    s2mel: Any

    @property
    def cfm(self) -> Any:
        return self.s2mel["cfm"]

    @property
    def regulator(self) -> Any:
        return self.s2mel["length_regulator"]

    @property
    def channels(self) -> int:
        return int(self.config["s2mel"]["length_regulator"]["channels"])


def modules25(folder: Path) -> Modules:
    """Of IndexTTS-2.5, from a checkpoint."""
    import torch
    from indextts25.codec.models import EnhancedCodec
    from indextts25.gpt.model_v2 import UnifiedVoice
    from indextts25.s2mel.modules.commons import MyModel
    from indextts25.utils.checkpoint import load_checkpoint
    from omegaconf import OmegaConf

    config = json.loads((folder / "config.yaml").read_text())
    made = OmegaConf.create(config)
    gpt = UnifiedVoice(**made.gpt)
    load_checkpoint(gpt, str(folder / "gpt.pth"))
    gpt.eval().post_init_gpt2_config()
    codec = EnhancedCodec(**config["semantic_codec"])
    codec.load_checkpoint(str(folder / "codec.pth"))
    parts = MyModel(made.s2mel).models
    for name, weights in torch.load(folder / "s2mel.pth", weights_only=True)["net"].items():
        parts[name].load_state_dict(weights)
    parts["cfm"].estimator.setup_caches(1, 8192)
    return Modules(config, gpt, codec.eval(), parts.eval())


def mid25(folder: Path) -> Modules:
    config = mid_config()
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(config))
    import torch

    torch.manual_seed(1)
    # Stronger attention would make chaos of eight layers: a rounding error becomes another code.
    checkpoint._gpt(folder, config, 20, attention=3)
    checkpoint._s2mel(folder, config)
    checkpoint._codec(folder, config)
    return modules25(folder)


def modules2(folder: Path) -> Modules:
    """Of IndexTTS2, from a checkpoint."""
    import torch
    from omegaconf import OmegaConf
    from safetensors.torch import load_file

    from antiphon.engines.indextts import indextts2_package

    indextts2_package.load_patched()
    build_semantic_codec = importlib.import_module("indextts.utils.maskgct_utils").build_semantic_codec
    commons = importlib.import_module("indextts.s2mel.modules.commons")
    voice = importlib.import_module("indextts.gpt.model_v2").UnifiedVoice
    config = json.loads((folder / "config.yaml").read_text())
    made = OmegaConf.create(config)
    gpt = voice(**made.gpt)
    gpt.load_state_dict(torch.load(folder / "gpt.pth", weights_only=True)["model"])
    gpt.eval().post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
    codec = build_semantic_codec(made.semantic_codec)
    codec.load_state_dict(load_file(folder / "hf_cache" / "semantic_codec" / "model.safetensors"), strict=False)
    parts = commons.MyModel(made.s2mel, use_gpt_latent=True).models
    for name, weights in torch.load(folder / "s2mel.pth", weights_only=True)["net"].items():
        parts[name].load_state_dict(weights)
    parts["cfm"].estimator.setup_caches(1, 8192)
    return Modules(config, gpt, codec.eval(), parts.eval())


@dataclass
class Voice:
    #: [1, 192]
    style: Any
    #: [1, width]
    emotion: Any
    #: [80, frames]
    mel: Any
    #: [frames, channels]
    condition: Any


def voice(modules: Modules, number: int, frames: int) -> Voice:
    import torch

    drawn = torch.Generator().manual_seed(1000 + number)
    return Voice(
        torch.randn(1, 192, generator=drawn),
        torch.randn(1, modules.gpt.model_dim, generator=drawn) * 0.1,
        torch.randn(80, frames, generator=drawn),
        torch.randn(frames, modules.channels, generator=drawn),
    )


def tokens(number: int) -> list[int]:
    """Of a text, as long as no other of the first eight."""
    words = TEXT.split()
    return list(" ".join(words[(number + n) % len(words)] for n in range(4 + 3 * number % 17)).encode())


def error(got: Any, want: Any) -> float:
    """The largest difference, relative to the largest value that is wanted."""
    return float((got - want).abs().max() / want.abs().max())
