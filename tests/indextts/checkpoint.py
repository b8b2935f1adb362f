"""Small random checkpoints of IndexTTS-2.5, which the package's own constructors load. What they say is noise, but every
stage is computed as it is with the real weights, and every input changes the samples."""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path
from typing import Any

#: Rows of the emotion matrices for each of the eight emotions, as published.
ROWS = (3, 17, 2, 8, 4, 5, 10, 24)
#: Codes after which the model stops, about: 25 are a second.
STOP_AT = 50
TIKTOKEN = "multilingual_zh_ja_yue_char_del.tiktoken"


def build(
    folder: Path,
    seed: int = 0,
    stop_at: int = STOP_AT,
    *,
    config: dict[str, Any] | None = None,
    vocoder: dict[str, Any] | None = None,
    attention: float = 12,
) -> Path:
    """Writes the folder as `antiphon pull indextts-2.5` would. About 70 MB, unless other dimensions are given."""
    import torch

    torch.manual_seed(seed)
    config, vocoder = config or _config(), vocoder or _vocoder()
    aux = folder / "hf_cache"
    (aux / "bigvgan").mkdir(parents=True)
    _gpt(folder, config, stop_at, attention=attention)
    _s2mel(folder, config)
    _codec(folder, config)
    _auxiliary(aux, vocoder)
    mean, variance = 0.1 * torch.randn(1024), torch.rand(1024) + 0.5
    torch.save({"mean": mean, "var": variance}, folder / config["w2v_stat"])
    torch.save(torch.randn(sum(ROWS), 192), folder / config["spk_matrix"])
    torch.save(torch.randn(sum(ROWS), config["gpt"]["model_dim"]), folder / config["emo_matrix"])
    tokens = (base64.b64encode(bytes([n])) + f" {n}\n".encode() for n in range(256))
    (folder / TIKTOKEN).write_bytes(b"".join(tokens))
    # YAML is a superset of JSON.
    (folder / "config.yaml").write_text(json.dumps(config))
    return folder


def _gpt(
    folder: Path, config: dict[str, Any], stop_at: int, package: str = "indextts25", attention: float = 12
) -> None:
    import torch
    from omegaconf import OmegaConf

    made = importlib.import_module(f"{package}.gpt.model_v2")
    weights = made.UnifiedVoice(**OmegaConf.create(config).gpt).state_dict()
    # The last channel counts positions, and the stop code reads it: so it ends at about that many codes. It counts in
    # small steps, and attention is strong, so that a code depends on the voice, the emotion and the text as well.
    place, head = weights["mel_pos_embedding.emb.weight"], weights["mel_head.weight"]
    place[:, -1] = (torch.arange(len(place), dtype=torch.float32) - stop_at) * 0.02
    for name, tensor in weights.items():
        if ".attn.c_" in name:
            tensor.mul_(attention)
        if name.startswith("gpt.h.") and "c_proj" in name:
            tensor[..., -1] = 0
    weights["mel_head.weight"].mul_(4)
    weights["mel_embedding.weight"][:, -1] = 0
    head[:, -1] = 0
    stop = config["gpt"]["stop_mel_token"]
    head[stop] = 0
    head[stop, -1] = 40.0
    weights["mel_head.bias"][stop] = 0
    torch.save({"model": weights}, folder / config["gpt_checkpoint"])


def _s2mel(folder: Path, config: dict[str, Any]) -> None:
    import torch
    from indextts25.s2mel.modules.commons import MyModel
    from omegaconf import OmegaConf

    made = MyModel(OmegaConf.create(config).s2mel)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(0.5)
    torch.save({"net": {name: part.state_dict() for name, part in made.models.items()}}, folder / "s2mel.pth")


def _codec(folder: Path, config: dict[str, Any]) -> None:
    import torch
    from indextts25.codec.models import EnhancedCodec

    torch.save({"model": EnhancedCodec(**config["semantic_codec"]).state_dict()}, folder / "codec.pth")


