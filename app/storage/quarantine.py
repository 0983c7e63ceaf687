"""Commands that stopped an engine, or that were being executed when one was lost: what leaders know of each other.

A row is written before a suspect is executed and removed after its commit, so what is left was not survived.
Called by the leader only; other processes have no right to the table.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import structlog

from app.storage.connection import Connection, HealingConnection, backoff, is_server_fault

WRITE_TIMEOUT_S = 2.5
KEPT_DAYS = 7
"""Suspects that nobody sent again for so long are forgotten; what is quarantined stays."""

_LOAD = "SELECT fingerprint, crashes FROM quarantine WHERE shard = $1"
_FORGET = """
DELETE FROM quarantine WHERE shard = $1 AND crashes < $2 AND updated_at < now() - make_interval(days => $3)
"""
_WRITE = """
INSERT INTO quarantine (shard, fingerprint, crashes, reason, command, updated_at)
SELECT $1, fingerprint, crashes, reason, command, now()
FROM unnest($2::bytea[], $3::int[], $4::text[], $5::bytea[]) AS seen (fingerprint, crashes, reason, command)
ON CONFLICT (shard, fingerprint) DO UPDATE SET crashes = excluded.crashes, reason = excluded.reason, updated_at = now()
"""
_CLEAR = "DELETE FROM quarantine WHERE shard = $1 AND fingerprint = ANY($2::bytea[])"

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Suspect(NamedTuple):
    """A command that may stop an engine."""

    fingerprint: bytes
    crashes: int
    """Engines that were lost while it was the only command in question."""
    reason: str
    command: bytes


class QuarantineStore:
    """The table `quarantine` of one shard, over a connection of its own.

    Every operation may be repeated, and is, until PostgreSQL answers: without it nothing could be committed either.
    """

    def __init__(self, dsn: str, shard: int) -> None:
        self._shard = shard
        self._lock = asyncio.Lock()
        self._server = HealingConnection(dsn, server_settings={"application_name": "orderwire quarantine"})

    async def load(self, *, crashes_max: int) -> dict[bytes, int]:
        """Forget old suspects; returns crashes by fingerprint."""

        async def read(connection: Connection) -> dict[bytes, int]:
            await connection.execute(_FORGET, self._shard, crashes_max, KEPT_DAYS)
            return {row["fingerprint"]: row["crashes"] for row in await connection.fetch(_LOAD, self._shard)}

        return await self._persist(read)

    async def write(self, suspects: Sequence[Suspect]) -> None:
        """Keep suspects as given; durable when it returns."""
        fingerprints, crashes, reasons, commands = map(list, zip(*suspects, strict=True))
        await self._persist(
            lambda connection: connection.execute(_WRITE, self._shard, fingerprints, crashes, reasons, commands)
        )

    async def clear(self, fingerprints: Iterable[bytes]) -> None:
        """Forget commands that were committed."""
        known = list(fingerprints)
        await self._persist(lambda connection: connection.execute(_CLEAR, self._shard, known))

    async def close(self) -> None:
        """Close the connection, in bounded time."""
        await self._server.close()

    async def _persist(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._lock:
            attempt = 0
            while True:
                try:
                    return await self._server.run(operation, timeout_s=WRITE_TIMEOUT_S)
                except Exception as fault:
                    if not is_server_fault(fault):
                        raise
                    if not attempt:
                        log.warning("quarantine_waits_for_postgresql", reason=f"{type(fault).__name__}: {fault}")
                await asyncio.sleep(backoff(attempt))
                attempt += 1
