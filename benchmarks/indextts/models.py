"""The package's modules with random weights in three sizes. Speed does not depend on what the weights are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.indextts import batch_models, checkpoint
from tests.indextts.batch_models import Modules

SIZES = ("tiny", "mid", "real")


@dataclass
class Measured:
    """What a benchmark runs."""

    modules: Modules
    vocoder: Any
    device: str

    @property
    def parameters(self) -> dict[str, float]:
        """Millions of them, by part."""
        parts = {"codes": self.modules.gpt, "flow": self.modules.cfm, "vocoder": self.vocoder}
        return {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in parts.items()}


def config(size: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The package's configuration, and that of its vocoder. `real` has the published dimensions."""
    if size == "mid":
        return batch_models.mid_config(), checkpoint._vocoder() | {"upsample_initial_channel": 256}
    made, vocoder = checkpoint._config(), checkpoint._vocoder()
    if size == "tiny":
        return made, vocoder
    listener = {"output_size": 512, "linear_units": 2048, "attention_heads": 8, "num_blocks": 6, "perceiver_mult": 2}
    made["gpt"] |= {
        "model_dim": 1280, "heads": 20, "layers": 24, "max_mel_tokens": 1815, "max_text_tokens": 600,
        "number_text_tokens": 60509, "number_mel_codes": 8194, "start_mel_token": 8192, "stop_mel_token": 8193,
        "condition_module": made["gpt"]["condition_module"] | listener,
        "emo_condition_module": made["gpt"]["emo_condition_module"]
        | listener | {"linear_units": 1024, "attention_heads": 4, "num_blocks": 4},
    }  # fmt: skip
    made["semantic_codec"] |= {
        "codebook_size": 8192, "vocos_dim": 384, "vocos_intermediate_dim": 2048, "vocos_num_layers": 12,
    }  # fmt: skip
    made["s2mel"]["length_regulator"] |= {"channels": 512, "sampling_ratios": [1, 1, 1, 1]}
    made["s2mel"]["DiT"] |= {"hidden_dim": 512, "num_heads": 8, "depth": 13, "content_dim": 512}
    made["s2mel"]["wavenet"] |= {"hidden_dim": 512, "num_layers": 8, "kernel_size": 5}
    vocoder |= {
        "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
        "upsample_initial_channel": 1536, "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    }  # fmt: skip
    return made, vocoder


def build(size: str, device: str) -> Measured:
    """The modules in memory, on the device, in float32. No row stops by itself before its limit."""
    import torch
    from indextts25.codec.models import EnhancedCodec
    from indextts25.gpt.model_v2 import UnifiedVoice
    from indextts25.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts25.s2mel.modules.bigvgan.env import AttrDict
    from indextts25.s2mel.modules.commons import MyModel
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    configuration, vocoder = config(size)
    made: Any = OmegaConf.create(configuration)
    gpt = UnifiedVoice(**made.gpt)
    with torch.no_grad():
        gpt.mel_head.bias[gpt.stop_mel_token] = -1e4
    gpt.to(device).eval().post_init_gpt2_config()
    parts = MyModel(made.s2mel).models
    parts["cfm"].estimator.setup_caches(1, 8192)
    parts.to(device).eval()
    codec = EnhancedCodec(**configuration["semantic_codec"]).to(device).eval()
    bigvgan = BigVGAN(AttrDict(vocoder)).to(device).eval()
    return Measured(Modules(configuration, gpt, codec, parts), bigvgan, device)
