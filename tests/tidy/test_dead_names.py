"""Nothing is defined in app and named nowhere again: what lost its last caller goes with it."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "migrations", "benchmarks", "tests")


def defined_in(source: str) -> Iterator[str]:
    """Yield the names that a module defines and that nobody registers by a decorator."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.decorator_list:
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def dead(sources: dict[str, str], others: dict[str, str]) -> set[str]:
    """Return the names defined in `sources` that stand nowhere else, as `file: name`."""
    words = Counter(word for text in (*sources.values(), *others.values()) for word in re.findall(r"\w+", text))
    return {
        f"{path}: {name}"
        for path, source in sources.items()
        for name in defined_in(source)
        if words[name] == 1 and not name.startswith("__")
    }


def texts(*folders: str) -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }


def test_every_name_of_app_is_used() -> None:
    assert dead(texts("app"), texts(*FOLDERS[1:])) == set()


def test_a_name_without_a_use_is_found() -> None:
    sources = {"one.py": "LIMIT = 5\nUSED = 6\n\ndef lonely():\n    return USED\n"}
    assert dead(sources, {"two.py": "LIMIT"}) == {"one.py: lonely"}
