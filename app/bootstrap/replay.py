"""`orderwire replay`: prove that a journal gives the same events and state again."""

import time

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap.startup import open_journal, require_database
from app.config import Settings
from app.errors import StartupError
from app.sequencer.recovery import verify_journal
from app.storage import checkpoints
from app.storage.database import create_database_engine
from app.storage.journal import Journal


class Replayed(msgspec.Struct, frozen=True):
    """What a replay came to."""

    first_seq: int
    last_seq: int
    state_hash: str
    seconds: float


async def replay(settings: Settings, *, start: int | None, end: int | None) -> Replayed:
    """Verify and replay sequences `start` to `end` (default the head). Raises JournalDamaged and StartupError.

    Without `start` everything is replayed that can be: from sequence 1 on, after a prune from the oldest checkpoint on.
    """
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    database = create_database_engine(settings.database_url, pool_size=1)
    began = time.monotonic()
    try:
        last = (await journal.head()).head_seq if end is None else end
        if start is None:
            start = await _first_provable(journal, database)
        newest_first = checkpoints.load_newest_first(database, settings.shard)
        engine = await verify_journal(journal, newest_first, start=start, end=last)
    finally:
        await database.dispose()
        await journal.close()
    return Replayed(start, engine.state.sequence, engine.state_hash().hex(), round(time.monotonic() - began, 3))


async def _first_provable(journal: Journal, database: AsyncEngine) -> int:
    first = await journal.rows(0, 1)
    if not first or first[0].first_seq == 1:
        return 1
    kept = [checkpoint.last_seq async for checkpoint in checkpoints.load_newest_first(database, journal.shard)]
    if not kept:
        raise StartupError(f"the journal begins with sequence {first[0].first_seq} and there is no checkpoint")
    return kept[-1] + 1
