"""A second engine that replays every row as it is committed, judges it, and writes the checkpoints.

The leader never pauses for a checkpoint; the follower's replay is a standing proof that the journal
gives the same events on another process. A row that does not verify stops it: no checkpoint is ever
written past damage. Runs in the worker role, and in an engine that stands by, which leads with it.
"""

import asyncio
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine.engine import Engine
from app.errors import JournalDamaged, JournalUnavailable
from app.protocol.records import GENESIS_HASH
from app.sequencer.recovery import Recovered, catch_up, follow_row, restore_newest, save_checkpoint
from app.storage import checkpoints
from app.storage.journal import Head, Journal

ROWS_MAX = 64
POLL_S = 0.25
"""A follower may be late: nobody waits for it."""
STANDBY_POLL_S = 0.05
"""One that will lead stays closer: what it has not seen is replayed before it accepts."""
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
        poll_s: float = POLL_S,
        every_s: float = CHECKPOINT_EVERY_S,
        every_commands: int = CHECKPOINT_EVERY_COMMANDS,
    ) -> None:
        self._journal = journal
        self._database = database
        self._poll_s = poll_s
        self._every_s = every_s
        self._every_commands = every_commands
        self._engine: Engine | None = None
        self._row_hash = GENESIS_HASH
        self.caught_up = False
        """Whether it has stood at the journal's head."""
        self._written_at = time.monotonic()
        self._written_seq = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set; survives an outage. Raises JournalDamaged naming the sequence."""
        engine = await self._start()
        while not stop.is_set():
            try:
                rows = await self._journal.rows(engine.state.sequence, ROWS_MAX)
                for row in rows:
                    self._row_hash = follow_row(engine, self._row_hash, row)
                    # A full batch takes milliseconds: others share this loop.
                    await asyncio.sleep(0)
                await self._checkpoint_if_due(engine)
                if not rows:
                    if not self.caught_up:
                        self.caught_up = True
                        log.info("follower_caught_up", last_seq=engine.state.sequence)
                    await asyncio.sleep(self._poll_s)
            except JournalUnavailable as error:
                log.warning("follower_waits_for_postgresql", reason=str(error))
                await asyncio.sleep(OUTAGE_PAUSE_S)
            except JournalDamaged as error:
                log.critical("follower_diverged", head_seq=engine.state.sequence, reason=str(error))
                raise

    async def lead(self, journal: Journal, head: Head) -> Recovered:
        """Return the engine at a head that was taken over once `caught_up`; `run` has ended. Raises JournalDamaged."""
        assert self._engine is not None, "expected a follower that had caught up"
        recovered = await catch_up(journal, self._engine, self._row_hash, head)
        return recovered._replace(replayed=head.head_seq - self._written_seq)

    async def _start(self) -> Engine:
        while True:
            try:
                newest_first = checkpoints.load_newest_first(self._database, self._journal.shard)
                head = await self._journal.head()
                engine, self._row_hash = await restore_newest(newest_first, head.head_seq)
            except JournalUnavailable as error:
                log.warning("follower_waits_for_postgresql", reason=str(error))
                await asyncio.sleep(OUTAGE_PAUSE_S)
                continue
            self._engine = engine
            self._written_seq = engine.state.sequence
            log.info("follower_started", last_seq=engine.state.sequence)
            return engine

    async def _checkpoint_if_due(self, engine: Engine) -> None:
        if not self._due(engine):
            return
        newest = await checkpoints.newest_seq(self._database, self._journal.shard)
        if newest > self._written_seq:
            # Another follower was faster: a standby and the worker share the work.
            self._written_seq, self._written_at = newest, time.monotonic()
            if not self._due(engine):
                return
        behind = engine.state.sequence - self._written_seq
        await save_checkpoint(self._database, self._journal.shard, Recovered(engine, self._row_hash, behind))
        self._written_seq = engine.state.sequence
        self._written_at = time.monotonic()

    def _due(self, engine: Engine) -> bool:
        behind = engine.state.sequence - self._written_seq
        late = time.monotonic() - self._written_at >= self._every_s
        return behind > 0 and (late or behind >= self._every_commands)
