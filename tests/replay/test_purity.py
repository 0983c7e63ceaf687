"""The engine is a pure function of its commands: nothing in it can reach a clock, chance, the outside or a float."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "app" / "engine"
ALLOWED_IMPORTS = {
    "__future__", "app.domain", "app.engine", "app.errors", "bisect", "collections", "hashlib", "heapq", "msgspec",
    "operator", "sortedcontainers", "typing",
}  # fmt: skip
FORBIDDEN_NAMES = {
    "float", "complex", "open", "print", "input", "eval", "exec", "compile", "__import__", "hash", "id", "globals",
    "breakpoint", "round",
}  # fmt: skip
"""Builtins that reach outside, make floats, or depend on the process."""


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def impure(source: str) -> list[str]:
    """Return what makes a module impure, with line numbers."""
    tree = ast.parse(source)
    found = [
        f"import {name}"
        for name in imports(tree)
        if not any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED_IMPORTS)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{node.lineno}: float {node.value}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"{node.lineno}: division that gives a float")
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            found.append(f"{node.lineno}: {node.id}")
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            found.append(f"{node.lineno}: {type(node).__name__}")
    return found


@pytest.mark.parametrize("module", sorted(path.name for path in ENGINE.glob("*.py")))
def test_module_of_the_engine_is_pure(module: str) -> None:
    assert impure((ENGINE / module).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import random",
        "import logging",
        "from os import path",
        "from app.storage import journal",
        "from app.config import Settings",
        "fee = 0.001",
        "half = price / 2",
        "price /= 2",
        "limit: float = 1",
        "key = hash(name)",
        "print(order)",
        "async def apply(): ...",
    ],
)
def test_impurity_is_found(source: str) -> None:
    assert impure(source) != []
