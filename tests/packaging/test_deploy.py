"""What can be checked of the deployment files without Docker and systemd: that they parse and name what exists."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from antiphon.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text("utf-8")


def test_every_variable_is_an_option() -> None:
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file():
            named = set(re.findall(r"ANTIPHON_([A-Z_]+)\b", path.read_text("utf-8")))
            assert {name.lower() for name in named} <= set(Settings.model_fields), path


def test_the_image_copies_what_exists_and_is_not_root() -> None:
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split()), sources
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    targets = {stage.split()[2]: stage for stage in stages}
    for target in ("cpu", "cuda"):
        assert "USER 10001" in targets[target]
        assert "HEALTHCHECK" in targets[target]


def test_the_unit_gives_a_drain_its_time() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "deploy/systemd/antiphon.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) > Settings.model_fields["drain_seconds"].default
