"""A session advisory lock: the fast hint that the leader's process is gone. Never the authority.

Every engine has a lock of its own, named in the head row while it leads: what becomes of the session of a
leader before it, frozen or cut off, says nothing of this one. The lock falls free when its owner's connection
ends, also when PostgreSQL restarts; so it counts only while the server's start time stays. Fencing is the
head row's compare-and-set, not this.
"""

import os
import re
import secrets
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import asyncpg

from app.errors import JournalUnavailable
from app.storage.connection import HealingConnection
from app.storage.cursors import CORE

STANDBY_NAMESPACE = 0x6F78
"""First key of the lock that standbys share, whose second is the shard: whoever holds it could lead."""
QUERY_TIMEOUT_S = 2.0
_FAULTS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that says that an answer did not come; a refusal too may be for a while."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEY = re.compile("[0-7][0-9a-f]{15}")
_SESSION_SETTINGS = {
    "application_name": "orderwire leader lock",
    # The session is idle for as long as its owner leads...
    "idle_session_timeout": "0",
    # ...and that of a host that is gone ends within half a minute.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# Shared: those that look do not take each other for the owner.
_PROBE = """
SELECT CASE WHEN pg_try_advisory_lock_shared($1) THEN pg_advisory_unlock_shared($1) ELSE false END,
       pg_postmaster_start_time()::text
"""

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


class Probe(NamedTuple):
    """Whether a lock is free, and when the server started that says so, as text to compare."""

    free: bool
    started: str


def lock_key(owner: str) -> int | None:
    """Return the key of the lock that an owner of the head row leads with; None if it names none."""
    digits = owner.rpartition(":")[2]
    return int(digits, 16) if _KEY.fullmatch(digits) else None


class LeaderLock:
    """An engine's own lock, on a connection of its own; a new connection does not hold it."""

    def __init__(self, dsn: str, shard: int) -> None:
        self._shard = shard
        self._key = secrets.randbits(63)
        self.owner = f"{os.uname().nodename}:{os.getpid()}:{self._key:016x}"
        """How the head row names who leads with this lock; nobody else is named so."""
        self.is_local = (urlsplit(dsn).hostname or "localhost") in _LOOPBACK
        """Whether the server runs on this machine, as far as its address tells."""
        self._acquired = self._standing_by = False
        self._server = HealingConnection(dsn, server_settings=_SESSION_SETTINGS)

    @classmethod
    async def connect(cls, dsn: str, shard: int) -> Self:
        """Return a lock that is held. Raises JournalUnavailable."""
        lock = cls(dsn, shard)
        await lock.try_acquire()
        return lock

    async def try_acquire(self) -> bool:
        """Take our own lock; returns whether this session holds it: one before it, or a probe, may for a moment."""
        self._acquired = False
        self._acquired = bool(await self._value("SELECT pg_try_advisory_lock($1)", self._key))
        return self._acquired

    async def probe(self, key: int) -> Probe:
        """Look whether somebody's lock is free."""
        free, started = await self._row(_PROBE, key)
        return Probe(free, started)

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

    async def clock_ns(self) -> int:
        """Return PostgreSQL's clock in UTC nanoseconds."""
        micros = await self._value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(str(micros)) * 1000

    async def close(self) -> None:
        """Give the lock up by ending the session, in bounded time."""
        await self._server.close()

    async def _value(self, query: str, *arguments: object) -> object:
        row = await self._row(query, *arguments)
        return None if row is None else row[0]

    async def _row(self, query: str, *arguments: object) -> Any:
        try:
            return await self._server.run(
                lambda connection: connection.fetchrow(query, *arguments), timeout_s=QUERY_TIMEOUT_S
            )
        except _FAULTS as error:
            self._standing_by = False
            raise JournalUnavailable(f"PostgreSQL: {error}") from error
