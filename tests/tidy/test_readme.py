"""What README tells a newcomer to type exists."""

import re

import typer

from app.cli.roles import app as cli
from tests.tidy.tree import ROOT, text

README = text("README.md")


def commands() -> dict[str, set[str]]:
    """Return every command of the console script, `group command` for nested ones, with its options."""
    found: dict[str, set[str]] = {}

    def collect(prefix: str, command: object) -> None:
        for name, child in getattr(command, "commands", {}).items():
            found[f"{prefix}{name}"] = {option for parameter in child.params for option in parameter.opts}
            collect(f"{prefix}{name} ", child)

    collect("", typer.main.get_command(cli))
    return found


def test_first_lines_are_the_two_commands() -> None:
    lines = [line for line in README.splitlines() if line.strip()]
    assert lines[0] == "# Orderwire"
    assert lines[1].split("#")[0].split() == ["make", "run"]
    assert lines[2].split("#")[0].split() == ["make", "test"]


def test_every_command_of_the_readme_exists() -> None:
    known = commands()
    called = re.findall(r"\.venv/bin/orderwire ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", README)
    assert len(called) >= 5
    for call in called:
        assert call in known or call.split()[0] in known, call


def test_options_of_dev_are_the_documented_ones() -> None:
    documented = set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE))
    assert documented == {option for option in commands()["dev"] if option != "--help"}


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) - {"it"} <= targets
    assert set(re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)[0].split()) == targets


def test_ci_runs_what_developers_run() -> None:
    commands = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
    assert commands[-2:] == ["make check", "ORDERWIRE_REQUIRE_DATA=1 make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_code_overview_names_every_folder_of_the_application() -> None:
    overview = README.split("## The code in a minute")[1].split("An order goes")[0]
    folders = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    assert folders - set(re.findall(r"[a-z]+", overview)) == set()
