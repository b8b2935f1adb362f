"""docs/licences.md names every part that is not under a permissive licence."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"
EXTRAS = ("", "kokoro", "piper", "otel")
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python-2\.0|Python Software Foundation|Zlib|Unlicense|0BSD|CNRI|HPND|any-OSI|Public Domain|"
    r"CC0|MPL",
    re.I,
)


def requirements(name: str, extras: tuple[str, ...]) -> dict[str, Distribution]:
    """Everything that an installation brings, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        try:
            made = distribution(name)
        except PackageNotFoundError:
            continue  # For another system or Python.
        if key in found:
            continue
        found[key] = made
        for text in made.requires or ():
            needed = Requirement(text)
            if any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in extras or ("",)):
                waiting.append((needed.name, ("", *needed.extras)))
    return found


def licence(made: Distribution) -> str:
    said = made.metadata
    classifiers = [c for c in said.get_all("Classifier") or () if c.startswith("License ::")]
    return " ".join(filter(None, (said.get("License-Expression"), (said.get("License") or "")[:200], *classifiers)))


def test_every_part_is_permissive_or_named() -> None:
    parts = requirements("antiphon", EXTRAS)
    assert len(parts) > 40
    page = PAGE.read_text("utf-8").lower()
    unnamed = {
        name: licence(made)[:80]
        for name, made in parts.items()
        if name != "antiphon"
        and name not in page
        and not (PERMISSIVE.search(licence(made)) and "GPL" not in licence(made))
    }
    assert unnamed == {}, "these are neither permissive nor named in docs/licences.md"
