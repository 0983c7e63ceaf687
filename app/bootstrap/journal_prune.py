"""`orderwire journal prune`: drops old partitions of the journal, and refuses whenever something could miss them.

What goes must be in a verified export of the same history, below every kept checkpoint (each restored to
prove it), and behind every projection. Run with the migrator's login, beside running engines.
"""

import asyncio
from pathlib import Path

import asyncpg
import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap.startup import require_database
from app.config import Settings
from app.errors import JournalDamaged, StartupError
from app.sequencer.recovery import verify_checkpoint
from app.storage import checkpoints
from app.storage.connection import Connection
from app.storage.cursors import CORE
from app.storage.database import (
    CONNECT_FAULTS,
    CONNECT_TIMEOUT_S,
    asyncpg_dsn,
    cannot_use,
    create_database_engine,
    server_place,
)
from app.storage.journal_file import JournalFileReader
from app.storage.journal_retention import (
    Boundary,
    Partition,
    drop_partition,
    first_sequence,
    head_sequence,
    last_row_before,
    partitions,
    projection_cursors,
)

log = structlog.get_logger(__name__)


class Pruned(msgspec.Struct, frozen=True):
    """What went."""

    shard: int
    partitions: int
    last_seq: int
    """Of the last row that went."""


async def prune_journal(settings: Settings, *, before: int, export: Path) -> Pruned:
    """Drop every partition that lies before a sequence. Raises StartupError saying what is not covered."""
    await require_database(settings.database_url)
    database = create_database_engine(settings.database_url, pool_size=1)
    try:
        connection = await asyncpg.connect(asyncpg_dsn(settings.database_url), timeout=CONNECT_TIMEOUT_S)
        try:
            return await _prune(connection, database, settings.shard, before=before, export=export)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
    except CONNECT_FAULTS as fault:
        raise cannot_use(server_place(settings.database_url), fault) from fault
    finally:
        await database.dispose()


async def _prune(connection: Connection, database: AsyncEngine, shard: int, *, before: int, export: Path) -> Pruned:
    going = await _whole_before(connection, shard, before)
    boundary = await last_row_before(connection, shard, going[-1].to_seq)
    if boundary is not None:
        # None: an interrupted prune took the rows already, and what is left of the partitions goes now.
        await _require_projected(connection, shard, boundary)
        await _require_checkpoints(database, shard, boundary)
        first_seq = await first_sequence(connection, shard)
        await asyncio.to_thread(_require_exported, export, shard, first_seq, boundary)
    for partition in going:
        await drop_partition(connection, shard, partition)
        log.info("journal_partition_dropped", from_seq=partition.from_seq, to_seq=partition.to_seq)
    return Pruned(shard, len(going), going[-1].to_seq - 1 if boundary is None else boundary.last_seq)


async def _whole_before(connection: Connection, shard: int, before: int) -> list[Partition]:
    known = await partitions(connection, shard)
    head_seq = await head_sequence(connection, shard)
    if before > head_seq:
        raise StartupError(f"sequence {before} is not in the journal: its head is {head_seq}")
    # The last one stays whatever is asked: the next continues where it ends.
    going = [partition for partition in known[:-1] if partition.to_seq <= before]
    if not going:
        first = f"the first one ends before {known[0].to_seq}" if known else "there is none"
        raise StartupError(f"no whole partition of shard {shard} lies before sequence {before}: {first}")
    return going


async def _require_projected(connection: Connection, shard: int, boundary: Boundary) -> None:
    cursors = {CORE: 0} | await projection_cursors(connection, shard)
    for projection, last_seq in cursors.items():
        if last_seq < boundary.last_seq:
            raise StartupError(
                f"the projection {projection} is at sequence {last_seq} and needs the rows up to {boundary.last_seq}"
            )


async def _require_checkpoints(database: AsyncEngine, shard: int, boundary: Boundary) -> None:
    """Prove that an engine can start from any kept checkpoint without the rows that go."""
    kept = 0
    async for checkpoint in checkpoints.load_newest_first(database, shard):
        kept += 1
        if checkpoint.last_seq < boundary.last_seq:
            raise StartupError(
                f"the checkpoint at sequence {checkpoint.last_seq} is kept and needs the rows up to {boundary.last_seq}"
            )
        if checkpoint.last_seq == boundary.last_seq and checkpoint.row_hash != boundary.row_hash:
            raise StartupError(f"the checkpoint at sequence {checkpoint.last_seq} is of another history")
        try:
            verify_checkpoint(checkpoint)
        except JournalDamaged as error:
            raise StartupError(str(error)) from error
    if not kept:
        raise StartupError("there is no checkpoint: an engine would need every row")


def _require_exported(export: Path, shard: int, first_seq: int, boundary: Boundary) -> None:
    """Read the whole file; its rows chain, so the boundary's hash in it proves every row before."""
    exported: bytes | None = None
    try:
        with export.open("rb") as file:
            reader = JournalFileReader(file)
            for row in reader.rows():
                if row.last_seq == boundary.last_seq:
                    exported = row.hash
    except OSError as error:
        raise StartupError(f"cannot read {export}: {error.strerror}") from error
    except JournalDamaged as error:
        raise StartupError(f"{export} does not verify: {error}") from error
    if reader.header.shard != shard:
        raise StartupError(f"{export} is of shard {reader.header.shard}, expected {shard}")
    if reader.header.after_seq >= first_seq:
        raise StartupError(f"{export} begins with sequence {reader.header.after_seq + 1}, the journal with {first_seq}")
    if exported is None:
        raise StartupError(f"{export} does not hold the row at sequence {boundary.last_seq}")
    if exported != boundary.row_hash:
        raise StartupError(f"{export} holds another history at sequence {boundary.last_seq}")
