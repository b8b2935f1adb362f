"""Voices: finds the voices in a folder, and says what is wrong with those that cannot speak."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Voice
from antiphon.engines.piper import noise

#: Packages that read the text for a voice, by the type of its phonemes. Voices of other types need packages that fetch
#: files when they are first used.
READERS: Mapping[str, str] = {"espeak": "piper", "text": "piper", "hebrew": "piper", "japanese": "pyopenjtalk"}
RATES = (8_000, 48_000)
#: Other tags of a language.
_ALSO = {"no": ("nb",)}
#: The order in which voices are preferred: a high one takes three times as long as a medium one.
_QUALITIES = ("medium", "high", "low", "x_low")
#: A pull writes down here what it has verified.
MARKER = "verified.json"


@dataclass(frozen=True, slots=True)
class VoiceFiles:
    """A voice in a folder."""

    model: Path
    #: What its JSON file says.
    config: Mapping[str, Any]
    voice: Voice
    #: Ids by speaker; empty: it is one speaker.
    speakers: Mapping[str, int]
    rate: int
    size: int
    #: SHA-256 of the model.
    sha256: str

    @property
    def id(self) -> str:
        return self.voice.id

    @property
    def language(self) -> str:
        return self.voice.languages[0]


@dataclass(slots=True)
class Found:
    """The voices of a folder, best first, and why others cannot be used, by file."""

    voices: dict[str, VoiceFiles] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def by_language(self) -> dict[str, str]:
        """The best voice of each language."""
        best: dict[str, str] = {}
        for each in self.voices.values():
            for tag in each.voice.languages:
                best.setdefault(tag, each.id)
        return best


def find(folder: Path) -> Found:
    """The voices in a folder and in the folders below it."""
    found, there = Found(), []
    for model in sorted((*folder.glob("*.onnx"), *folder.glob("[!.]*/*.onnx"))):
        try:
            there.append(read(model))
        except (OSError, ValueError) as e:
            found.refused[str(model.relative_to(folder))] = getattr(e, "strerror", None) or str(e)
    for each in sorted(there, key=_preference):
        if each.id in found.voices:
            found.refused[str(each.model.relative_to(folder))] = f"there is a voice {each.id} already"
        else:
            found.voices[each.id] = each
    return found


def read(model: Path) -> VoiceFiles:
    """The voice of a model's file. Raises `ValueError` with what is wrong with it, `OSError`."""
    try:
        text = model.with_name(f"{model.name}.json").read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{model.name}.json, which belongs to it, is missing") from None
    try:
        config = json.loads(text)
        kind = str(config.get("phoneme_type", "espeak"))
        package = READERS.get(kind)
        if package is None or find_spec(package) is None:
            raise ValueError(f"its text is read as {kind}, for which a package is missing here")
        rate, speakers = _checked(config)
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as e:
        raise ValueError(f"{model.name}.json does not describe a voice of Piper ({type(e).__name__}: {e})") from None
    sha256 = _digest(model)
    if (known := _known(model)) is None:
        noise.check(model.read_bytes())
    elif known != sha256:
        raise ValueError(f"it is damaged; fetch it again: antiphon pull piper:{model.stem}")
    revision = hashlib.sha256(bytes.fromhex(sha256) + text).hexdigest()[:12]
    voice = _describe(model.stem, config, tuple(speakers), revision)
    return VoiceFiles(model, config, voice, speakers, rate, model.stat().st_size, sha256)


def _checked(config: Any) -> tuple[int, dict[str, int]]:
    """Rate and speakers. Raises various errors for a config that is none."""
    from piper import PiperConfig

    rate, count = int(config["audio"]["sample_rate"]), int(config["num_speakers"])
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"a sample rate of {rate} Hz")
    phonemes = config["phoneme_id_map"]
    if not phonemes or not all(
        isinstance(ids, list) and all(isinstance(id, int) for id in ids) for ids in phonemes.values()
    ):
        raise ValueError("phoneme_id_map is no table of numbers")
    if not {"^", "$", "_"} <= phonemes.keys():
        raise ValueError("phoneme_id_map lacks the signs for beginning, end and padding")
    if not isinstance(config["espeak"]["voice"], str):
        raise ValueError("espeak.voice is no name")
    if not isinstance(config.get("language", {}), dict):
        raise ValueError("language is no object")
    made = PiperConfig.from_dict(config)
    if not all(0 <= float(scale) < 100 for scale in (made.length_scale, made.noise_scale, made.noise_w_scale)):
        raise ValueError("inference has a scale that is none")
    if count < 2:
        return rate, {}
    named = config.get("speaker_id_map") or {}
    named = {str(name): int(id) for name, id in named.items() if 0 <= int(id) < count}
    return rate, dict(sorted((named or {str(id): id for id in range(count)}).items(), key=lambda each: each[1]))


def _describe(id: str, config: Mapping[str, Any], speakers: tuple[str, ...], revision: str) -> Voice:
    told = config.get("language") or {}
    code = str(told.get("code") or id.partition("-")[0])
    tag = str(told.get("family") or code.partition("_")[0] or config["espeak"]["voice"]).partition("-")[0].lower()
    name, quality = _named(id)
    where = ", ".join(filter(None, (told.get("name_english") or tag, told.get("country_english"), quality)))
    several = f"{len(speakers)} speakers, {id}#{speakers[0]} and so on" if speakers else None
    tags = (tag, *_ALSO.get(tag, ()))
    return Voice(id, f"{name} ({where})", tags, description=several, revision=revision, speakers=speakers)


def _named(id: str) -> tuple[str, str]:
    """Name and quality of an official voice's id, which is `de_DE-thorsten-medium`; of another the id and nothing."""
    parts = id.split("-")
    if len(parts) != 3 or parts[2] not in _QUALITIES:
        return id, ""
    return parts[1].replace("_", " ").title(), parts[2]


def _preference(each: VoiceFiles) -> tuple[int, int, str]:
    quality = _named(each.id)[1]
    return min(len(each.speakers), 1), _QUALITIES.index(quality) if quality else 0, each.id


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(model: Path) -> str | None:
    """The SHA-256 that a pull has verified; None for a voice that was put there by hand."""
    try:
        known = json.loads(model.with_name(MARKER).read_text("utf-8")).get(model.name)
        return str(known[0]) if known else None
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return None


def describe(found: Found) -> Iterator[str]:
    """Lines for the operator."""
    languages = sorted({tag for each in found.voices.values() for tag in each.voice.languages})
    if found.voices:
        yield f"{len(found.voices)} voice{'s' if len(found.voices) > 1 else ''}: {', '.join(languages)}"
    for name, why in found.refused.items():
        yield f"{name} cannot be used: {why}"
