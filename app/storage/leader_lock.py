"""A session advisory lock: the fast hint that the leader's process is gone. Never the authority.

The lock falls free when its holder's connection ends, also when PostgreSQL restarts; so it counts only
while the server's start time stays. Fencing is the head row's compare-and-set, not this.
"""

from typing import Self
from urllib.parse import urlsplit

import asyncpg

from app.errors import JournalUnavailable
from app.storage.connection import HealingConnection
from app.storage.cursors import CORE

LOCK_NAMESPACE = 0x6F77
"""First key of the advisory lock ("ow"); the second is the shard."""
STANDBY_NAMESPACE = LOCK_NAMESPACE + 1
"""First key of the lock that standbys share: whoever holds it could lead."""
QUERY_TIMEOUT_S = 2.0
_FAULTS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that says that an answer did not come; a refusal too may be for a while."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_STANDBYS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND granted AND datname = current_database()
"""

_PROJECTION_LAG = """
SELECT coalesce((
    SELECT extract(epoch FROM clock_timestamp()) - timestamp_ns / 1e9
    FROM journal WHERE shard = $1 AND last_seq > cursors.last_seq ORDER BY last_seq LIMIT 1
), 0)::float8
FROM projection_cursors AS cursors WHERE shard = $1 AND projection = $2
"""


class LeaderLock:
    """The leader's lock of one shard, on a connection of its own; a new connection does not hold it."""

    def __init__(self, dsn: str, shard: int) -> None:
        self._shard = shard
        self.is_local = (urlsplit(dsn).hostname or "localhost") in _LOOPBACK
        """Whether the server runs on this machine, as far as its address tells."""
        self._acquired = self._standing_by = False
        self._server = HealingConnection(dsn, server_settings={"application_name": "orderwire leader lock"})

    @classmethod
    async def connect(cls, dsn: str, shard: int) -> Self:
        """Return a lock whose connection stands. Raises JournalUnavailable."""
        lock = cls(dsn, shard)
        await lock.server_started()
        return lock

    async def try_acquire(self) -> bool:
        """Take the lock if it is free; returns whether this session holds it."""
        self._acquired = False
        self._acquired = bool(await self._value("SELECT pg_try_advisory_lock($1, $2)", LOCK_NAMESPACE, self._shard))
        return self._acquired

    @property
    def held(self) -> bool:
        """Whether the lock is held, as far as is known without asking the server."""
        return self._acquired and self._server.is_open

    async def stand_by(self) -> None:
        """Show, for as long as this session lives, that an engine follows and could lead; asks once a session."""
        if not self._standing_by or not self._server.is_open:
            self._standing_by = False
            await self._value("SELECT pg_advisory_lock_shared($1, $2)", STANDBY_NAMESPACE, self._shard)
            self._standing_by = True

    async def leave_standby(self) -> None:
        """Stand by no more: this engine leads."""
        if self._standing_by:
            self._standing_by = False
            await self._value("SELECT pg_advisory_unlock_shared($1, $2)", STANDBY_NAMESPACE, self._shard)

    async def standbys(self) -> int:
        """Return how many engines stand by."""
        return int(str(await self._value(_STANDBYS, STANDBY_NAMESPACE, self._shard)))

    async def projection_lag_s(self) -> float | None:
        """Return how old the oldest row is that the core projection has not applied; None if it never ran."""
        lag_s = await self._value(_PROJECTION_LAG, self._shard, CORE)
        return None if lag_s is None else max(float(str(lag_s)), 0.0)

    async def data_directory(self) -> str:
        """Return the server's data folder, on its own host. Empty if this role may not know it."""
        return str(await self._value("SELECT setting FROM pg_settings WHERE name = 'data_directory'") or "")

    async def release(self) -> None:
        """Let both locks go."""
        self._acquired = self._standing_by = False
        await self._value("SELECT pg_advisory_unlock_all()")

    async def clock_ns(self) -> int:
        """Return PostgreSQL's clock in UTC nanoseconds."""
        micros = await self._value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(str(micros)) * 1000

    async def server_started(self) -> str:
        """Return when the server started, as text to compare."""
        return str(await self._value("SELECT pg_postmaster_start_time()::text"))

    async def close(self) -> None:
        """Give the lock up by ending the session, in bounded time."""
        await self._server.close()

    async def _value(self, query: str, *arguments: object) -> object:
        try:
            return await self._server.run(
                lambda connection: connection.fetchval(query, *arguments), timeout_s=QUERY_TIMEOUT_S
            )
        except _FAULTS as error:
            self._standing_by = False
            raise JournalUnavailable(f"PostgreSQL: {error}") from error
