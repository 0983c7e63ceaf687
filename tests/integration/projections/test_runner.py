"""The projection runner on a real server: it follows, survives outages, and stops at damage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import ApiError, BusUnavailable, JournalDamaged
from app.projections.runner import ProjectionRunner
from app.storage.cursors import CoreCursor, cursor
from app.storage.database import create_database_engine
from app.storage.journal import Journal, JournalRow
from tests.integration.storage.proxy import Fault, proxy_before
from tests.journal_rows import batch, chain
from tests.market_stream import MarketStream
from tests.projected_tables import assert_projected

PATIENCE_S = 20.0
"""Bound of every wait: far more than it takes, so that only what never comes fails."""


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_database_engine(database_url, pool_size=2)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    journal = await Journal.connect(database_url, 0)
    await journal.take_over(await journal.head(), owner="leader", address="", build="test")
    yield journal
    await journal.close()


@asynccontextmanager
async def running(runner: ProjectionRunner) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    yield task
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        await task


def rows_of(stream: MarketStream, batches: int) -> list[JournalRow]:
    return chain([stream.genesis(), *(stream.batch(5) for _ in range(batches))])


async def reached(engine: AsyncEngine, sequence: int) -> int:
    """Wait for a sequence; returns the cursor then."""
    await CoreCursor(engine, 0).wait(sequence, PATIENCE_S)
    return await cursor(engine, 0)


async def test_it_follows_the_journal_and_stops_when_told(
    engine: AsyncEngine, journal: Journal, database_url: str
) -> None:
    stream = MarketStream(seed=1)
    rows = rows_of(stream, 40)
    for row in rows[:20]:
        await journal.append(row)

    async with running(ProjectionRunner(database_url, 0)):
        for row in rows[20:]:
            await journal.append(row)
            assert await reached(engine, row.last_seq) >= row.last_seq

    await assert_projected(engine, stream)


async def test_who_waits_longer_than_allowed_is_told_so(engine: AsyncEngine) -> None:
    with pytest.raises(ApiError) as refused:
        await CoreCursor(engine, 0).wait(7, timeout_s=0.05)

    assert refused.value.code == "not_caught_up"
    assert (refused.value.limit, refused.value.actual) == ("7", "0")


@pytest.mark.parametrize("away", [False, True], ids=["bus there", "bus away"])
async def test_a_hint_wakes_it_and_a_failing_hint_does_no_harm(
    engine: AsyncEngine, journal: Journal, database_url: str, away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the hint it would sleep through the whole test.
    monkeypatch.setattr("app.projections.runner.HINTED_POLL_S", 600.0)
    news: asyncio.Queue[None] = asyncio.Queue()

    async def hint() -> None:
        if away:
            raise BusUnavailable("the bus is away")
        await news.get()

    async with running(ProjectionRunner(database_url, 0, hint=hint)):
        await reached(engine, 0)
        for row in chain(batch(sequence) for sequence in range(1, 6)):
            await journal.append(row)
            news.put_nowait(None)
            assert await reached(engine, row.last_seq) == row.last_seq


async def test_a_lost_hint_only_costs_a_poll(engine: AsyncEngine, journal: Journal, database_url: str) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async with running(ProjectionRunner(database_url, 0, hint=never)):
        for row in chain(batch(sequence) for sequence in range(1, 4)):
            await journal.append(row)
            assert await reached(engine, row.last_seq) == row.last_seq


async def disturbed(disturb: Callable[[], Awaitable[None]], journal: Journal, rows: list[JournalRow]) -> None:
    for number, row in enumerate(rows):
        await journal.append(row)
        if number % 10 == 9:
            await disturb()


async def test_it_survives_its_backends_being_terminated(
    engine: AsyncEngine, journal: Journal, database_url: str
) -> None:
    stream = MarketStream(seed=2)
    rows = rows_of(stream, 60)
    administrator = await asyncpg.connect(database_url)

    async def terminate() -> None:
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND application_name = ANY ($1)",
            ["orderwire projector", "orderwire journal"],
        )

    async with running(ProjectionRunner(database_url, 0)):
        await disturbed(terminate, journal, rows)
        await reached(engine, rows[-1].last_seq)

    await administrator.close()
    await assert_projected(engine, stream)


async def test_it_survives_lost_messages_and_a_server_that_is_away(
    engine: AsyncEngine, journal: Journal, database_url: str
) -> None:
    stream = MarketStream(seed=3)
    rows = rows_of(stream, 60)
    async with proxy_before(database_url) as (proxy, url):

        async def cut() -> None:
            # The second and later losses meet the reconnects: the server is away for a while.
            proxy.arm(Fault.CUT_AFTER, *[Fault.CUT_BEFORE] * 3)
            await asyncio.sleep(0.01)

        async with running(ProjectionRunner(url, 0)):
            await disturbed(cut, journal, rows)
            await reached(engine, rows[-1].last_seq)
        assert proxy.faults > 15

    await assert_projected(engine, stream)


async def test_it_stops_in_bounded_time_although_the_server_is_silent(journal: Journal, database_url: str) -> None:
    await journal.append(chain([batch(1)])[0])
    async with proxy_before(database_url) as (proxy, url):
        proxy.arm(*[Fault.DELAY] * 10)
        async with running(ProjectionRunner(url, 0)):
            await proxy.faulted.wait()
        proxy.release()


async def test_damage_in_the_journal_stops_it_and_names_the_sequence(
    engine: AsyncEngine, journal: Journal, database_url: str
) -> None:
    rows = chain(batch(sequence) for sequence in range(1, 6))
    for row in rows:
        await journal.append(row)
    administrator = await asyncpg.connect(database_url)
    await administrator.execute("ALTER TABLE journal DISABLE TRIGGER journal_append_only")
    await administrator.execute("UPDATE journal SET body = set_byte(body, 9, get_byte(body, 9) # 1) WHERE last_seq = 4")
    await administrator.close()

    with pytest.raises(JournalDamaged, match="sequence 4"):
        await ProjectionRunner(database_url, 0).run(asyncio.Event())

    assert await cursor(engine, 0) == 0
