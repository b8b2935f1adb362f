"""The documents are true where that can be told: generated pages are up to date, and named files and classes exist."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The tutorial names files of the package that its reader writes; tests/e2e/test_writing_an_engine.py runs it.
PAGES = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "README.md")),
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "writing-an-engine.md"),
]

#: In backticks: a path with a folder in it, and the name of a class or a function after it.
PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.(?:py|js|sql|md|sh))?)`(?: `(\w+))?")

#: In backticks: a class, or a class and one of its attributes.
CLASS = re.compile(r"`([A-Z]\w*[a-z]\w*)(?:\.(\w+))?(?:\(\))?`")


@functools.cache
def attributes() -> dict[str, set[str]]:
    """The attributes of every class of the package, by the class's name; classes of one name are one."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = found.setdefault(node.name, set())
                names |= {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
                names |= {
                    part.id if isinstance(part, ast.Name) else part.attr
                    for part in ast.walk(node)
                    if isinstance(part, ast.Name | ast.Attribute) and isinstance(part.ctx, ast.Store)
                }
    return found


def test_the_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, ROOT / "scripts" / "api-docs", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def missing(text: str) -> list[str]:
    """Files below `src/antiphon` or the root that a page names and that are not there, and names not in them."""
    found = []
    for path, name in PATH.findall(text):
        places = [where for where in (ROOT / "src" / "antiphon" / path, ROOT / path) if where.exists()]
        if not places:
            if path.endswith((".py", ".js", ".sql")):
                found.append(path)
        elif name and not re.search(rf"\b(class|def) {name}\b", places[0].read_text("utf-8")):
            found.append(f"{path} {name}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    assert missing(page.read_text("utf-8")) == []


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md", "states.md"])
def test_rooms_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    rooms = re.findall(r"^\| `([a-z_]+/|[a-z_]+\.py)` \|", text, re.MULTILINE)
    assert [room for room in rooms if not (ROOT / "src" / "antiphon" / room).exists()] == []


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md", "states.md"])
def test_classes_that_a_page_names_exist(page: str) -> None:
    named = set(CLASS.findall((ROOT / "docs" / page).read_text("utf-8")))
    # The name of a type of functions is no class.
    known = attributes() | {"ChannelFactory": set()}
    assert named
    assert [name for name, _ in named if name not in known] == []
    assert [f"{name}.{attribute}" for name, attribute in named if attribute and attribute not in known[name]] == []


def test_what_does_not_exist_is_found() -> None:
    assert missing("`jobs/nothing.py` `Nothing`, `jobs/run.py` `Nothing`, `jobs/run.py` `JobRun`") == [
        "jobs/nothing.py",
        "jobs/run.py Nothing",
    ]
