"""Starts the roles as processes of their own: by forking where that is safe, else by running the program again."""

import importlib
import sys
from collections.abc import Mapping

from app.dev.forking import fork
from app.dev.processes import KERNEL_TELLS_OF_DEATH, Child, spawn

MARKET = "demo-market"
_SHARED = (
    "app.bootstrap.api",
    "app.bootstrap.engine",
    "app.bootstrap.worker",
    "app.cli",
    "app.logs",
    "app.storage.migrate",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
    "alembic.command",
    "alembic.config",
)
"""What the roles and the migration import; a module that is missing here each role imports for itself."""


def import_ahead() -> None:
    """Import what the roles need, so that each starts in milliseconds."""
    if KERNEL_TELLS_OF_DEATH:
        for module in _SHARED:
            importlib.import_module(module)


def start_role(role: str, environment: Mapping[str, str]) -> Child:
    """Start `python -m app <role>` with an environment; its stdout goes to stderr. Main thread only."""
    if KERNEL_TELLS_OF_DEATH:
        return fork(role, lambda: _run(role), environment)
    return spawn(role, (sys.executable, "-m", "app", role), environment=environment, stdout=sys.stderr.buffer)


def _run(role: str) -> int:
    from app.cli import main

    sys.argv = ["orderwire", role]
    main()
    return 0
