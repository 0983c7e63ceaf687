"""The pool on a real server: restarts go unnoticed, nobody waits for ever, and faults are told from mistakes."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import JournalUnavailable
from app.storage.cursors import cursor
from app.storage.database import create_database_engine, reading, reading_one_moment, writing


async def terminate_all(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_connections_lost_while_idle_are_replaced_before_a_reader_notices(
    engine: AsyncEngine, module_database_url: str
) -> None:
    for _ in range(3):
        await asyncio.gather(*(cursor(engine, 0) for _ in range(3)))
        await terminate_all(module_database_url)
        await asyncio.sleep(0.05)

    assert await asyncio.gather(*(cursor(engine, 0) for _ in range(6))) == [0] * 6


async def test_a_read_is_one_round_trip(engine: AsyncEngine) -> None:
    """Neither BEGIN nor a ping: reads are the most frequent thing a replica does here."""
    await cursor(engine, 0)
    sent: list[str] = []
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        driver.add_query_logger(lambda record: sent.append(record.query))

    await cursor(engine, 0)

    assert [query for query in sent if not query.startswith("SELECT")] == []


async def test_a_write_that_fails_leaves_nothing(engine: AsyncEngine) -> None:
    async def write() -> None:
        async with writing(engine) as connection:
            await connection.execute(text("INSERT INTO assets VALUES ('XYZ', 2, 1)"))
            raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="mistake"):
        await write()

    async with reading(engine) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM assets")) == 0


async def run(engine: AsyncEngine, sql: str) -> None:
    async with reading(engine) as connection:
        await connection.execute(text(sql))


async def test_an_outage_has_its_name_and_a_mistake_keeps_its_own(engine: AsyncEngine) -> None:
    with pytest.raises(JournalUnavailable, match="administrator"):
        await run(engine, "SELECT pg_terminate_backend(pg_backend_pid())")
    for mistake in ("SELECT 1 / 0", "SELECT nothing"):
        with pytest.raises(DBAPIError):
            await run(engine, mistake)


async def test_no_server_is_an_outage_for_reads_snapshots_and_writes() -> None:
    nowhere = create_database_engine("postgresql://user:password@127.0.0.1:1/name", pool_size=1)
    for attempt in (reading(nowhere), reading_one_moment(nowhere), writing(nowhere)):
        with pytest.raises(JournalUnavailable, match="ConnectionRefused"):
            async with attempt:
                pass
    await nowhere.dispose()


async def test_a_server_that_is_starting_up_is_an_outage(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def starting(*_: object, **__: object) -> None:
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    engine = create_database_engine(module_database_url, pool_size=1)
    monkeypatch.setattr(asyncpg, "connect", starting)

    with pytest.raises(JournalUnavailable, match="starting up"):
        await cursor(engine, 0)

    await engine.dispose()


async def test_who_finds_the_pool_empty_waits_for_a_bounded_time(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.database.POOL_WAIT_S", 0.1)
    engine = create_database_engine(module_database_url, pool_size=1)
    async with reading(engine):
        with pytest.raises(JournalUnavailable):
            await cursor(engine, 0)
    await engine.dispose()
