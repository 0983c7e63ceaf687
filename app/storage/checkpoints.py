"""Engine states saved for recovery: the newest three of each shard.

Storage does not judge a checkpoint: the caller restores it, which refuses damaged bytes, and takes
the next older one if need be.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.database import writing
from app.storage.tables import checkpoints

KEPT = 3
TRANSFER_TIMEOUT_MS = 60_000
"""Bodies are large: more than a query of a read model may take."""

_COLUMNS = (
    checkpoints.c.shard,
    checkpoints.c.last_seq,
    checkpoints.c.row_hash,
    checkpoints.c.engine_version,
    checkpoints.c.state_hash,
    checkpoints.c.body,
)
_ALLOW_LARGE = text(f"SET LOCAL statement_timeout = {TRANSFER_TIMEOUT_MS}")


class Checkpoint(NamedTuple):
    """The engine's state after `last_seq`; `row_hash` is the hash of the journal row that ends there."""

    shard: int
    last_seq: int
    row_hash: bytes
    engine_version: int
    state_hash: bytes
    body: bytes


async def save(engine: AsyncEngine, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint, and with it the newest KEPT of the shard. One at the same sequence is replaced."""
    statement = insert(checkpoints).values(checkpoint._asdict())
    newest = (
        select(checkpoints.c.last_seq)
        .where(checkpoints.c.shard == checkpoint.shard)
        .order_by(checkpoints.c.last_seq.desc())
        .limit(KEPT)
    )
    async with writing(engine) as connection:
        await connection.execute(_ALLOW_LARGE)
        await connection.execute(
            statement.on_conflict_do_update(
                constraint=checkpoints.primary_key,
                set_={name: statement.excluded[name] for name in ("row_hash", "engine_version", "state_hash", "body")},
            )
        )
        await connection.execute(
            delete(checkpoints).where(
                checkpoints.c.shard == checkpoint.shard, checkpoints.c.last_seq.not_in(newest.scalar_subquery())
            )
        )


async def newest_seq(engine: AsyncEngine, shard: int) -> int:
    """Return the sequence of the shard's newest checkpoint, 0 if there is none."""
    query = select(func.max(checkpoints.c.last_seq)).where(checkpoints.c.shard == shard)
    async with writing(engine) as connection:
        return (await connection.execute(query)).scalar_one() or 0


async def kept_seqs(engine: AsyncEngine, shard: int) -> list[int]:
    """Return the sequences of the shard's checkpoints, newest first."""
    query = select(checkpoints.c.last_seq).where(checkpoints.c.shard == shard).order_by(checkpoints.c.last_seq.desc())
    async with writing(engine) as connection:
        return list((await connection.execute(query)).scalars())


async def load_newest_first(engine: AsyncEngine, shard: int) -> AsyncIterator[Checkpoint]:
    """Yield the shard's checkpoints, newest first, reading each only when it is asked for."""
    query = select(*_COLUMNS).where(checkpoints.c.shard == shard).order_by(checkpoints.c.last_seq.desc()).limit(1)
    before: int | None = None
    while True:
        async with writing(engine) as connection:
            await connection.execute(_ALLOW_LARGE)
            older = query if before is None else query.where(checkpoints.c.last_seq < before)
            row = (await connection.execute(older)).one_or_none()
        if row is None:
            return
        checkpoint = Checkpoint(*row)
        yield checkpoint
        before = checkpoint.last_seq
