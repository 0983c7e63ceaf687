"""The core projection on a real server: every row counts exactly once, however often the projector dies."""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.enums import AccountStatus, InstrumentStatus
from app.domain.events import AccountOpened, AccountUpdated, BalanceChanged, InstrumentListed, LimitsSet
from app.errors import JournalDamaged
from app.projections.core import CoreProjector
from app.protocol.records import BatchRecord, chain_hash
from app.storage.accounts import get_account
from app.storage.balances import list_balances
from app.storage.connection import is_server_fault
from app.storage.cursors import cursor
from app.storage.database import create_database_engine
from app.storage.instruments import list_assets, list_instruments
from app.storage.journal import JournalRow
from app.storage.limits import get_limits
from tests.integration.storage.proxy import Fault, proxy_before
from tests.journal_rows import batch, chain
from tests.market_stream import ACCOUNTS, ASSETS, SYMBOLS, MarketStream, instrument
from tests.projected_tables import assert_projected

MESSAGES_OF_A_LIFE = 150
"""A new connection prepares its statements with the first 60 messages or so; each further run takes a dozen."""


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_database_engine(database_url, pool_size=2)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def projector(database_url: str) -> AsyncIterator[CoreProjector]:
    projector = CoreProjector(database_url, 0)
    yield projector
    await projector.close()


def rows_of(stream: MarketStream, batches: int, commands: int = 5) -> list[JournalRow]:
    records: list[BatchRecord] = [stream.genesis()]
    records += [stream.batch(commands) for _ in range(batches)]
    return chain(records)


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
async def test_tables_follow_from_the_rows_however_they_are_cut(
    engine: AsyncEngine, projector: CoreProjector, rows_at_once: int
) -> None:
    stream = MarketStream(seed=rows_at_once)
    rows = rows_of(stream, 60)

    for start in range(0, len(rows), rows_at_once):
        await projector.apply(rows[start : start + rows_at_once])

    assert sum(map(len, stream.trades.values())) > 10
    await assert_projected(engine, stream)


async def test_lists_of_the_shard_are_projected(engine: AsyncEngine, projector: CoreProjector) -> None:
    await projector.apply(rows_of(MarketStream(seed=1), 0))

    assert [row.asset for row in await list_assets(engine)] == list(ASSETS)
    assert await list_instruments(engine) == [instrument(symbol) for symbol in SYMBOLS]
    for account_id in ACCOUNTS:
        account = await get_account(engine, account_id)
        assert account is not None
        assert account[:5] == (account_id, 0, f"a{account_id}", AccountStatus.ACTIVE, 0)
    assert await get_account(engine, 1) is None


async def test_the_newest_state_of_a_run_of_rows_wins(engine: AsyncEngine, projector: CoreProjector) -> None:
    halted = msgspec.structs.replace(instrument("BTC-USD"), status=InstrumentStatus.HALTED, taker_fee=7)
    restrained = AccountUpdated(
        2, 1001, AccountStatus.FROZEN, "gold", {"daily_loss": "5"}, 7, ("BTC-USD",), killed=True, throttled=True
    )
    rows = chain(
        [
            batch(
                1,
                system=[AccountOpened(1, 1001, "alice"), InstrumentListed(1, instrument("BTC-USD"))],
                accounts={1001: [BalanceChanged(1, 1, 1001, "USD", "5", "0")]},
            ),
            batch(
                2,
                system=[restrained, InstrumentListed(2, halted), LimitsSet(2, {"open_orders": "7"}, "gold")],
                accounts={1001: [BalanceChanged(2, 2, 1001, "USD", "4", "1")]},
            ),
        ]
    )

    await projector.apply(rows)

    account = await get_account(engine, 1001)
    assert account is not None
    assert (account.status, account.account_seq, account.settings) == (AccountStatus.FROZEN, 2, restrained)
    assert await get_limits(engine, 0, "gold") == {"open_orders": "7"}
    assert await get_limits(engine, 0, "silver") is None
    assert await get_limits(engine, 0, None) == {"open_orders": "5000"}
    assert await list_instruments(engine) == [halted]
    assert await list_balances(engine, 1001) == [("USD", 4, 1)]


