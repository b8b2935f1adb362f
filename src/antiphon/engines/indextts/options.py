"""Options: what an operator and what a request may set for an IndexTTS engine, checked before the model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from antiphon.domain import errors
from antiphon.domain.request import check_number
from antiphon.engines.indextts.fit import Weights

Precision = Literal["auto", "float32", "bfloat16"]
SoundPrecision = Literal["auto", "float32", "bfloat16"]
Runtime = Literal["auto", "batched", "serial"]

#: Least and most of each option of a request, by its name in vLLM-Omni's `extra_params`.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "num_beams": (1, 5),
    "temperature": (0.1, 2.0),
    "top_p": (0.05, 1.0),
    "top_k": (1, 200),
    "repetition_penalty": (1.0, 20.0),
    "length_penalty": (-2.0, 2.0),
    "diffusion_steps": (4, 50),
}
#: Those that are whole numbers.
_WHOLE = frozenset({"num_beams", "top_k", "diffusion_steps"})
#: Options of a request: how much the emotion reference counts, 0 to 1; and whether numbers and dates are written out
#: as words, in a language for which the operator has that done.
STRENGTH, NORMALISE = "emotion_strength", "text_normalization"


#: What the server tells every engine, beside what an operator says.
OF_THE_SERVER = frozenset({"dir", "model_dir", "uploads"})


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's options. Those that change the sound are part of the revision."""

    #: Folder of the model's files.
    folder: Path
    #: Folder of the uploaded references.
    voices: Path | None = None
    #: A device as torch names it; None is a GPU if there is one.
    device: str | None = None
    #: `auto` is bfloat16 on a GPU that supports it.
    precision: Precision = "auto"
    #: Of the stages behind the codes, in the batched runtime: `auto` computes the flow in bfloat16 where the codes are
    #: not in float32, and the vocoder in float32; `float32` and `bfloat16` are for both. What is added up over the
    #: flow's steps is in float32 always.
    sound_precision: SoundPrecision = "auto"
    #: Of the code model's layers, in the batched runtime: `int8` takes half the memory, or a quarter of float32;
    #: `auto` takes it on a GPU that would have room for fewer than four rows otherwise.
    weights: Weights = "auto"
    #: Whether an NVIDIA GPU that has the memory for it repeats recorded steps (CUDA graphs). The sound is the same.
    graphs: bool = True
    #: Threads of one computation on a CPU.
    threads: int = 1
    #: Seconds of a reference that the model hears: its best ones. Each costs time in every segment; above ten nothing
    #: improves.
    reference_seconds: float = 6.0
    #: Bytes of cached conditioning, on the GPU if there is one; a voice takes about 4 MB.
    voice_cache: int = 256 * 1024 * 1024
    #: Beams of the search for the next code. The package searches with 3, which takes three times as long; its authors
    #: measured the same rate of wrong words for both.
    num_beams: int = 1
    #: Most tokens of text that the model speaks at once.
    max_tokens: int = 120
    #: Weight of `calm` for a request that is to be neutral; 0 leaves the emotion to the reference.
    calm: float = 0.8
    #: `batched` computes many units in the same steps; `serial` one after the other, by the package itself. `auto` is
    #: batched, but serial where beams are asked for, which a batch does not have.
    runtime: Runtime = "auto"
    #: Units that are computed in the same steps; 0: 5 on a CPU, where a batch gains little, and on a GPU as many as it
    #: has memory for, at most 32.
    rows: int = 0
    #: Languages whose numbers and dates are written out as words. Each grammar takes a minute at the very first start.
    normalise: tuple[str, ...] = ("en", "zh", "es")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """From an engine's options; `model_dir` goes before `dir`. Raises `ValueError` that says what is wrong."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(options.keys() - known - OF_THE_SERVER)
        if unknown:
            names = ", ".join(sorted(known - {"folder", "voices"}))
            raise ValueError(f"There is no option {unknown[0]!r} of IndexTTS; there are {names}")
        given = {name: value for name, value in options.items() if name in known}
        made = cls(
            **{
                **given,
                "folder": Path(options.get("model_dir") or options["dir"]),
                "voices": Path(options["voices"]) if options.get("voices") else None,
                "normalise": tuple(given.get("normalise", cls.__dataclass_fields__["normalise"].default)),
            }
        )
        made._check()
        return made

    def _check(self) -> None:
        for name, choices in (
            ("precision", get_args(Precision)),
            ("sound_precision", get_args(SoundPrecision)),
            ("weights", get_args(Weights)),
            ("runtime", get_args(Runtime)),
            ("graphs", (True, False)),
        ):
            if getattr(self, name) not in choices:
                # As they are written on the command line.
                known = ", ".join(str(choice).lower() if name == "graphs" else choice for choice in choices)
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        if self.runtime == "batched" and self.num_beams > 1:
            raise ValueError(f"num_beams must be 1 with the batched runtime, not {self.num_beams}; or choose serial")
        for name, low, high in (
            ("rows", 0, 64),
            ("reference_seconds", 2.0, 15.0),
            ("num_beams", *BOUNDS["num_beams"]),
            ("max_tokens", 10, 120),
            ("calm", 0.0, 0.8),
            ("voice_cache", 0, 2**40),
        ):
            value, whole = getattr(self, name), isinstance(low, int)
            if not _is_number(value) or (whole and not isinstance(value, int)) or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"{name} must be {kind} between {low:g} and {high:g}, not {value!r}")

    @property
    def batched(self) -> bool:
        return self.runtime == "batched" or (self.runtime == "auto" and self.num_beams == 1)

    def deciding(self) -> str:
        """A line that changes with every option that changes the sound."""
        return f"{self.reference_seconds} {self.num_beams} {self.max_tokens} {self.calm} {sorted(self.normalise)}"


def generation(asked: Mapping[str, Any], num_beams: int) -> dict[str, Any]:
    """Arguments of `infer` about how codes are drawn: the request's, with the operator's `num_beams` as the default.

    Raises `InvalidRequest` for a value out of bounds.
    """
    chosen: dict[str, Any] = {"num_beams": num_beams}
    for name, (low, high) in BOUNDS.items():
        if name not in asked:
            continue
        value = asked[name]
        if not _is_number(value):
            raise errors.InvalidRequest(f"{name} must be a number", param=f"extra_params.{name}")
        check_number(name, value, low, high, param=f"extra_params.{name}")
        if name in _WHOLE and value != int(value):
            raise errors.InvalidRequest(f"{name} must be a whole number", param=f"extra_params.{name}")
        chosen[name] = int(value) if name in _WHOLE else float(value)
    return chosen


def strength(asked: Mapping[str, Any]) -> float:
    """How much the emotion reference counts, 0 to 1. Raises `InvalidRequest`."""
    value = asked.get(STRENGTH, 1.0)
    if not _is_number(value):
        raise errors.InvalidRequest(f"{STRENGTH} must be a number", param=STRENGTH)
    check_number(STRENGTH, value, 0.0, 1.0)
    return float(value)


def _is_number(value: object) -> bool:
    """JSON's true and false are whole numbers to Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)
