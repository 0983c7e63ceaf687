"""Stored bytes are flipped, cut off, swapped and removed: every damage is found, and its sequence named."""

import random
import re
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import asyncpg
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine.engine import ENGINE_VERSION, Engine
from app.errors import JournalDamaged
from app.protocol.records import GENESIS_HASH, chain_hash, decode_header
from app.sequencer.recovery import Recovered, recover, restore_newest, save_checkpoint
from app.storage import checkpoints
from app.storage.checkpoints import Checkpoint
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.journal import Journal, JournalRow
from tests.chaos.conftest import SEED, rounds
from tests.replay.journals import apply_row, record_journal

COMMANDS = 200
SHARD = 77
CHECKPOINTS = 3


class Stored(NamedTuple):
    """A journal with checkpoints, and the state it stands for."""

    journal: Journal
    database: AsyncEngine
    connection: "asyncpg.Connection[asyncpg.Record]"
    rows: list[JournalRow]
    state_hash: bytes


class Damage(NamedTuple):
    """A statement that damages stored rows, the statements' arguments, and the sequences that may be named for it."""

    statement: str
    arguments: tuple[object, ...]
    named: set[int]


@pytest.fixture
async def stored(empty_database: str) -> AsyncIterator[Stored]:
    journal = await Journal.connect(asyncpg_dsn(empty_database), SHARD)
    database = create_database_engine(empty_database, pool_size=1)
    connection = await asyncpg.connect(empty_database)
    await journal.take_over(await journal.head(), owner="test", address="", build="")
    engine, rows, previous = Engine(), [], GENESIS_HASH
    recorded = record_journal(SEED, COMMANDS)
    for number, recorded_row in enumerate(recorded, 1):
        body = apply_row(engine, recorded_row)
        header = decode_header(body)
        row = JournalRow(
            header.last_seq, header.first_seq, header.term, previous, chain_hash(previous, body), ENGINE_VERSION,
            header.timestamp_ns, body,
        )  # fmt: skip
        await journal.append(row)
        previous = row.hash
        rows.append(row)
        if number % (len(recorded) // (CHECKPOINTS + 1)) == 0 and number < len(recorded):
            await save_checkpoint(database, SHARD, Recovered(engine, row.hash, 0))
    # The journal refuses changes, so damage has to come from below.
    await connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
    yield Stored(journal, database, connection, rows, engine.state_hash())
    await connection.close()
    await journal.close()
    await database.dispose()


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one bit turned."""
    at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def shortened(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes without their end."""
    return data[: rng.randrange(len(data))]


def row_damage(rows: list[JournalRow], rng: random.Random) -> Damage:
    """Return some damage of the journal."""
    at = rng.randrange(len(rows) - 1)
    row, following = rows[at], rows[at + 1]
    near = {row.first_seq, row.last_seq}
    kind = rng.choice(("flip", "cut", "hash", "prev_hash", "column", "swap", "remove"))
    if kind in ("flip", "cut"):
        changed = (flipped if kind == "flip" else shortened)(row.body, rng)
        return Damage("UPDATE journal SET body = $2 WHERE last_seq = $1", (row.last_seq, changed), near)
    if kind in ("hash", "prev_hash"):
        changed = flipped(getattr(row, kind), rng)
        return Damage(f"UPDATE journal SET {kind} = $2 WHERE last_seq = $1", (row.last_seq, changed), near)  # noqa: S608  # constant columns
    if kind == "column":
        name = rng.choice(("term", "engine_version", "timestamp_ns", "first_seq"))
        return Damage(f"UPDATE journal SET {name} = {name} + 1 WHERE last_seq = $1", (row.last_seq,), near)  # noqa: S608  # constant columns
    if kind == "swap":
        bodies = "CASE last_seq WHEN $1 THEN $4::bytea ELSE $3::bytea END"
        swap = f"UPDATE journal SET body = {bodies} WHERE last_seq IN ($1, $2)"  # noqa: S608  # constant columns
        return Damage(swap, (row.last_seq, following.last_seq, row.body, following.body), near)
    return Damage("DELETE FROM journal WHERE last_seq = $1", (row.last_seq,), near | {following.first_seq})


async def mended(stored: Stored) -> None:
    """Put the journal back as it was."""
    await stored.connection.execute("DELETE FROM journal")
    await stored.connection.copy_records_to_table(
        "journal",
        columns=("shard", *JournalRow._fields),
        records=[(SHARD, *row) for row in stored.rows],
    )


async def no_checkpoints() -> AsyncIterator[Checkpoint]:
    """Yield nothing: everything is replayed."""
    nothing: list[Checkpoint] = []
    for checkpoint in nothing:
        yield checkpoint


async def test_every_damage_of_the_journal_is_found_and_named(stored: Stored) -> None:
    rng = random.Random(SEED)
    head = await stored.journal.head()
    assert (await recover(stored.journal, no_checkpoints(), head)).engine.state_hash() == stored.state_hash
    for _ in range(rounds(40, 700)):
        damage = row_damage(stored.rows, rng)
        await stored.connection.execute(damage.statement, *damage.arguments)
        with pytest.raises(JournalDamaged) as raised:
            await recover(stored.journal, no_checkpoints(), head)
        named = {int(number) for number in re.findall(r"\d+", str(raised.value))}
        assert named & damage.named, f"{damage.statement}: expected one of {damage.named} in {raised.value}"
        await mended(stored)
    assert (await recover(stored.journal, no_checkpoints(), head)).engine.state_hash() == stored.state_hash


@pytest.mark.parametrize("change", [flipped, shortened])
async def test_a_damaged_checkpoint_is_named_and_an_older_one_serves(
    stored: Stored, change: Callable[[bytes, random.Random], bytes]
) -> None:
    rng = random.Random(SEED)
    head = await stored.journal.head()
    newest = await anext(checkpoints.load_newest_first(stored.database, SHARD))
    for _ in range(rounds(10, 150)):
        column = rng.choice(("body", "state_hash"))
        changed = change(getattr(newest, column), rng)
        statement = f"UPDATE checkpoints SET {column} = $1 WHERE last_seq = $2"  # noqa: S608  # constant columns
        await stored.connection.execute(statement, changed, newest.last_seq)
        with structlog.testing.capture_logs() as logs:
            engine, _ = await restore_newest(checkpoints.load_newest_first(stored.database, SHARD), head.head_seq)
        assert [entry["last_seq"] for entry in logs if entry["event"] == "checkpoint_refused"] == [newest.last_seq]
        assert 0 < engine.state.sequence < newest.last_seq
        recovered = await recover(stored.journal, checkpoints.load_newest_first(stored.database, SHARD), head)
        assert recovered.engine.state_hash() == stored.state_hash
        await stored.connection.execute(statement, getattr(newest, column), newest.last_seq)


async def test_a_checkpoint_of_another_history_is_refused(stored: Stored) -> None:
    """A whole and valid checkpoint that names another row than the journal has."""
    head = await stored.journal.head()
    newest = await anext(checkpoints.load_newest_first(stored.database, SHARD))
    await stored.connection.execute(
        "UPDATE checkpoints SET row_hash = $1 WHERE last_seq = $2", stored.rows[0].hash, newest.last_seq
    )
    with pytest.raises(JournalDamaged) as raised:
        await recover(stored.journal, checkpoints.load_newest_first(stored.database, SHARD), head)
    following = next(row for row in stored.rows if row.first_seq == newest.last_seq + 1)
    assert str(following.last_seq) in str(raised.value)
