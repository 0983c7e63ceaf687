"""The pool on a real server: restarts go unnoticed, nobody waits for ever, and faults are told from mistakes."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.cursors import cursor
from app.storage.database import create_database_engine, is_database_fault, reading, writing


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


async def test_an_outage_is_a_fault_and_a_mistake_is_not(engine: AsyncEngine, module_database_url: str) -> None:
    async def fault_of(sql: str) -> BaseException:
        with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is what the test asks
            async with reading(engine) as connection:
                await connection.execute(text(sql))
        return caught.value

    assert is_database_fault(await fault_of("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert not is_database_fault(await fault_of("SELECT 1 / 0"))
    assert not is_database_fault(await fault_of("SELECT nothing"))

    nowhere = create_database_engine("postgresql://user:password@127.0.0.1:1/name", pool_size=1)
    with pytest.raises(OSError) as refused:  # noqa: PT011  # its number differs by platform
        await cursor(nowhere, 0)
    assert is_database_fault(refused.value)
    await nowhere.dispose()


async def test_who_finds_the_pool_empty_waits_for_a_bounded_time(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.database.POOL_WAIT_S", 0.1)
    engine = create_database_engine(module_database_url, pool_size=1)
    async with reading(engine):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is what the test asks
            await cursor(engine, 0)

    assert is_database_fault(caught.value)
    await engine.dispose()
