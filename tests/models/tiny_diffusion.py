"""A Stable Diffusion pipeline of two megabytes with random weights: what it draws is noise, but all of it is real."""

from __future__ import annotations

import json
from pathlib import Path

#: What CLIP's tokenizer puts behind a word.
END = "</w>"


def build(folder: Path) -> Path:
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=600, hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
            max_position_embeddings=77, bos_token_id=598, eos_token_id=599, pad_token_id=599,
        )
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, cross_attention_dim=32,
        attention_head_dim=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    blocks = 4
    vae = AutoencoderKL(
        block_out_channels=(16,) * blocks, norm_num_groups=8, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * blocks, up_block_types=("UpDecoderBlock2D",) * blocks,
    )  # fmt: skip
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=_tokenizer(folder.with_name(f"{folder.name}-words")), unet=unet,
        scheduler=EulerDiscreteScheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer(folder: Path) -> object:
    """CLIP's, knowing letters and no words."""
    from transformers import CLIPTokenizer

    folder.mkdir()
    letters = [chr(n) for n in range(33, 127)]
    words = [*letters, *(letter + END for letter in letters)]
    words += [f"<unused{n}>" for n in range(598 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
