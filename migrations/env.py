"""Alembic's environment: runs migrations over asyncpg, in one transaction, one process at a time.

The URL comes from `app.storage.migrate.upgrade`, or from DATABASE_URL when alembic runs by itself.
"""

import asyncio
import os

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.storage.database import CONNECT_TIMEOUT_S, asyncpg_dsn
from app.storage.roles import PREPARE
from app.storage.tables import metadata

MIGRATION_LOCK = 0x6F726465
"""Advisory lock of all migrations of one database: "orde" in ASCII."""


def run(connection: Connection) -> None:
    """Run the requested alembic command on a connection."""
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        # Whoever migrates, the tables belong to the migrator group.
        connection.execute(text(PREPARE))
        context.run_migrations()


async def run_online() -> None:
    """Connect, run, disconnect."""
    dsn = asyncpg_dsn(context.config.attributes.get("url") or os.environ["DATABASE_URL"])
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S),
        poolclass=NullPool,
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(run_online())
