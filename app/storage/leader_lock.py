"""A session advisory lock: the fast hint that the leader's process is gone. Never the authority.

The lock falls free when its holder's connection ends, also when PostgreSQL restarts; so it counts only
while the server's start time stays. Fencing is the head row's compare-and-set, not this.
"""

from typing import Self

import asyncpg

from app.errors import JournalUnavailable
from app.storage.connection import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, Connection

LOCK_NAMESPACE = 0x6F77
"""First key of the advisory lock ("ow"); the second is the shard."""
QUERY_TIMEOUT_S = 2.0


class LeaderLock:
    """The leader's lock of one shard, on a connection of its own that must stay open."""

    def __init__(self, connection: Connection, shard: int) -> None:
        self._connection = connection
        self._shard = shard

    @classmethod
    async def connect(cls, dsn: str, shard: int) -> Self:
        """Open the connection. Raises JournalUnavailable."""
        try:
            connection = await asyncpg.connect(
                dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "orderwire leader lock"}
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise JournalUnavailable(f"PostgreSQL: {error}") from error
        return cls(connection, shard)

    async def try_acquire(self) -> bool:
        """Take the lock if it is free; returns whether this session holds it."""
        taken = await self._value("SELECT pg_try_advisory_lock($1, $2)", LOCK_NAMESPACE, self._shard)
        return bool(taken)

    async def clock_ns(self) -> int:
        """Return PostgreSQL's clock in UTC nanoseconds."""
        micros = await self._value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(str(micros)) * 1000

    async def server_started(self) -> str:
        """Return when the server started, as text to compare."""
        return str(await self._value("SELECT pg_postmaster_start_time()::text"))

    async def close(self) -> None:
        """Give the lock up by ending the session, in bounded time."""
        try:
            await self._connection.close(timeout=CLOSE_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection.terminate()

    async def _value(self, query: str, *arguments: object) -> object:
        try:
            return await self._connection.fetchval(query, *arguments, timeout=QUERY_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise JournalUnavailable(f"PostgreSQL: {error}") from error
