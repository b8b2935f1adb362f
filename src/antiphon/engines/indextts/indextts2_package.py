"""What has to be mended before the package of IndexTTS2 (`indextts2-inference` 2.1.1) runs, and its files laid out."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from antiphon.engines.indextts import torchaudio_stub

#: Repositories as the package asks for them, and which of our files each one is.
_REPOS = {
    "facebook/w2v-bert-2.0": {
        name: f"w2v-bert-2.0/{name}" for name in ("config.json", "model.safetensors", "preprocessor_config.json")
    },
    "funasr/campplus": {"campplus_cn_common.bin": "campplus_cn_common.bin"},
    "amphion/MaskGCT": {"semantic_codec/model.safetensors": "semantic_codec/model.safetensors"},
}
_REVISION = "local"


def lay_out(folder: Path) -> tuple[Path, Path]:
    """Makes what the package reads from the plain files of the model's folder: a hub's cache of links, and a
    configuration that names the vocoder by its folder. Returns both paths."""
    made = folder / "cache"
    hub = made / "hub"
    for repo, names in _REPOS.items():
        base = hub / ("models--" + repo.replace("/", "--"))
        (base / "refs").mkdir(parents=True, exist_ok=True)
        (base / "refs" / "main").write_text(_REVISION)
        for name, ours in names.items():
            link = base / "snapshots" / _REVISION / name
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                link.symlink_to((folder / "hf_cache" / ours).resolve())
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(config, dict)
    config["vocoder"]["name"] = str((folder / "hf_cache" / "bigvgan").resolve())
    path = made / "config.yaml"
    # YAML is a superset of JSON.
    path.write_text(json.dumps(config))
    return hub, path


def mend() -> Any:
    """Imports the package in a way that works, and returns its module `infer_v2`."""
    import torch

    torchaudio_stub.do_without()
    from indextts.gpt import model_v2

    from indextts import infer_v2

    theirs = model_v2.GPT2InferenceModel.forward

    def forward(
        self: Any, input_ids: Any = None, past_key_values: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        # transformers from 5.20 leaves out a mask that is all ones, and the package reads its shape.
        if attention_mask is None:
            past = int(past_key_values.get_seq_length() or 0) if past_key_values is not None else 0
            shape = (input_ids.shape[0], past + input_ids.shape[1])
            attention_mask = torch.ones(shape, dtype=torch.long, device=input_ids.device)
        return theirs(self, input_ids=input_ids, past_key_values=past_key_values, attention_mask=attention_mask, **more)

    if not getattr(theirs, "mended", False):
        forward.mended = True  # type: ignore[attr-defined]
        model_v2.GPT2InferenceModel.forward = forward
    return infer_v2


class NoMoods:
    """Stands where the model is that reads moods from text, for a folder without it: 1.2 GB less."""

    def __init__(self, folder: str) -> None: ...

    def inference(self, text: str) -> dict[str, float]:
        raise LookupError("this model's folder has no qwen0.6bemo4-merge")


def plain(normaliser: Any) -> None:
    """Leaves texts as they are: no grammars are built."""
    normaliser.load = lambda self: None
    normaliser.normalize = lambda self, text: text
