"""`orderwire migrate`: brings a database to this code's revision.

Alembic is imported only when it runs, so that serving processes do not pay for it. Safe to run
twice at once: the second waits for the first (an advisory lock in migrations/env.py).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from app.storage.database import CONNECT_FAULTS, asyncpg_dsn, cannot_use, server_place

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(url: str) -> "Config":
    """Return alembic's configuration for a database, without any file. Raises StartupError for a wrong URL."""
    from alembic.config import Config

    config = Config(attributes={"url": asyncpg_dsn(url)})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(url: str) -> None:
    """Upgrade the database to the newest revision; nothing happens if it is there already.

    Synchronous: call it outside an event loop, or in a thread. Raises StartupError when the database
    cannot be used.
    """
    from alembic import command

    try:
        command.upgrade(alembic_config(url), "head")
    except (DBAPIError, *CONNECT_FAULTS) as fault:
        raise cannot_use(server_place(url), fault) from fault
