"""The structure of the code: sizes that stay readable, and no circles of imports."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
#: Lines of a file and of a function; parameters of a constructor beside `self`.
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 400, 60, 8


@functools.cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path, ast.parse(path.read_text("utf-8"))
    return found


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, (path, _) in modules().items()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name}.{function.name}": function.end_lineno - function.lineno + 1
        for name, (_, tree) in modules().items()
        for function in functions(tree)
        if function.end_lineno and function.end_lineno - function.lineno >= MAX_FUNCTION
    }
    assert long == {}


def test_constructors_have_few_parameters() -> None:
    many = {}
    for name, (_, tree) in modules().items():
        for function in functions(tree):
            given = function.args
            count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
            if function.name == "__init__" and count > MAX_PARAMETERS:
                many[f"{name}:{function.lineno}"] = count
    assert many == {}


def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, wherever in it: also for types only, and in a function."""
    found: set[str] = set()
    for node in ast.walk(modules()[name][1]):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from room import module` is an import of the module, not of the room's own names.
            found |= {
                whole if (whole := f"{node.module}.{each.name}") in modules() else node.module for each in node.names
            }
    return (found & modules().keys()) - {name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others (Tarjan, 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in graph[node]:
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles({name: imports(name) for name in modules()})
    # A ticket knows its flow, whose line holds tickets: the queue's own parts are one thing in several files.
    assert [group for group in found if not all(name.startswith("antiphon.schedule.") for name in group)] == []


def public_names(room: str) -> set[str] | None:
    """What a room's `__all__` lists: modules, or names; None for a room without one."""
    for node in modules()[room][1].body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    return None


def test_rooms_use_of_each_other_only_what_is_public() -> None:
    rooms = {name for name, (path, _) in modules().items() if name.count(".") == 1 and path.name == "__init__.py"}
    public = {room: names for room in rooms if (names := public_names(room)) is not None}
    private = {
        f"{name} uses {other}"
        for name in modules()
        for other in imports(name)
        if (room := ".".join(other.split(".")[:2])) in public
        and not f"{name}.".startswith(f"{room}.")
        and other != room
        and other.removeprefix(f"{room}.").partition(".")[0] not in public[room]
    }
    assert private == set()
    assert len(public) > 15
