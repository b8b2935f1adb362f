"""Small random models of Pocket TTS, which the package's own constructors load. What they say is noise, but every stage
is computed as it is with the real weights, and every input changes the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Letters and signs that the tokenizer knows; anything else is unknown to it.
SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'-"
WORDS = ("the", "and", "ing", "is", "sentence", "number", "hello")
#: Above it the model ends. It does so after some two seconds of these weights.
ENDS_AT = 0.75
#: The decoder's last layer, and how many times louder it is than the constructor makes it.
LAST, LOUDER = "mimi.decoder.model.11.conv", 2.0


def build(folder: Path, seed: int = 0, ends_at: float = ENDS_AT, *, tokenizer: str = "tokenizer.json") -> Path:
    """Writes the folder as `antiphon pull pocket-tts` would, with a configuration of its own. About 2 MB.

    With the tokenizer `tokenizer.model` it is as models of other people are."""
    import safetensors.torch
    import torch
    import yaml
    from pocket_tts import TTSModel

    folder.mkdir(parents=True)
    size = (_tokenizer if tokenizer.endswith(".json") else _sentencepiece)(folder / tokenizer)
    config = _config(size, str(folder / tokenizer), ends_at)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(seed)
    weights = TTSModel.load_model(config=folder / "config.yaml").state_dict()
    weights["flow_lm.speaker_proj_weight"] = 0.5 * torch.randn_like(weights["flow_lm.speaker_proj_weight"])
    weights[f"{LAST}.weight"] *= LOUDER
    weights[f"{LAST}.bias"] *= 0.0
    for name in weights:
        # Attention is strong, so that what is said depends on the voice and the text.
        if "flow_lm.transformer" in name and "in_proj" in name:
            weights[name] *= 4.0
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    # As the hub's files are: nothing in them is of this machine.
    config["weights_path"] = "hf://nobody/nothing/model.safetensors@0000000"
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = f"hf://nobody/nothing/{tokenizer}@0000000"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def _tokenizer(path: Path) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = [("<unk>", 0.0), ("▁", -3.0), *((sign, -4.0) for sign in SIGNS)]
    pieces += [(f"▁{word}", -2.0) for word in WORDS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(path))
    return int(tokenizer.get_vocab_size())


def _sentencepiece(path: Path) -> int:
    import sentencepiece

    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([SIGNS, *WORDS]), model_writer=file, vocab_size=80, hard_vocab_limit=False,
            character_coverage=1.0, minloglevel=2,
        )  # fmt: skip
    return int(sentencepiece.SentencePieceProcessor(str(path)).vocab_size())


def _config(size: int, tokenizer: str, ends_at: float) -> dict[str, Any]:
    kind = "tokenizers" if tokenizer.endswith(".json") else "sentencepiece"
    attention = {"num_heads": 2, "num_layers": 1, "layer_scale": 0.5, "context": 50, "dim_feedforward": 64}
    return {
        "default_temperature": 0.3,
        "default_eos_threshold": ends_at,
        "replace_characters": {"’": "'", '"': ""},
        "flow_lm": {
            "insert_bos_before_voice": True,
            "dtype": "float32",
            "flow": {"depth": 2, "dim": 32},
            "transformer": {"d_model": 64, "hidden_scale": 2, "max_period": 10000, "num_heads": 4, "num_layers": 2},
            "lookup_table": {"dim": 64, "n_bins": size, "tokenizer": kind, "tokenizer_path": tokenizer},
        },
        "mimi": {
            "dtype": "float32",
            "sample_rate": 24000,
            "inner_dim": 8,
            "outer_dim": 32,
            "channels": 1,
            "frame_rate": 12.5,
            "seanet": {
                "dimension": 32,
                "channels": 1,
                "n_filters": 4,
                "n_residual_layers": 1,
                "ratios": [6, 5, 4],
                "kernel_size": 7,
                "residual_kernel_size": 3,
                "last_kernel_size": 3,
                "dilation_base": 2,
                "pad_mode": "constant",
                "compress": 2,
            },
            "transformer": {"d_model": 32, "input_dimension": 32, "output_dimensions": [32], **attention},
            "quantizer": {"dimension": 8, "output_dimension": 32},
        },
    }
