"""From one engine version to the next: a clean stop leaves the checkpoint from which the newer build goes on."""

import json
import random
import signal
import subprocess
import sys

import pytest

from app.domain.commands import CreateAccount
from app.engine.engine import ENGINE_VERSION
from app.link.client import LinkClient
from app.link.frames import EngineStatus
from tests.database_roles import as_role
from tests.engine_process import EngineProcess, linked, role_environment, wait_for_term
from tests.newer_engine import NEWER_VERSION

OLD, NEW = "app", "tests.newer_engine"


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


class Place:
    """A shard's engines of both builds, and `orderwire` of both."""

    def __init__(self, database_url: str, redis_url: str, shard: int) -> None:
        self._urls = database_url, redis_url
        self._shard = shard

    def engine(self, build: str) -> EngineProcess:
        """Return an engine of a build, not started."""
        return EngineProcess(*self._urls, shard=self._shard, module=build)

    def replay(self, build: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `orderwire replay --verify` of a build."""
        database_url, redis_url = self._urls
        environment = role_environment(as_role(database_url, "projector"), redis_url, ORDERWIRE_SHARD=str(self._shard))
        command = [sys.executable, "-m", build, "replay", "--verify", *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def place(database_url: str, redis_url: str, shard: int) -> Place:
    return Place(database_url, redis_url, shard)


async def create(link: LinkClient, name: str) -> None:
    """Journal five accounts."""
    for number in range(5):
        await link.submit(CreateAccount(f"{name}-{number}"))


def refused(engine: EngineProcess) -> str:
    """Start an engine that must not lead; returns its last line."""
    engine.start()
    code, errors = engine.wait()
    assert code == 3
    return errors.strip().splitlines()[-1]


async def killed_after_five(database_url: str, shard: int, place: Place) -> EngineStatus:
    """Let the old build journal five accounts and kill it; returns where it stood."""
    with place.engine(OLD) as engine:
        async with linked(database_url, shard=shard) as link:
            await create(link, "old")
            status = await link.status()
        engine.kill()
    return status


async def test_a_newer_engine_goes_on_from_a_clean_stop_and_the_older_one_never_again(
    database_url: str, shard: int, place: Place
) -> None:
    old, new, standby = place.engine(OLD), place.engine(NEW), place.engine(NEW)
    with old:
        async with linked(database_url, shard=shard) as link:
            await create(link, "old")
            before = await link.status()
            old.signal(signal.SIGTERM)
            assert old.wait()[0] == 0
            with new, standby:
                await wait_for_term(link, before.term + 1)
                taken = await link.status()
                assert taken.engine_seq == before.engine_seq
                assert (before.engine_version, taken.engine_version) == (ENGINE_VERSION, NEWER_VERSION)
                await create(link, "new")
                # Killed before any of them wrote a checkpoint: the old one's is still what they go on from.
                term = (await link.status()).term
                for killed in (new, standby):
                    killed.kill()
                for started in (new, standby):
                    started.start()
                await wait_for_term(link, term + 1)
                await create(link, "again")
                after = await link.status()
        assert f"is of engine version {NEWER_VERSION}, this build replays {ENGINE_VERSION}" in refused(old)
    proven = json.loads(place.replay(NEW).stdout)
    assert (proven["first_seq"], proven["last_seq"]) == (before.engine_seq + 1, after.engine_seq)
    assert proven["state_hash"] == after.state_hash
    older = place.replay(OLD, "--to", str(before.engine_seq))
    assert json.loads(older.stdout)["state_hash"] == before.state_hash


async def test_a_newer_engine_refuses_rows_that_the_older_one_did_not_close_with_a_checkpoint(
    database_url: str, shard: int, place: Place
) -> None:
    before = await killed_after_five(database_url, shard, place)
    reason = refused(place.engine(NEW))
    assert f"is of engine version {ENGINE_VERSION}, this build replays {NEWER_VERSION}" in reason
    assert "a clean stop of the old build" in reason
    assert place.replay(NEW).returncode == 3
    # What a restored journal needs too: the build that wrote the rows proves them and leaves its checkpoint.
    kept = place.replay(OLD, "--checkpoint")
    assert json.loads(kept.stdout)["state_hash"] == before.state_hash
    with place.engine(NEW):
        async with linked(database_url, shard=shard) as link:
            await create(link, "new")
            status = await link.status()
            assert (status.engine_version, status.engine_seq) == (NEWER_VERSION, before.engine_seq + 5)


async def test_of_the_three_checkpoints_kept_the_newer_build_starts_at_the_one_that_its_own_rows_follow(
    database_url: str, shard: int, place: Place
) -> None:
    before = await killed_after_five(database_url, shard, place)
    for end in range(before.engine_seq - 2, before.engine_seq + 1):
        assert place.replay(OLD, "--checkpoint", "--to", str(end)).returncode == 0
    behind = place.replay(OLD, "--checkpoint", "--to", "2")
    assert behind.returncode == 3
    assert "was not kept: there are 3 newer ones" in behind.stderr
    with place.engine(NEW) as engine:
        async with linked(database_url, shard=shard) as link:
            await create(link, "new")
            after = await link.status()
        engine.kill()
    proven = json.loads(place.replay(NEW).stdout)
    assert (proven["first_seq"], proven["state_hash"]) == (before.engine_seq + 1, after.state_hash)
