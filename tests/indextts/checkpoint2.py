"""Small random checkpoints of IndexTTS2, which its package's own constructors load."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from tests.indextts import checkpoint

#: Codes after which the model stops, about: 50 are a second.
STOP_AT = 100
WORDS = (
    "HELLO WORLD , THIS IS A TINY TEST OF THE SPEECH SERVER .",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG ?",
    "你 好 世 界 , 欢 迎 大 家 来 体 验 .",
    "PACK MY BOX WITH FIVE DOZEN LIQUOR JUGS ' - … !",
)


def build(folder: Path, seed: int = 0, stop_at: int = STOP_AT, emotion_reader: bool = True) -> Path:
    """Writes the folder as `antiphon pull indextts-2` would."""
    from antiphon.engines.indextts import indextts2_package

    indextts2_package.load_patched()
    import torch
    from indextts.s2mel.modules.commons import MyModel
    from indextts.utils.maskgct_utils import build_semantic_codec
    from omegaconf import OmegaConf
    from safetensors.torch import save_model

    torch.manual_seed(seed)
    config, vocoder = _config(), checkpoint._vocoder()
    aux = folder / "hf_cache"
    (aux / "bigvgan").mkdir(parents=True)
    (aux / "semantic_codec").mkdir()
    checkpoint._gpt(folder, config, stop_at, "indextts")
    made = MyModel(OmegaConf.create(config).s2mel, use_gpt_latent=True)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(0.5)
    torch.save({"net": {name: part.state_dict() for name, part in made.models.items()}}, folder / "s2mel.pth")
    checkpoint._auxiliary(aux, vocoder, "indextts")
    save_model(
        build_semantic_codec(OmegaConf.create(config).semantic_codec), str(aux / "semantic_codec" / "model.safetensors")
    )
    mean, variance = 0.1 * torch.randn(1024), torch.rand(1024) + 0.5
    torch.save({"mean": mean, "var": variance}, folder / config["w2v_stat"])
    torch.save(torch.randn(sum(checkpoint.ROWS), 192), folder / config["spk_matrix"])
    torch.save(torch.randn(sum(checkpoint.ROWS), config["gpt"]["model_dim"]), folder / config["emo_matrix"])
    _bpe(folder / "bpe.model", config["gpt"]["number_text_tokens"])
    if emotion_reader:
        _qwen(folder / config["qwen_emo_path"])
    (folder / "config.yaml").write_text(json.dumps(config))
    return folder


def _config() -> dict[str, Any]:
    config = checkpoint._config()
    config["dataset"]["bpe_model"] = "bpe.model"
    # The width is fixed in its code, and so is that of a head.
    config["gpt"] |= {"model_dim": 1280, "heads": 20, "number_text_tokens": 200}
    return {**config, "qwen_emo_path": "qwen0.6bemo4-merge/", "version": 2.0}


def _bpe(path: Path, most: int) -> None:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 4), model_writer=written, vocab_size=most, model_type="bpe", bos_id=0, eos_id=1,
        unk_id=2, pad_id=-1, hard_vocab_limit=False, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(written.getvalue())


def _qwen(folder: Path) -> None:
    """It says nothing at all, which is read as calm."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    names = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words = Tokenizer(models.BPE(vocab={name: n for n, name in enumerate(names)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=special[0], pad_token=special[0])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(names), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=4096, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=0, pad_token_id=0,
        )
    )  # fmt: skip
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=0, pad_token_id=0)
    model.half().save_pretrained(folder)