def _auxiliary(aux: Path, vocoder: dict[str, Any], package: str = "indextts25") -> None:
    import torch
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    parts = importlib.import_module(f"{package}.s2mel.modules.bigvgan.bigvgan")
    settings = importlib.import_module(f"{package}.s2mel.modules.bigvgan.env").AttrDict(vocoder)
    speakers = importlib.import_module(f"{package}.s2mel.modules.campplus.DTDNN")
    (aux / "bigvgan" / "config.json").write_text(json.dumps(vocoder))
    torch.save({"generator": parts.BigVGAN(settings).state_dict()}, aux / "bigvgan" / "bigvgan_generator.pt")
    torch.save(speakers.CAMPPlus(feat_dim=80, embedding_size=192).state_dict(), aux / "campplus_cn_common.bin")
    hearing = Wav2Vec2BertConfig(
        hidden_size=1024, num_hidden_layers=17, num_attention_heads=4, intermediate_size=32,
        feature_projection_input_dim=160, hidden_act="swish", position_embeddings_type="relative_key",
        left_max_position_embeddings=64, right_max_position_embeddings=8, conv_depthwise_kernel_size=3,
        add_adapter=False, apply_spec_augment=False,
    )  # fmt: skip
    Wav2Vec2BertModel(hearing).save_pretrained(aux / "w2v-bert-2.0")
    SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2, padding_value=1.0
    ).save_pretrained(aux / "w2v-bert-2.0")


def _config() -> dict[str, Any]:
    """The published one, with the least dimensions that the code allows."""
    codes, wide = 64, 32
    listener = {
        "output_size": 16, "linear_units": 32, "attention_heads": 2, "num_blocks": 1, "input_layer": "conv2d2",
        "perceiver_mult": 1,
    }  # fmt: skip
    mel = {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "win_length": 1024, "n_mels": 100, "mel_fmin": 0}
    return {
        "dataset": {"bpe_model": TIKTOKEN, "sample_rate": 24000, "squeeze": False, "mel": {**mel, "normalize": False}},
        "gpt": {
            "model_dim": 64, "heads": 1, "layers": 1, "max_mel_tokens": 700, "max_text_tokens": 200,
            "use_mel_codes_as_input": True, "mel_length_compression": 1024, "number_text_tokens": 2000,
            "number_mel_codes": codes + 2, "start_mel_token": codes, "stop_mel_token": codes + 1,
            "start_text_token": 0, "stop_text_token": 1, "train_solo_embeddings": False,
            "condition_type": "conformer_perceiver", "condition_module": listener, "emo_condition_module": listener,
        },
        "semantic_codec": {
            "codebook_size": codes, "hidden_size": 1024, "codebook_dim": 8, "vocos_dim": 16,
            "vocos_intermediate_dim": 32, "vocos_num_layers": 1,
        },
        "s2mel": {
            "preprocess_params": {
                "sr": 22050,
                "spect_params": {
                    "n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 80, "fmin": 0, "fmax": "None",
                },
            },
            "dit_type": "DiT", "reg_loss_type": "l1", "style_encoder": {"dim": 192},
            "length_regulator": {
                "channels": wide, "is_discrete": False, "in_channels": 1024, "content_codebook_size": 8,
                "sampling_ratios": [1], "vector_quantize": False, "n_codebooks": 1, "quantizer_dropout": 0.0,
                "f0_condition": False, "n_f0_bins": 512,
            },
            "DiT": {
                "hidden_dim": wide, "num_heads": 2, "depth": 3, "class_dropout_prob": 0.1, "block_size": 8192,
                "in_channels": 80, "style_condition": True, "final_layer_type": "wavenet", "target": "mel",
                "content_dim": wide, "content_codebook_size": 8, "content_type": "discrete", "f0_condition": False,
                "n_f0_bins": 512, "content_codebooks": 1, "is_causal": False, "long_skip_connection": True,
                "zero_prompt_speech_token": False, "time_as_token": False, "style_as_token": False,
                "uvit_skip_connection": True, "add_resblock_in_transformer": False,
            },
            "wavenet": {
                "hidden_dim": wide, "num_layers": 1, "kernel_size": 3, "dilation_rate": 1, "p_dropout": 0.2,
                "style_condition": True,
            },
        },
        "gpt_checkpoint": "gpt.pth", "w2v_stat": "wav2vec2bert_stats.pt", "s2mel_checkpoint": "s2mel.pth",
        "emo_matrix": "feat2.pt", "spk_matrix": "feat1.pt", "emo_num": list(ROWS),
        "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"}, "version": 2.5,
    }  # fmt: skip


def _vocoder() -> dict[str, Any]:
    return {
        "resblock": "1", "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
        "upsample_initial_channel": 32, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]],
        "use_tanh_at_final": False, "use_bias_at_final": False, "activation": "snakebeta", "snake_logscale": True,
        "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0,
        "fmax": None,
    }  # fmt: skip
