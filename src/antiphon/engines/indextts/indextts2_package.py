"""Package of IndexTTS2 (`indextts2-inference` 2.1.1): lays out its files, and patches it so that it runs."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from antiphon.engines.indextts import torchaudio_stub

#: Files by hub repository, as the package asks for them, and where each lies in `hf_cache`.
_REPOS = {
    "facebook/w2v-bert-2.0": {
        name: f"w2v-bert-2.0/{name}" for name in ("config.json", "model.safetensors", "preprocessor_config.json")
    },
    "funasr/campplus": {"campplus_cn_common.bin": "campplus_cn_common.bin"},
    "amphion/MaskGCT": {"semantic_codec/model.safetensors": "semantic_codec/model.safetensors"},
}
_REVISION = "local"


def lay_out(folder: Path) -> tuple[Path, Path]:
    """Makes a hub cache of links to the model's files, and a configuration that names the vocoder by its folder.

    Returns the paths of both.
    """
    made = folder / "cache"
    hub = made / "hub"
    for repo, names in _REPOS.items():
        base = hub / ("models--" + repo.replace("/", "--"))
        (base / "refs").mkdir(parents=True, exist_ok=True)
        (base / "refs" / "main").write_text(_REVISION)
        for name, path in names.items():
            link = base / "snapshots" / _REVISION / name
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                link.symlink_to((folder / "hf_cache" / path).resolve())
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(config, dict)
    config["vocoder"]["name"] = str((folder / "hf_cache" / "bigvgan").resolve())
    config_path = made / "config.yaml"
    # YAML is a superset of JSON.
    config_path.write_text(json.dumps(config))
    return hub, config_path


def load_patched() -> Any:
    """Imports the package, patches it, and returns its module `infer_v2`."""
    import torch

    torchaudio_stub.install()
    from indextts.gpt import model_v2

    from indextts import infer_v2

    original = model_v2.GPT2InferenceModel.forward

    def forward(
        self: Any, input_ids: Any = None, past_key_values: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        # transformers from 5.20 passes no mask where all of it would be ones, but the package reads the mask's shape.
        if attention_mask is None:
            past = int(past_key_values.get_seq_length() or 0) if past_key_values is not None else 0
            shape = (input_ids.shape[0], past + input_ids.shape[1])
            attention_mask = torch.ones(shape, dtype=torch.long, device=input_ids.device)
        return original(
            self, input_ids=input_ids, past_key_values=past_key_values, attention_mask=attention_mask, **more
        )

    if not getattr(original, "patched", False):
        forward.patched = True  # type: ignore[attr-defined]
        model_v2.GPT2InferenceModel.forward = forward
    return infer_v2


class NoEmotionReader:
    """Replaces the model that reads emotions from text (1.2 GB) where the folder lacks it."""

    def __init__(self, folder: str) -> None: ...

    def inference(self, text: str) -> dict[str, float]:
        raise LookupError("the model's folder has no qwen0.6bemo4-merge")


def disable_normalisation(normaliser: Any) -> None:
    """Patches the package's class of normalisers: it builds no grammars and leaves texts as they are."""
    normaliser.load = lambda self: None
    normaliser.normalize = lambda self, text: text
