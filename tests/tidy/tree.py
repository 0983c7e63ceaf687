"""The project's own files, for the rules that are run as tests."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files git knows, relative to the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).exists())


def modules(*folders: str) -> list[Path]:
    """Return the Python files under the folders, relative to the project, tracked or not yet."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def syntax(module: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse((ROOT / module).read_text())


def text(name: str | Path) -> str:
    """Return a file's text."""
    return (ROOT / name).read_text()


def dotted(module: Path) -> str:
    """Return a module's import name."""
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")
