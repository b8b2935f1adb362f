"""Options: what an operator and what a request may set for Pocket TTS, checked before the model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from antiphon.domain import errors
from antiphon.domain.request import check_number

Weights = Literal["float32", "int8"]

#: Option of a request, and of the operator: how much chance decides. The model's own value is 0.3.
TEMPERATURE = "temperature"
TEMPERATURES = (0.0, 1.5)
#: What the server tells every engine, beside what an operator says.
OF_THE_SERVER = frozenset({"dir", "model_dir", "uploads"})
#: BCP-47 tag by the first word of a variant's name.
LANGUAGES = {
    "english": "en", "french": "fr", "german": "de", "italian": "it", "spanish": "es", "portuguese": "pt",
    "dutch": "nl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's options. Those that change the sound are part of the revision."""

    #: Folder of the model's files.
    folder: Path
    #: Folder of the uploaded references.
    voices: Path | None = None
    #: The package's name for the model that the files are of; a `config.yaml` in the folder takes its place.
    variant: str = "english"
    #: Tags of the languages that the model speaks, where the variant does not say it. Empty: any.
    languages: tuple[str, ...] = ()
    #: Of the language model's layers: `int8` takes half the memory of a worker.
    weights: Weights = "float32"
    #: Threads of one computation.
    threads: int = 1
    #: Seconds of a reference that the model hears: its best ones.
    reference_seconds: float = 15.0
    #: Bytes of cached voices; one of 15 seconds takes about 10 MB.
    voice_cache: int = 256 * 1024 * 1024
    #: None is the model's own.
    temperature: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """From an engine's options; `model_dir` goes before `dir`. Raises `ValueError` that says what is wrong."""
        known = {f.name for f in fields(cls)} - {"folder"}
        unknown = sorted(options.keys() - known - OF_THE_SERVER)
        if unknown:
            names = ", ".join(sorted(known - {"voices"}))
            raise ValueError(f"There is no option {unknown[0]!r} of Pocket TTS; there are {names}")
        given = {name: value for name, value in options.items() if name in known}
        made = cls(
            **{
                **given,
                "folder": Path(options.get("model_dir") or options["dir"]),
                "voices": Path(options["voices"]) if options.get("voices") else None,
                "languages": tuple(given.get("languages", ())),
            }
        )
        made._check()
        return made

    def _check(self) -> None:
        if self.weights not in get_args(Weights):
            raise ValueError(f"weights must be one of {', '.join(get_args(Weights))}, not {self.weights!r}")
        if not isinstance(self.variant, str) or not self.variant.replace("-", "_").isidentifier():
            raise ValueError(f"variant must be a name such as german or english_2m_2026-10, not {self.variant!r}")
        for name, low, high in (
            ("threads", 1, 64),
            ("reference_seconds", 2.0, 30.0),
            ("voice_cache", 0, 2**40),
            (TEMPERATURE, *TEMPERATURES),
        ):
            value, whole = getattr(self, name), isinstance(low, int)
            if value is None and name == TEMPERATURE:
                continue
            if not _is_number(value) or (whole and not isinstance(value, int)) or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"{name} must be {kind} between {low:g} and {high:g}, not {value!r}")

    @property
    def speaks(self) -> tuple[str, ...]:
        """Tags of the languages that the model speaks; empty: any."""
        if self.languages or (self.folder / "config.yaml").is_file():
            return self.languages
        tag = LANGUAGES.get(self.variant.partition("_")[0])
        return (tag,) if tag else ()

    def deciding(self) -> str:
        """A line that changes with every option that changes the sound."""
        return f"{self.variant} {self.weights} {self.reference_seconds} {self.temperature}"


def temperature(asked: Mapping[str, Any], usual: float) -> float:
    """How much chance decides in a request; `usual` if it does not say. Raises `InvalidRequest`."""
    value = asked.get(TEMPERATURE, usual)
    param = f"extra_params.{TEMPERATURE}"
    if not _is_number(value):
        raise errors.InvalidRequest(f"{TEMPERATURE} must be a number", param=param)
    check_number(TEMPERATURE, value, *TEMPERATURES, param=param)
    return float(value)


def _is_number(value: object) -> bool:
    """JSON's true and false are whole numbers to Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)
