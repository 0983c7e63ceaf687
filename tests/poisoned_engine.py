"""An engine with a planted fault: `python -m tests.poisoned_engine engine` ends at every deposit named for it.

`raise-...` raises where it is applied; `die-...` takes the process away without a word.
"""

import os
import signal
from typing import Any

from app.cli import main
from app.domain.commands import Command, Deposit
from app.engine.engine import Engine

RAISES, DIES = "raise-", "die-"
_apply = Engine.apply


def apply(engine: Engine, command: Command) -> list[Any]:
    """Apply a command, or end with it."""
    if isinstance(command, Deposit):
        if command.transfer_id.startswith(RAISES):
            raise AssertionError("a planted fault")
        if command.transfer_id.startswith(DIES):
            os.kill(os.getpid(), signal.SIGKILL)
    return _apply(engine, command)


if __name__ == "__main__":
    Engine.apply = apply  # type: ignore[method-assign, assignment]  # the planted fault
    main()
