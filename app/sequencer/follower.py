"""A second engine that replays every row as it is committed, judges it, and writes the checkpoints.

The leader never pauses for a checkpoint; the follower's replay is a standing proof that the journal
gives the same events on another process. A row that does not verify stops it: no checkpoint is ever
written past damage. Runs in the worker role.
"""

import asyncio
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine.engine import Engine
from app.errors import JournalDamaged, JournalUnavailable
from app.sequencer.recovery import Recovered, follow_row, restore_newest, save_checkpoint
from app.storage import checkpoints
from app.storage.journal import Journal

ROWS_MAX = 64
POLL_S = 0.25
"""A follower may be late: nobody waits for it."""
OUTAGE_PAUSE_S = 1.0
CHECKPOINT_EVERY_S = 60.0
CHECKPOINT_EVERY_COMMANDS = 1_000_000

log = structlog.get_logger(__name__)


class Follower:
    """Follows one shard's journal with an engine of its own."""

    def __init__(
        self,
        journal: Journal,
        database: AsyncEngine,
        *,
        every_s: float = CHECKPOINT_EVERY_S,
        every_commands: int = CHECKPOINT_EVERY_COMMANDS,
    ) -> None:
        self._journal = journal
        self._database = database
        self._every_s = every_s
        self._every_commands = every_commands
        self._written_at = time.monotonic()
        self._written_seq = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set; survives an outage. Raises JournalDamaged naming the sequence."""
        engine, row_hash = await self._start()
        while not stop.is_set():
            try:
                rows = await self._journal.rows(engine.state.sequence, ROWS_MAX)
                for row in rows:
                    row_hash = follow_row(engine, row_hash, row)
                    # A full batch takes milliseconds: the projections share this loop.
                    await asyncio.sleep(0)
                await self._checkpoint_if_due(engine, row_hash)
                if not rows:
                    await asyncio.sleep(POLL_S)
            except JournalUnavailable as error:
                log.warning("follower_waits_for_postgresql", reason=str(error))
                await asyncio.sleep(OUTAGE_PAUSE_S)
            except JournalDamaged as error:
                log.critical("follower_diverged", head_seq=engine.state.sequence, reason=str(error))
                raise

    async def _start(self) -> tuple[Engine, bytes]:
        newest_first = checkpoints.load_newest_first(self._database, self._journal.shard)
        head = await self._journal.head()
        engine, row_hash = await restore_newest(newest_first, head.head_seq)
        self._written_seq = engine.state.sequence
        log.info("follower_started", last_seq=engine.state.sequence)
        return engine, row_hash

    async def _checkpoint_if_due(self, engine: Engine, row_hash: bytes) -> None:
        behind = engine.state.sequence - self._written_seq
        late = time.monotonic() - self._written_at >= self._every_s
        if not behind or (behind < self._every_commands and not late):
            return
        await save_checkpoint(self._database, self._journal.shard, Recovered(engine, row_hash, behind))
        self._written_seq = engine.state.sequence
        self._written_at = time.monotonic()
