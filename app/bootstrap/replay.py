"""`orderwire replay`: prove that a journal gives the same events and state again."""

import time

import msgspec

from app.bootstrap.startup import open_journal, require_database
from app.config import Settings
from app.errors import StartupError
from app.sequencer.recovery import first_provable, save_checkpoint, verify_journal
from app.storage import checkpoints
from app.storage.database import create_database_engine


class Replayed(msgspec.Struct, frozen=True):
    """What a replay came to."""

    first_seq: int
    last_seq: int
    state_hash: str
    seconds: float


async def replay(settings: Settings, *, start: int | None, end: int | None, keep: bool = False) -> Replayed:
    """Verify and replay sequences `start` to `end` (default the head). Raises JournalDamaged and StartupError.

    Without `start` everything is replayed that can be: from sequence 1 on, after a prune or after rows of another
    engine version from the oldest checkpoint on that goes without them. `keep` writes a checkpoint where it ends.
    """
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    database = create_database_engine(settings.database_url, pool_size=1)
    began = time.monotonic()
    try:
        last = (await journal.head()).head_seq if end is None else end
        if start is None:
            start = await first_provable(journal, await checkpoints.kept_seqs(database, settings.shard))
        newest_first = checkpoints.load_newest_first(database, settings.shard)
        proven = await verify_journal(journal, newest_first, start=start, end=last)
        if keep:
            await save_checkpoint(database, settings.shard, proven)
            if proven.engine.state.sequence not in await checkpoints.kept_seqs(database, settings.shard):
                raise StartupError(f"the checkpoint was not kept: there are {checkpoints.KEPT} newer ones")
    finally:
        await database.dispose()
        await journal.close()
    engine = proven.engine
    return Replayed(start, engine.state.sequence, engine.state_hash().hex(), round(time.monotonic() - began, 3))
