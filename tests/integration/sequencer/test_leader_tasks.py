"""What works beside the leader in the engine role: without one of these tasks nobody may lead."""

import asyncio
import random
from typing import Any

import pytest

from app.bootstrap import engine as role
from app.bootstrap.startup import EXIT_LOST, EXIT_OK
from app.bus.redis import RedisBus
from app.config import Settings
from app.domain.commands import CreateAccount
from app.sequencer import supervision
from app.sequencer.leases import Leases
from app.sequencer.publisher import Publisher
from app.storage.journal import Journal, JournalRow
from tests.database_roles import as_role
from tests.engine_process import linked, role_environment

pytestmark = pytest.mark.usefixtures("role_in_process")


@pytest.fixture
def settings(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an engine that runs in this process and leaves its signals and garbage alone."""
    monkeypatch.setattr(role, "spare_the_engine", lambda: None)
    shard = str(random.randrange(1_000, 2**15))
    for name, value in role_environment(
        as_role(database_url, "engine"), redis_url, ORDERWIRE_SHARD=shard, ORDERWIRE_ENGINE_PORT="0"
    ).items():
        monkeypatch.setenv(name, value)
    return Settings()


async def run(settings: Settings, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the engine role; returns its exit code."""
    monkeypatch.setattr(role, "stop_event", lambda: stop)
    async with asyncio.timeout(20):
        return await role.run_engine(settings, announce=lambda _: None)


async def test_a_leader_does_not_go_on_without_any_of_its_tasks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ValueError("a bug")

    for owner, name in (
        (role, "keep_lock"),
        (role, "keep_room"),
        (role, "watch_leader"),
        (Publisher, "run"),
        (Leases, "run"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, fail)
            assert await run(settings, asyncio.Event(), patched) == EXIT_LOST, name


async def test_a_leader_that_is_told_to_stop_ends_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()

    async def stopped_while_leading(*parts: Any) -> None:
        stop.set()
        await supervision.run_beside(*parts)

    monkeypatch.setattr(role, "run_beside", stopped_while_leading)
    assert await run(settings, stop, monkeypatch) == EXIT_OK


async def test_a_journal_that_is_slow_to_read_for_the_bus_keeps_no_command_waiting(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reading = Journal.rows, asyncio.Event()

    async def slow_for_the_bus(journal: Journal, after: int, limit: int, **bounds: int) -> list[JournalRow]:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "publisher":
            reading.set()
            await journal._answer(lambda connection: connection.execute("SELECT pg_sleep(60)"))
        return await read(journal, after, limit, **bounds)

    async def lost_everything(_: RedisBus) -> int:
        return 0

    monkeypatch.setattr(Journal, "rows", slow_for_the_bus)
    monkeypatch.setattr(RedisBus, "last_seq", lost_everything)
    for _ in range(2):
        stop = asyncio.Event()
        leading = asyncio.create_task(run(settings, stop, monkeypatch))
        async with linked(database_url, shard=settings.shard) as link:
            # The second leader starts at a head that the bus does not have.
            assert (await link.submit(CreateAccount("a"))).account_id is not None
        stop.set()
        assert await leading == EXIT_OK
    assert reading.is_set()
