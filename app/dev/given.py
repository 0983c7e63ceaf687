"""Refuses to develop on somebody's database: `DATABASE_URL` must name one that is empty or that dev made.

The mark is the database's comment, which says in any tool what the database is.
"""

import asyncpg

from app.errors import StartupError

MARK = "made by orderwire dev"
CONNECT_TIMEOUT_S = 5.0

_LOOK = """
SELECT datname AS name, quote_ident(datname) AS identifier, shobj_description(oid, 'pg_database') AS comment,
       (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS relations
FROM pg_database WHERE datname = current_database()
"""


async def claim_database(url: str) -> None:
    """Mark an empty database as ours, or find it marked. Raises StartupError otherwise."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StartupError(f"DATABASE_URL cannot be used: {error}") from error
    try:
        row = await connection.fetchrow(_LOOK)
        if row is None or row["comment"] == MARK:
            return
        if row["relations"]:
            raise StartupError(
                f"the database {row['name']!r} of DATABASE_URL holds data that orderwire dev did not make"
            )
        await connection.execute(f"COMMENT ON DATABASE {row['identifier']} IS '{MARK}'")
    finally:
        await connection.close()
