"""Sizes, names and ignores that keep the code readable. Docstrings and dead code are the linter's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.tree import modules, syntax, text

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
POSITIONAL_PARAMETERS_MAX = 5
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "core", "base", "shared"}
VAGUE_BUT_EXACT = {Path("app/projections/core.py")}
"""`core` is the name of a projection there, with a cursor of that name."""

OURS = ("app", "migrations", "tests", "sdk", "benchmarks")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Path) -> Iterator[Function]:
    return (node for node in ast.walk(syntax(module)) if isinstance(node, Function))


def test_no_module_is_longer_than_a_reader_takes_in() -> None:
    sizes = {str(module): len(text(module).splitlines()) for module in modules(*OURS)}
    assert {name: lines for name, lines in sizes.items() if lines > MODULE_LINES_MAX} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{module}:{function.lineno} {function.name}: {function.end_lineno - function.lineno + 1} lines"
        for module in modules(*OURS)
        if module.parts[0] != "migrations"  # one list of statements, however long
        for function in functions(module)
        if function.end_lineno and function.end_lineno - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def positional(function: Function) -> int:
    """Return how many parameters a caller passes by position, self and cls left out; a route's are injected by name."""
    if any("router." in ast.unparse(decorator) for decorator in function.decorator_list):
        return 0
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_no_function_takes_more_positional_parameters_than_a_caller_keeps_in_order() -> None:
    wide = [
        f"{module}:{function.lineno} {function.name}: {positional(function)} parameters"
        for module in modules("app", "sdk", "benchmarks")
        for function in functions(module)
        if positional(function) > POSITIONAL_PARAMETERS_MAX
    ]
    assert wide == []


def test_modules_and_folders_are_named_by_what_they_define() -> None:
    vague = [
        str(module)
        for module in modules(*OURS)
        if VAGUE_NAMES.intersection(module.with_suffix("").parts) and module not in VAGUE_BUT_EXACT
    ]
    assert vague == []


def test_every_ignore_states_its_reason() -> None:
    bare = re.compile(
        r"# noqa(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*\s+[#(]\s?\w)|# type: ignore(?!\[[\w, -]+\]\s+[#(]\s?\w)"
    )
    offenders = [
        f"{module}:{number}"
        for module in modules(*OURS)
        for number, line in enumerate(text(module).splitlines(), 1)
        if bare.search(line) and module != Path(__file__).relative_to(Path(__file__).parents[2])
    ]
    assert offenders == []
