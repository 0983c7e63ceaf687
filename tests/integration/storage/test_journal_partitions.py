"""The journal in parts: room is made ahead, and no reader notices where one part ends."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.storage.journal import PARTITIONS_AHEAD, Journal, JournalRow
from tests.database_roles import as_role
from tests.journal_rows import batch, chain

WIDTH = 256
COMMANDS = 100


@pytest.fixture
async def journal(module_database_url: str, shard: int) -> AsyncIterator[Journal]:
    """A journal as an engine's login opens it, with the smallest partitions."""
    journal = await Journal.connect(as_role(module_database_url, "engine"), shard, partition_commands=WIDTH)
    yield journal
    await journal.close()


@pytest.fixture
async def connection(module_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(module_database_url)
    yield connection
    await connection.close()


async def lead(journal: Journal) -> None:
    assert await journal.take_over(await journal.head(), owner="leader", address="", build="test") is not None


def rows_of(count: int) -> list[JournalRow]:
    return chain(batch(1 + number * COMMANDS, commands=COMMANDS) for number in range(count))


async def parts(connection: "asyncpg.Connection[asyncpg.Record]", shard: int) -> dict[str, int]:
    """Return the rows of each partition, by its name."""
    query = "SELECT tableoid::regclass::text, count(*) FROM journal WHERE shard = $1 GROUP BY 1 ORDER BY min(last_seq)"
    return {name: count for name, count in await connection.fetch(query, shard)}  # noqa: C416  # records, not pairs


async def test_rows_on_both_sides_of_a_border_are_read_as_one_journal(
    journal: Journal, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await journal.make_room()
    await lead(journal)
    rows = rows_of(12)
    for row in rows:
        await journal.append(row)

    held = await parts(connection, journal.shard)
    assert list(held) == [f"journal_parts.journal_{journal.shard}_{edge}" for edge in (0, 256, 512, 768, 1024)]
    assert list(held.values()) == [2, 3, 2, 3, 2]
    assert await journal.rows(0, 100) == rows
    for position, row in enumerate(rows):
        assert await journal.rows(row.last_seq, 3) == rows[position + 1 : position + 4]


async def test_room_is_made_ahead_of_the_head_and_no_further(
    journal: Journal, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first = await journal.make_room()
    assert first == (PARTITIONS_AHEAD + 1) * WIDTH
    assert await journal.make_room() == first

    await lead(journal)
    for row in rows_of(3):
        await journal.append(row)
    assert await journal.make_room() == first + WIDTH
    edges = await connection.fetch(
        "SELECT from_seq, to_seq FROM journal_partitions WHERE shard = $1 ORDER BY from_seq", journal.shard
    )
    assert [tuple(edge) for edge in edges] == [(edge, edge + WIDTH) for edge in range(0, first + WIDTH, WIDTH)]


async def test_an_append_without_room_makes_it_and_commits_once(journal: Journal) -> None:
    await lead(journal)
    rows = rows_of(10)
    for row in rows:
        await journal.append(row)

    assert await journal.rows(0, 100) == rows


async def test_two_who_make_room_at_once_make_the_same(module_database_url: str, shard: int) -> None:
    url = as_role(module_database_url, "engine")
    journals = [await Journal.connect(url, shard, partition_commands=WIDTH) for _ in range(4)]

    assert set(await asyncio.gather(*(journal.make_room() for journal in journals))) == {3 * WIDTH}
    for journal in journals:
        await journal.close()


async def test_an_open_reader_keeps_nobody_from_making_room_or_appending(
    journal: Journal, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await journal.make_room()
    await lead(journal)
    rows = rows_of(6)
    await journal.append(rows[0])
    async with connection.transaction():
        assert await connection.fetchval("SELECT count(*) FROM journal WHERE shard = $1", journal.shard) == 1
        async with asyncio.timeout(1.0):
            for row in rows[1:]:
                await journal.append(row)
            assert await journal.make_room() > 4 * WIDTH


@pytest.mark.parametrize("statement", ["UPDATE {} SET term = 9", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"])
async def test_a_partition_is_no_way_around_the_guard(
    journal: Journal, module_database_url: str, statement: str
) -> None:
    await journal.make_room()
    part = f"journal_parts.journal_{journal.shard}_0"
    for role in ("engine", "projector", "api"):
        stranger = await asyncpg.connect(as_role(module_database_url, role))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.execute(statement.format(part))
        await stranger.close()
    if "DROP" not in statement:
        owner = await asyncpg.connect(module_database_url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(statement.format(part))
        await owner.close()


async def test_an_engine_cannot_use_the_makers_rights_for_more(journal: Journal, module_database_url: str) -> None:
    await journal.make_room()
    engine = await asyncpg.connect(as_role(module_database_url, "engine"))
    for arguments in ("$1, 255, 2", "$1, 256, 9", "$1, 256, 0", "$1, NULL, 2"):
        with pytest.raises((asyncpg.InvalidParameterValueError, asyncpg.NotNullViolationError)):
            await engine.fetchval(f"SELECT extend_journal({arguments})", journal.shard)
    for other in ("projector", "api"):
        stranger = await asyncpg.connect(as_role(module_database_url, other))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.fetchval("SELECT extend_journal($1, 256, 2)", journal.shard)
        await stranger.close()
    # A table of the same name in front of ours must not be what the function sees.
    await engine.execute("CREATE TEMP TABLE journal_partitions (shard smallint, from_seq bigint, to_seq bigint)")
    assert await engine.fetchval("SELECT extend_journal($1, 256, 2)", journal.shard) == 3 * WIDTH
    assert await engine.fetchval("SELECT count(*) FROM journal_partitions") == 0
    await engine.close()
