"""A projector whose cursor is outside the transaction of its tables must turn the judge of the tables red."""

import asyncio
import random

import asyncpg
import pytest

from app.projections import core
from app.projections.changes import Changes
from app.projections.core import CoreProjector, Position
from app.projections.facts import facts_of
from app.projections.runner import ProjectionRunner
from app.projections.statements import statements_of
from app.storage.connection import Connection
from app.storage.cursors import CORE, cursor
from app.storage.database import create_database_engine
from app.storage.journal import Journal
from tests.journal_rows import chain
from tests.market_stream import MarketStream
from tests.projected_tables import assert_projected

BATCHES = 80
ROWS_OF_A_TRANSACTION = 2
PAUSE_S = 0.02
"""Between tables and cursor, inside or outside of the transaction: long enough to be cut there."""
CUTS = 8
PATIENCE_S = 60.0
SHARD = 0

_CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'orderwire projector'"
)


async def write_changes(connection: Connection, changes: Changes) -> None:
    """Carry out the changes of a stretch of the journal, without its cursor."""
    for sql, arrays in statements_of(changes, SHARD):
        await connection.execute(sql, *arrays)
    for table, columns, rows in facts_of(changes, SHARD):
        await connection.copy_records_to_table(table, columns=columns, records=rows)


class SoundProjector(CoreProjector):
    """Pauses within the transaction."""

    async def _write(self, connection: Connection, changes: Changes, position: Position, reached: Position) -> bool:
        async with connection.transaction():
            await write_changes(connection, changes)
            await asyncio.sleep(PAUSE_S)
            return await connection.fetchval(core._MOVE, SHARD, CORE, *position, *reached) is not None


class BrokenProjector(CoreProjector):
    """Moves the cursor after the transaction."""

    async def _write(self, connection: Connection, changes: Changes, position: Position, reached: Position) -> bool:
        async with connection.transaction():
            await write_changes(connection, changes)
        await asyncio.sleep(PAUSE_S)
        return await connection.fetchval(core._MOVE, SHARD, CORE, *position, *reached) is not None


async def project_under_fire(database_url: str) -> None:
    """Project a journal while the projector's connection is cut some times; then judge the tables."""
    stream = MarketStream(seed=4)
    rows = chain([stream.genesis(), *(stream.batch(5) for _ in range(BATCHES))])
    journal = await Journal.connect(database_url, SHARD)
    await journal.take_over(await journal.head(), owner="leader", address="", build="test")
    for row in rows:
        await journal.append(row)
    await journal.close()
    engine = create_database_engine(database_url, pool_size=1)
    stop = asyncio.Event()
    running = asyncio.create_task(ProjectionRunner(database_url, SHARD).run(stop))
    cuts, rng = 0, random.Random(1)
    administrator = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not running.done() and await cursor(engine, SHARD) < stream.sequence:
                await asyncio.sleep(rng.uniform(0.05, 0.2))
                if cuts < CUTS:
                    cuts += await administrator.fetchval(_CUT)
        stop.set()
        await running
        assert cuts == CUTS, "too few cuts landed"
        await assert_projected(engine, stream)
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        await administrator.close()
        await engine.dispose()


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.projections.runner.RUN_ROWS_MAX", ROWS_OF_A_TRANSACTION)


async def test_a_sound_projector_passes_the_judge_with_a_pause_this_long(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.projections.runner.CoreProjector", SoundProjector)
    await project_under_fire(database_url)


async def test_a_cursor_outside_of_the_transaction_is_caught(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.projections.runner.CoreProjector", BrokenProjector)
    with pytest.raises((AssertionError, asyncpg.UniqueViolationError)):
        await project_under_fire(database_url)