async def test_rows_applied_already_change_nothing(engine: AsyncEngine, projector: CoreProjector) -> None:
    stream = MarketStream(seed=3)
    rows = rows_of(stream, 20)
    await projector.apply(rows[:12])

    assert await projector.apply(rows[:12]) == rows[11].last_seq
    assert await projector.apply(rows[5:]) == rows[-1].last_seq
    await projector.apply(rows)

    await assert_projected(engine, stream)


async def test_a_projector_killed_at_any_statement_goes_on_exactly_once(engine: AsyncEngine, database_url: str) -> None:
    stream, generator = MarketStream(seed=4), random.Random(4)
    rows = rows_of(stream, 80)
    kills, position = 0, 0
    async with proxy_before(database_url) as (proxy, url):
        while position < len(rows):
            projector = CoreProjector(url, 0)
            await projector.cursor()
            # Some messages pass, then one is lost: before or after the server carried it out.
            passing = [None] * generator.randrange(MESSAGES_OF_A_LIFE)
            proxy.arm(*passing, generator.choice([Fault.CUT_BEFORE, Fault.CUT_AFTER]))
            position, killed = await apply_until_killed(projector, rows, position)
            kills += killed
            # The successor is handed older rows again, and must find its place by itself.
            position = max(0, position - 2) if killed else position
            proxy.disarm()
            await projector.close()

    assert kills >= 5
    await assert_projected(engine, stream)


async def apply_until_killed(projector: CoreProjector, rows: list[JournalRow], position: int) -> tuple[int, bool]:
    """Apply rows in runs of four; returns where the projector came to, and whether it lost its connection."""
    while position < len(rows):
        try:
            await projector.apply(rows[position : position + 4])
        except Exception as fault:
            if not is_server_fault(fault):
                raise
            return position, True
        position += 4
    return position, False


async def test_two_projectors_at_once_apply_every_row_once(engine: AsyncEngine, database_url: str) -> None:
    stream = MarketStream(seed=5)
    rows = rows_of(stream, 60)
    projectors = [CoreProjector(database_url, 0) for _ in range(2)]

    async def follow(projector: CoreProjector) -> None:
        reached = await projector.cursor()
        while reached < rows[-1].last_seq:
            reached = await projector.apply([row for row in rows if row.last_seq > reached][:3])

    async with asyncio.timeout(30.0):
        await asyncio.gather(*(follow(projector) for projector in projectors))

    await assert_projected(engine, stream)
    for projector in projectors:
        await projector.close()


async def test_a_gap_is_refused_and_nothing_of_the_run_is_applied(
    engine: AsyncEngine, projector: CoreProjector
) -> None:
    rows = rows_of(MarketStream(seed=6), 5)
    await projector.apply(rows[:1])

    with pytest.raises(JournalDamaged, match=f"from sequence {rows[1].first_seq}"):
        await projector.apply(rows[2:])
    with pytest.raises(JournalDamaged):
        await projector.apply([rows[1], rows[3]])

    assert await cursor(engine, 0) == rows[0].last_seq


async def test_another_history_is_refused(engine: AsyncEngine, projector: CoreProjector) -> None:
    """After a restore the journal may continue differently from what is projected: never on top of it."""
    rows = rows_of(MarketStream(seed=7), 3)
    await projector.apply(rows[:2])
    other = chain([batch(rows[2].first_seq)], chain_hash(rows[1].hash, b"another history"))

    with pytest.raises(JournalDamaged, match="does not follow"):
        await projector.apply(other)

    assert await cursor(engine, 0) == rows[1].last_seq


async def test_a_fact_projected_outside_its_turn_is_an_error_and_leaves_no_trace(
    engine: AsyncEngine, projector: CoreProjector, database_url: str
) -> None:
    stream = MarketStream(seed=8)
    rows = rows_of(stream, 10)
    await projector.apply(rows)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE projection_cursors SET last_seq = $1, row_hash = $2", rows[4].last_seq, rows[4].hash
    )
    await connection.close()
    careless = CoreProjector(database_url, 0)

    with pytest.raises(asyncpg.UniqueViolationError):
        await careless.apply(rows[5:])

    assert await cursor(engine, 0) == rows[4].last_seq
    await careless.close()
