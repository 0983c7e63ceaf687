"""`orderwire journal prune`: only what nobody needs any more goes, and what is left serves as before."""

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from app.bootstrap.journal_prune import Pruned, prune_journal
from app.config import Settings
from app.domain.commands import CreateAccount
from app.errors import StartupError
from app.projections.runner import ProjectionRunner
from app.storage.cursors import CoreCursor
from app.storage.database import create_database_engine
from app.storage.journal import Journal
from tests.database_roles import as_role
from tests.engine_process import SECRETS, EngineProcess, linked, role_environment, wait_for_term
from tests.integration.storage.test_journal_files import orderwire

WIDTH = "256"
ACCOUNTS = 700


class Stored(NamedTuple):
    """A journal of several partitions, and the environments of the roles that work on it."""

    url: str
    shard: int
    head_seq: int
    state_hash: str
    engine: EngineProcess
    migrator: dict[str, str]
    projector: dict[str, str]
    folder: Path

    async def prune(self, before: int, export: str, *, role: str = "migrator") -> Pruned:
        """Prune with a role's login."""
        values: dict[str, Any] = {**SECRETS, "DATABASE_URL": as_role(self.url, role), "REDIS_URL": "redis://127.0.0.1"}
        settings = Settings(_env_file=None, shard=self.shard, **values)
        return await prune_journal(settings, before=before, export=self.folder / export)

    async def refusal(self, before: int, export: str, *, role: str = "migrator") -> str:
        """Return the one line with which it refuses."""
        with pytest.raises(StartupError) as refused:
            await self.prune(before, export, role=role)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def export(self, name: str, *options: str) -> dict[str, int]:
        """Export with a reader's login; returns what the command said."""
        done = orderwire(self.projector, "journal", "export", str(self.folder / name), *options)
        assert done.returncode == 0, done.stderr
        moved: dict[str, int] = json.loads(done.stdout)
        return moved

    async def rows(self) -> int:
        """Return how many rows the journal holds."""
        connection = await asyncpg.connect(self.url)
        try:
            count: int = await connection.fetchval("SELECT count(*) FROM journal WHERE shard = $1", self.shard)
        finally:
            await connection.close()
        return count


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


@pytest.fixture
def engine(database_url: str, redis_url: str, shard: int) -> Iterator[EngineProcess]:
    engine = EngineProcess(database_url, redis_url, shard=shard, ORDERWIRE_JOURNAL_PARTITION=WIDTH)
    yield engine
    engine.kill()


@pytest.fixture
async def stored(database_url: str, redis_url: str, shard: int, engine: EngineProcess, tmp_path: Path) -> Stored:
    engine.start()
    async with linked(database_url, shard=shard) as link:
        for start in range(0, ACCOUNTS, 50):
            await asyncio.gather(*(link.submit(CreateAccount(f"account-{start + n}")) for n in range(50)))
        status = await link.status()
    migrator, projector = (
        role_environment(as_role(database_url, role), redis_url, ORDERWIRE_SHARD=str(shard))
        for role in ("migrator", "projector")
    )
    return Stored(database_url, shard, status.engine_seq, status.state_hash, engine, migrator, projector, tmp_path)


async def project(stored: Stored) -> None:
    """Project the whole journal, as the worker does."""
    stop, database = asyncio.Event(), create_database_engine(stored.url, pool_size=1)
    running = asyncio.create_task(ProjectionRunner(as_role(stored.url, "projector"), stored.shard).run(stop))
    await CoreCursor(database, stored.shard).wait(stored.head_seq, 20.0)
    stop.set()
    await running
    await database.dispose()


def stop_engine(stored: Stored) -> None:
    """Stop the engine cleanly: it writes a checkpoint at the head."""
    stored.engine.signal(signal.SIGTERM)
    code, errors = stored.engine.wait()
    assert code == 0, errors


