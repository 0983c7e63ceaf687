"""`orderwire journal export` and `import`: a journal moves to another database and is the same there."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain.commands import CreateAccount
from tests.database_roles import as_role
from tests.engine_process import EngineProcess, linked, role_environment

ACCOUNTS = 30


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


def orderwire(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def test_an_exported_journal_is_the_same_in_another_database(
    database_url: str, other_database_url: str, redis_url: str, shard: int, tmp_path: Path
) -> None:
    source = role_environment(as_role(database_url, "projector"), redis_url, ORDERWIRE_SHARD=str(shard))
    target = role_environment(as_role(other_database_url, "engine"), redis_url, ORDERWIRE_SHARD=str(shard))
    file = tmp_path / "journal"
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            for number in range(ACCOUNTS):
                await link.submit(CreateAccount(f"account-{number}"))
            status = await link.status()
        exported = json.loads(orderwire(source, "journal", "export", str(file)).stdout)
    assert (exported["first_seq"], exported["last_seq"]) == (1, status.engine_seq)
    assert os.listdir(tmp_path) == ["journal"]

    assert json.loads(orderwire(target, "journal", "import", str(file)).stdout) == exported
    proven = json.loads(orderwire(target, "replay", "--verify").stdout)
    assert (proven["last_seq"], proven["state_hash"]) == (status.engine_seq, status.state_hash)
    with EngineProcess(other_database_url, redis_url, shard=shard):
        async with linked(other_database_url, shard=shard) as link:
            assert (await link.submit(CreateAccount("account-7"))).duplicate

    again = orderwire(target, "journal", "import", str(file))
    assert (again.returncode, again.stdout) == (3, "")
    assert f"shard {shard} has a journal up to sequence" in again.stderr


async def test_a_damaged_or_partial_file_imports_nothing(
    database_url: str, other_database_url: str, redis_url: str, shard: int, tmp_path: Path
) -> None:
    source = role_environment(as_role(database_url, "projector"), redis_url, ORDERWIRE_SHARD=str(shard))
    target = role_environment(as_role(other_database_url, "engine"), redis_url, ORDERWIRE_SHARD=str(shard))
    whole, damaged, part = (tmp_path / name for name in ("whole", "damaged", "part"))
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            for number in range(ACCOUNTS):
                await link.submit(CreateAccount(f"account-{number}"))
            last = await link.status()
        assert orderwire(source, "journal", "export", str(whole)).returncode == 0
        partial = json.loads(orderwire(source, "journal", "export", str(part), "--from", "5", "--to", "9").stdout)
        beyond = orderwire(source, "journal", "export", str(tmp_path / "beyond"), "--to", "9999")
    assert (partial["first_seq"], partial["last_seq"]) == (5, 9)
    assert beyond.returncode == 3
    assert f"the journal ends at {last.engine_seq}" in beyond.stderr
    data = bytearray(whole.read_bytes())
    data[-40] ^= 1
    damaged.write_bytes(data)
    for file, reason in ((damaged, "sequence"), (part, "from 5 on"), (tmp_path / "missing", "cannot read")):
        refused = orderwire(target, "journal", "import", str(file))
        assert refused.returncode == 3
        assert reason in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    assert json.loads(orderwire(target, "journal", "import", str(whole)).stdout)["last_seq"] == last.engine_seq
