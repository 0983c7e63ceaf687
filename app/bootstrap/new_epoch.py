"""`orderwire admin start-epoch`: a new identity for the published sequences, after a restore that lost some.

Run while no engine leads: it leads for one batch, whose only command starts the next epoch, and leaves. The streams of
the new epoch are named after it, so clients that had seen more than the journal holds get fresh snapshots.
"""

import asyncio

import msgspec

from app import __version__
from app.bootstrap.startup import open_journal, place, require_database
from app.config import Settings
from app.errors import JournalUnavailable, StartupError
from app.sequencer.leadership import become_leader
from app.sequencer.new_epoch import epoch_row
from app.sequencer.recovery import recover
from app.storage import checkpoints
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.leader_lock import LeaderLock

LEADER_GONE_WAIT_S = 5.0


class EpochStart(msgspec.Struct, frozen=True):
    """The epoch that began, and with which sequence."""

    epoch: int
    engine_seq: int


async def start_epoch(settings: Settings) -> EpochStart:
    """Journal the start of the next epoch. Raises StartupError while an engine leads, and JournalDamaged."""
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    database = create_database_engine(settings.database_url, pool_size=1)
    try:
        lock = await LeaderLock.connect(asyncpg_dsn(settings.database_url), settings.shard)
    except JournalUnavailable as error:
        raise StartupError(f"PostgreSQL at {place(settings.database_url)}: {error}") from error
    try:
        async with asyncio.timeout(LEADER_GONE_WAIT_S):
            head = (await become_leader(journal, lock, address="", build=__version__)).head
        recovered = await recover(journal, checkpoints.load_newest_first(database, settings.shard), head)
        epoch, row = epoch_row(recovered, term=head.term)
        await journal.append(row)
    except TimeoutError:
        raise StartupError("an engine is leading: stop every engine first") from None
    finally:
        await lock.close()
        await database.dispose()
        await journal.close()
    return EpochStart(epoch, row.last_seq)
