"""Models: finds them by name, and tells whether what they need is here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from antiphon import plugins
from antiphon.catalog import files, local_models, manifest
from antiphon.catalog.built_in import MODELS
from antiphon.catalog.sources import FileSpec
from antiphon.catalog.spec import ModelSpec

__all__ = ["MODELS", "ModelSpec", "find", "is_present", "lacks_voice", "missing", "missing_modules", "names"]

#: Engines that serve any folder or address of their kind instead of listed models (`local_models.py`,
#: `remote_models.py`).
OPEN = frozenset({"diffusion", "openai"})


def find(name: str) -> ModelSpec | None:
    """The model of that name, if its engine is installed. An engine of another package that no listed model uses is a
    model of the engine's name; its worker reports what it can do once it is ready."""
    engines = plugins.engines()
    spec = MODELS.get(name)
    if spec is not None:
        return spec if spec.engine in engines else None
    if name not in engines or name in OPEN:
        return None
    return ModelSpec(
        name, name, "speech", name, f"An engine that another package brings: {engines[name]}", (), "unknown"
    )


def names() -> list[str]:
    """The names that `find` knows."""
    engines = plugins.engines()
    known = [name for name, spec in MODELS.items() if spec.engine in engines]
    used = {spec.engine for spec in MODELS.values()} | OPEN
    return known + [name for name in engines if name not in used and name not in MODELS]


def missing(spec: ModelSpec, models_dir: Path) -> list[FileSpec]:
    """The model's files that are absent or not verified. Cheap: no file is read.

    Files that an operator copied here count as missing until a pull has hashed them, which needs no network. Where
    their hashes are not known, existing files count as right.
    """
    if spec.repos:
        return _unlisted(spec, models_dir / spec.name)
    return [file for file in spec.files if not files.is_verified(models_dir / spec.name, file)]


def _unlisted(spec: ModelSpec, folder: Path) -> list[FileSpec]:
    try:
        listed = manifest.read(folder)
    except manifest.Unsafe:
        listed = None
    if listed is not None:
        return [file for file in listed if not files.is_verified(folder, file)]
    names = (name for repo in spec.repos for name in repo.names())
    return [FileSpec(name, 0, "", ()) for name in names if not (folder / name).is_file()]


def lacks_voice(spec: ModelSpec, models_dir: Path) -> bool:
    """Whether the model speaks with voices that are pulled one by one, and has none yet."""
    return spec.needs_voice and not local_models.has_voice(models_dir / spec.name)


def is_present(spec: ModelSpec, models_dir: Path) -> bool:
    return not missing(spec, models_dir)


def missing_modules(spec: ModelSpec) -> list[str]:
    """The Python modules that the model needs and that are not installed."""
    return [module for module in spec.modules if importlib.util.find_spec(module) is None]
