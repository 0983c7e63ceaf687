"""The follower in the worker: proves the journal by replaying it, and writes what a restart begins with."""

import asyncio
import json
import random
import signal
import subprocess
import sys

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.commands import CreateAccount
from app.errors import JournalDamaged
from app.sequencer.follower import Follower
from app.storage import checkpoints
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.journal import Journal
from tests.database_roles import as_role
from tests.engine_process import EngineProcess, linked, role_environment, wait_for_term


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


async def newest(database: AsyncEngine, shard: int) -> int:
    """Return the sequence of the newest checkpoint, 0 if there is none."""
    async for checkpoint in checkpoints.load_newest_first(database, shard):
        return checkpoint.last_seq
    return 0


async def test_a_killed_leader_starts_from_the_followers_checkpoint(
    database_url: str, redis_url: str, shard: int
) -> None:
    database = create_database_engine(database_url, pool_size=1)
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)
    stop = asyncio.Event()
    with EngineProcess(database_url, redis_url, shard=shard) as engine:
        async with linked(database_url, shard=shard) as link:
            following = asyncio.create_task(Follower(journal, database, every_s=0.2).run(stop))
            for number in range(200):
                await link.submit(CreateAccount(f"account-{number}"))
            status = await link.status()
            async with asyncio.timeout(20):
                while await newest(database, shard) < status.engine_seq:  # noqa: ASYNC110  # polls the table
                    await asyncio.sleep(0.05)
            stop.set()
            await following
            engine.kill()
            engine.start()
            await wait_for_term(link, status.term + 1)
            again = await link.status()
            assert (again.engine_seq, again.state_hash) == (status.engine_seq, status.state_hash)
        engine.signal(signal.SIGINT)
        code, errors = engine.wait()
    assert code == 0
    assert '"replayed": 0' in errors
    await journal.close()
    await database.dispose()


async def test_a_damaged_row_stops_the_follower_and_is_named(database_url: str, redis_url: str, shard: int) -> None:
    database = create_database_engine(database_url, pool_size=1)
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            for number in range(5):
                await link.submit(CreateAccount(f"account-{number}"))
            damaged = (await link.status()).engine_seq - 1
    connection = await asyncpg.connect(database_url)
    # The journal refuses changes, so damage has to come from below.
    await connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
    await connection.execute(
        "UPDATE journal SET body = set_byte(body, 20, 255 - get_byte(body, 20)) WHERE shard = $1 AND last_seq = $2",
        shard,
        damaged,
    )
    await connection.close()
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)
    with pytest.raises(JournalDamaged, match=str(damaged)):
        await Follower(journal, database, every_s=0.01).run(asyncio.Event())
    assert await newest(database, shard) < damaged
    await journal.close()
    await database.dispose()


async def test_an_engine_does_not_lead_past_damage_and_names_the_sequence(
    database_url: str, redis_url: str, shard: int
) -> None:
    with EngineProcess(database_url, redis_url, shard=shard) as engine:
        async with linked(database_url, shard=shard) as link:
            last = await link.submit(CreateAccount("only"))
        engine.kill()
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "UPDATE shard_head SET head_hash = decode(repeat('ab', 32), 'hex') WHERE shard = $1", shard
        )
        await connection.close()
        engine.start()
        code, errors = engine.wait()
    assert code == 3
    assert f"sequence {last.engine_seq}" in errors.strip().splitlines()[-1]


async def test_replay_proves_a_journal_and_names_the_row_that_does_not_verify(
    database_url: str, redis_url: str, shard: int
) -> None:
    environment = role_environment(as_role(database_url, "projector"), redis_url, ORDERWIRE_SHARD=str(shard))
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            for number in range(20):
                await link.submit(CreateAccount(f"account-{number}"))
            status = await link.status()
    proven = json.loads(replay(environment).stdout)
    assert (proven["last_seq"], proven["state_hash"]) == (status.engine_seq, status.state_hash)
    earlier = json.loads(replay(environment, "--to", "7").stdout)
    assert earlier["last_seq"] == 7
    assert earlier["state_hash"] != status.state_hash
    beyond = replay(environment, "--to", "99999")
    assert (beyond.returncode, beyond.stdout) == (3, "")
    assert f"the journal ends at {status.engine_seq}" in beyond.stderr
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
    await connection.execute("DELETE FROM journal WHERE shard = $1 AND last_seq = 9", shard)
    await connection.close()
    broken = replay(environment)
    assert broken.returncode == 3
    assert "expected a row from sequence 9" in broken.stderr


def replay(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run `orderwire replay --verify`."""
    command = [sys.executable, "-m", "app", "replay", "--verify", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
