"""Packages of engines that are no part of this one, put before a server as if they were installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

MORSE = Path(__file__).parents[2] / "examples" / "morse"


def installed(folder: Path, module: Path, engines: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a module's engines are found: by entry points, as an installer would leave them.

    `engines`: class by engine name."""
    info = folder / f"{module.stem}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.stem}\nVersion: 1.0\n")
    points = "".join(f"{name} = {module.stem}:{made}\n" for name, made in engines.items())
    (info / "entry_points.txt").write_text(f"[antiphon.engines]\n{points}")
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(module.parent)))}


def morse(folder: Path) -> dict[str, str]:
    return installed(folder, MORSE / "antiphon_morse.py", {"morse": "Morse", "morse-reader": "Reader"})
