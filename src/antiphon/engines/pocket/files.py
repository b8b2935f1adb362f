"""Files: what belongs to a model of Pocket TTS, and its configuration with the paths of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from antiphon.engines import model_folder

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
#: One of them must be there.
TOKENIZERS = ("tokenizer.json", "tokenizer.model")
#: Folder of voices that the model's authors computed: the state of the model after it heard a recording.
EMBEDDINGS = "embeddings"


def check(folder: Path) -> None:
    """Raises `FileNotFoundError` that names what is missing, and the command that fetches it."""
    model_folder.check(folder, (WEIGHTS, tokenizer(folder)), folder.name)


def tokenizer(folder: Path) -> str:
    """The name of the model's tokenizer; where there is none, that of the one to fetch."""
    return next((name for name in TOKENIZERS if (folder / name).is_file()), TOKENIZERS[0])


def embeddings(folder: Path) -> dict[str, Path]:
    """The computed voices by name."""
    return {path.stem: path for path in sorted((folder / EMBEDDINGS).glob("*.safetensors"))}


def deciding(folder: Path) -> list[str]:
    """Names of the files that decide how a model sounds."""
    own = [CONFIG] if (folder / CONFIG).is_file() else []
    return [WEIGHTS, tokenizer(folder), *own, *(f"{EMBEDDINGS}/{path.name}" for path in embeddings(folder).values())]


@contextmanager
def configuration(folder: Path, variant: str) -> Iterator[Path]:
    """A temporary copy of the model's configuration in which every path is of the folder, so that nothing is fetched.

    Raises `ValueError` for a variant that the package does not have."""
    import yaml
    from pocket_tts.utils.config import CONFIGS_DIR, load_config

    own = folder / CONFIG
    path = own if own.is_file() else CONFIGS_DIR / f"{variant}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in CONFIGS_DIR.glob("*.yaml")))
        raise ValueError(f"Pocket TTS has no variant {variant!r}; there are {known}. Or put a {CONFIG} into {folder}")
    config = load_config(path).model_dump(mode="json")
    config |= {"weights_path": str(folder / WEIGHTS), "weights_path_without_voice_cloning": None}
    config["flow_lm"]["weights_path"] = config["mimi"]["weights_path"] = None
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(folder / tokenizer(folder))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(config, file, allow_unicode=True)
        file.flush()
        yield Path(file.name)
