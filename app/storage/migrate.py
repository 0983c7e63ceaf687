"""`orderwire migrate`: brings a database to this code's revision.

Alembic is imported only when it runs, so that serving processes do not pay for it. Safe to run
twice at once: the second waits for the first (an advisory lock in migrations/env.py).
"""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.storage.database import CONNECT_FAULTS, asyncpg_dsn, cannot_use, server_place

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str) -> None:
    """Upgrade the database to the newest revision; nothing happens if it is there already.

    Synchronous: call it outside an event loop, or in a thread. Raises StartupError when there is no
    such database.
    """
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"url": asyncpg_dsn(url)})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except (DBAPIError, *CONNECT_FAULTS) as fault:
        raise cannot_use(server_place(url), fault) from fault