async def test_what_anybody_needs_is_refused_and_nothing_goes(stored: Stored, other_database_url: str) -> None:
    before, rows = stored.head_seq, await stored.rows()
    stored.export("whole")
    stored.export("early", "--to", "200")
    stored.export("late", "--from", "100")

    assert "the projection core is at sequence 0" in await stored.refusal(before, "whole")
    await project(stored)
    assert "there is no checkpoint" in await stored.refusal(before, "whole")
    stop_engine(stored)
    assert "does not hold the row at sequence" in await stored.refusal(before, "early")
    assert "the journal with 1" in await stored.refusal(before, "late")
    assert "cannot read" in await stored.refusal(before, "missing")
    damaged = bytearray((stored.folder / "whole").read_bytes())
    damaged[-40] ^= 1
    (stored.folder / "damaged").write_bytes(damaged)
    assert "does not verify" in await stored.refusal(before, "damaged")
    assert "no whole partition" in await stored.refusal(255, "whole")
    assert f"its head is {stored.head_seq}" in await stored.refusal(before + 1, "whole")
    assert "must be owner of table journal" in await stored.refusal(before, "whole", role="engine")
    connection = await asyncpg.connect(stored.url)
    await connection.execute("UPDATE checkpoints SET body = set_byte(body, 20, get_byte(body, 20) # 1)")
    await connection.close()
    assert "does not restore" in await stored.refusal(before, "whole")

    assert await stored.rows() == rows


async def test_a_pruned_journal_leads_follows_and_replays_and_its_exports_restore_it_whole(
    stored: Stored, other_database_url: str, redis_url: str
) -> None:
    whole = stored.export("whole")
    await project(stored)
    stop_engine(stored)

    path = str(stored.folder / "whole")
    done = orderwire(stored.migrator, "journal", "prune", "--before", str(stored.head_seq), "--export", path)
    pruned = json.loads(done.stdout)
    assert pruned["partitions"] == 2
    journal = await Journal.connect(stored.url, stored.shard)
    first = (await journal.rows(0, 1))[0]
    assert (first.first_seq, pruned["last_seq"]) == (pruned["last_seq"] + 1, first.first_seq - 1)
    assert first.last_seq >= 512

    stored.engine.start()
    async with linked(stored.url, shard=stored.shard) as link:
        assert (await link.submit(CreateAccount("account-7"))).duplicate
        stored.engine.kill()
        stored.engine.start()
        await wait_for_term(link, 3)
        assert (await link.submit(CreateAccount("account-8"))).duplicate
        status = await link.status()
    stored.engine.kill()
    replayed = orderwire(stored.projector, "replay", "--verify")
    assert json.loads(replayed.stdout)["state_hash"] == status.state_hash, replayed.stderr

    rest = stored.export("rest", "--from", str(whole["last_seq"] + 1))
    kept = stored.export("kept")
    assert (kept["first_seq"], kept["last_seq"]) == (first.first_seq, rest["last_seq"])
    assert orderwire(stored.projector, "journal", "export", str(stored.folder / "x"), "--from", "1").returncode == 3
    files = [str(stored.folder / name) for name in ("whole", "rest")]
    target = role_environment(
        as_role(other_database_url, "engine"),
        redis_url,
        ORDERWIRE_SHARD=str(stored.shard),
        ORDERWIRE_JOURNAL_PARTITION=WIDTH,
    )
    assert "of another history" in orderwire(target, "journal", "import", files[0], str(stored.folder / "kept")).stderr
    imported = orderwire(target, "journal", "import", *files)
    assert json.loads(imported.stdout)["last_seq"] == rest["last_seq"], imported.stderr
    proven = json.loads(orderwire(target, "replay", "--verify").stdout)
    assert (proven["first_seq"], proven["state_hash"]) == (1, status.state_hash)
    await journal.close()


async def test_an_interrupted_prune_is_completed_by_the_next(stored: Stored) -> None:
    stored.export("whole")
    await project(stored)
    stop_engine(stored)
    connection = await asyncpg.connect(stored.url)
    await connection.execute(f"ALTER TABLE journal DETACH PARTITION journal_parts.journal_{stored.shard}_0")
    await connection.close()

    assert (await stored.prune(stored.head_seq, "whole")).partitions == 2

    connection = await asyncpg.connect(stored.url)
    left = await connection.fetch("SELECT from_seq FROM journal_partitions WHERE shard = $1", stored.shard)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'journal_parts'")
    await connection.close()
    assert {row[0] for row in tables} == {f"journal_{stored.shard}_{row[0]}" for row in left}
    assert min(row[0] for row in left) == 512
