"""scripts/check-names finds retired names, and the tree has none."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "check-names"


def check(root: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_no_retired_name_stands_in_the_tree() -> None:
    code, found = check(ROOT)
    assert code == 0, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "line", "new"),
    [
        ("src/antiphon/jobs/run.py", "    workshop: Workshop", "jobs.lifecycle.JobLifecycle"),
        ("src/antiphon/jobs/run.py", "class Live:", "jobs.active.ActiveJob"),
        ("tests/unit/test_x.py", "from antiphon.worker.channel import Channel, Open", "worker.channel.ChannelFactory"),
        ("tests/unit/test_x.py", "from antiphon.cache import behind", "cache.write_behind"),
        ("benchmarks/x.py", "import antiphon.service.app", "app, jobs, speech"),
        ("docs/x.md", "`worker/growth.py` looks at it.", "worker.leak_detector"),
        ("docs/x.md", "An `Open` starts it.", "worker.channel.ChannelFactory"),
        ("src/antiphon/web/app.js", 'import { $ } from "/web/kit.js";', "parts/ui.js"),
        ("scripts/x", "entry = cache.get_hot(key)", "get_in_memory"),
        ("deploy/x.sh", "python -m antiphon.voices.child", "sandbox and references"),
        ("src/antiphon/cache/behind.py", "", "cache.write_behind"),
    ],
)
def test_a_retired_name_is_found_with_its_new_one(tmp_path: Path, file: str, line: str, new: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f"first\n{line}\n")
    code, found = check(tmp_path)
    assert code == 1
    where = file if not line else f"{file}:2"
    assert len(found) == 1
    assert found[0].startswith(f"{where}: ")
    assert new in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "Open the file, wait in line, and keep what it holds.",
        "systemctl enable antiphon.service",
        "antiphon.voices()",
        "stream.seek(0)",
        "antiphon/web/parts/toolkit.js",
        "class LiveEvents:",
    ],
)
def test_english_and_names_of_today_are_left_alone(tmp_path: Path, line: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "x.md").write_text(line + "\n")
    assert check(tmp_path) == (0, [])


def test_every_entry_can_be_found() -> None:
    for each in runpy.run_path(str(SCRIPT))["RETIRED"]:
        room, _, leaf = each.old.rstrip("/").rpartition(".")
        owner = re.search(r"\((\w+)[|)]", each.line)
        uses = (
            each.hint,
            f"{each.hint}audio",
            f"class {leaf}:",
            f"class {leaf}(Message):",
            f"frames.{leaf}",
            f"pipeline.Run {leaf}",
            f"from antiphon.{room} import {leaf}",
            f"from antiphon.worker.limits import {leaf}",
            f"import antiphon.{leaf}",
            f"def {leaf}",
            f"{leaf}.js",
            f"{leaf}.py",
            f"{owner[1] if owner else ''}.{leaf}",
        )
        assert any(each.hint in use and re.search(each.line, use) for use in uses), each
