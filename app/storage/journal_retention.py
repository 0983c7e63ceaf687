"""What a shard's journal could lose, and the loss itself: whole partitions, oldest first.

Needs the login of the tables' owner. Nothing here judges whether rows may go: bootstrap/journal_prune.py does.
"""

from typing import NamedTuple

from app.storage.connection import Connection

LOCK_TIMEOUT_MS = 5_000
"""Detaching waits for readers of the partition; they are bounded by their own statement timeouts."""

_PARTITIONS = "SELECT from_seq, to_seq FROM journal_partitions WHERE shard = $1 ORDER BY from_seq"
_CURSORS = "SELECT projection, last_seq FROM projection_cursors WHERE shard = $1"
_LAST_ROW = """
SELECT last_seq, hash FROM journal WHERE shard = $1 AND last_seq < $2 ORDER BY last_seq DESC LIMIT 1
"""
_FIRST = "SELECT first_seq FROM journal WHERE shard = $1 ORDER BY last_seq LIMIT 1"
_HEAD = "SELECT head_seq FROM shard_head WHERE shard = $1"
_ATTACHED = """
SELECT i.inhdetachpending FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'journal_parts'
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relname = $1
"""
_FORGET = "DELETE FROM journal_partitions WHERE shard = $1 AND from_seq = $2"


class Partition(NamedTuple):
    """The rows whose last sequence is `from_seq` or more and below `to_seq`."""

    from_seq: int
    to_seq: int


class Boundary(NamedTuple):
    """The last row that would go."""

    last_seq: int
    row_hash: bytes


async def partitions(connection: Connection, shard: int) -> list[Partition]:
    """Return a shard's partitions, oldest first."""
    return [Partition(*row) for row in await connection.fetch(_PARTITIONS, shard)]


async def head_sequence(connection: Connection, shard: int) -> int:
    """Return the last committed sequence, 0 if there is none."""
    return await connection.fetchval(_HEAD, shard) or 0


async def first_sequence(connection: Connection, shard: int) -> int:
    """Return the first sequence that the journal still holds, 1 if it holds none."""
    return await connection.fetchval(_FIRST, shard) or 1


async def last_row_before(connection: Connection, shard: int, sequence: int) -> Boundary | None:
    """Return the last row that ends before a sequence."""
    row = await connection.fetchrow(_LAST_ROW, shard, sequence)
    return None if row is None else Boundary(*row)


async def projection_cursors(connection: Connection, shard: int) -> dict[str, int]:
    """Return how far each projection is."""
    return {row["projection"]: row["last_seq"] for row in await connection.fetch(_CURSORS, shard)}


async def drop_partition(connection: Connection, shard: int, partition: Partition) -> None:
    """Take a partition out of the journal and drop it; an interrupted drop is completed by the next one.

    Detached concurrently, so that appends go on; that cannot run in a transaction.
    """
    name = f"journal_{shard}_{partition.from_seq}"
    found = await connection.fetch(_ATTACHED, name)
    if found:
        await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        is_pending = found[0]["inhdetachpending"]
        if is_pending is not None:
            how = "FINALIZE" if is_pending else "CONCURRENTLY"
            await connection.execute(f"ALTER TABLE journal DETACH PARTITION journal_parts.{name} {how}")
        await connection.execute(f"DROP TABLE journal_parts.{name}")
    await connection.execute(_FORGET, shard, partition.from_seq)
