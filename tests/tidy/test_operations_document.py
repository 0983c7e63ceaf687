"""docs/OPERATIONS.md promises nothing that no test shows."""

import ast
import re

from tests.tidy.tree import ROOT, text

TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(\w+)`")


def failure_rows() -> list[str]:
    """Return the rows of the failure table."""
    table = text("docs/OPERATIONS.md").split("## Failure table")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_failure_names_a_test_that_exists() -> None:
    rows = failure_rows()
    assert len(rows) >= 10
    for row in rows:
        named = TEST.search(row)
        assert named is not None, row
        path, name = named.groups()
        found = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text()))
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
        }
        assert name in found, f"{path} has no {name}"


def test_every_test_of_chaos_stands_in_the_table() -> None:
    shown = {match.groups() for match in TEST.finditer(text("docs/OPERATIONS.md"))}
    chaos = {
        (path.relative_to(ROOT).as_posix(), node.name)
        for path in (ROOT / "tests" / "chaos").glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name.startswith("test_")
    }
    assert chaos - shown == set()
