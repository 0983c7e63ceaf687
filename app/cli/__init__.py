"""The command line: one command per role, and the operators' tools.

Roles read the environment only. Exit codes: 0 stopped cleanly, 2 wrong usage, 3 a dependency or
setting is wrong (one line on stderr), 4 the leader lost its journal or term and must start again.
Heavy imports happen inside the commands, so `--help` stays quick.
"""

from app.cli import dev as dev  # registers its commands
from app.cli import feed, load
from app.cli.roles import app as cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="orderwire")


__all__ = ["feed", "load", "main"]
