"""Who leads and when, with real locks and a real head row; and the engine role run inside this process."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.bootstrap import engine as engine_module
from app.config import Settings
from app.domain.commands import CreateAccount
from app.sequencer import leadership
from app.sequencer.leadership import Elected, beating, become_leader, keep_lock
from app.sequencer.recovery import Recovered
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal
from app.storage.leader_lock import LeaderLock, lock_key
from tests.database_roles import as_role
from tests.engine_process import linked, role_environment

pytestmark = pytest.mark.usefixtures("role_in_process")

LED_WAIT_S = 5.0


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


class Candidate:
    """What an engine competes with."""

    def __init__(self, journal: Journal, lock: LeaderLock) -> None:
        self.journal = journal
        self.lock = lock

    async def elected(self, is_ready: Callable[[], bool] | None = None) -> Elected:
        """Wait until it leads."""
        return await become_leader(
            self.journal, self.lock, address="127.0.0.1:1", build="test", is_ready=is_ready or (lambda: True)
        )


@pytest.fixture
async def candidates(database_url: str, shard: int) -> AsyncIterator[list[Candidate]]:
    """Three that could lead."""
    dsn = asyncpg_dsn(database_url)
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            journal, lock = await Journal.connect(dsn, shard), await LeaderLock.connect(dsn, shard)
            stack.push_async_callback(journal.close)
            stack.push_async_callback(lock.close)
            found.append(Candidate(journal, lock))
        yield found


async def test_an_engine_that_has_yet_to_restore_leaves_the_lead_to_others(candidates: list[Candidate]) -> None:
    """It would lead without a beat, until somebody takes it for dead."""
    early, ready = candidates[:2]
    is_ready = False
    starting = asyncio.create_task(early.elected(lambda: is_ready))
    try:
        await asyncio.sleep(4 * leadership.POLL_S)
        assert (await ready.journal.head()).term == 0
        async with asyncio.timeout(LED_WAIT_S):
            taken = (await ready.elected()).head
        assert taken.term == 1
        await ready.lock.close()
        is_ready = True
        async with asyncio.timeout(LED_WAIT_S):
            assert (await starting).head.term == 2
    finally:
        starting.cancel()


async def test_a_leader_beats_while_it_catches_up(candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "BEAT_IDLE_S", 0.01)
    leader, other = candidates[:2]
    taken = (await leader.elected()).head
    async with beating(leader.journal, taken), asyncio.timeout(LED_WAIT_S):
        while (await other.journal.head()).beat < taken.beat + 3:  # noqa: ASYNC110  # polls the head row
            await asyncio.sleep(0.01)
    after = await other.journal.head()
    await asyncio.sleep(0.05)
    assert await other.journal.head() == after


async def test_a_frozen_leader_that_wakes_and_ends_takes_nobody_along(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock falls free while another leads that it knows nothing of."""
    monkeypatch.setattr(leadership, "BEAT_IDLE_S", 0.02)
    monkeypatch.setattr(leadership, "BEAT_STILL_S", 0.4)
    monkeypatch.setattr(leadership, "LOCK_CHECK_S", LED_WAIT_S)
    frozen, second, standby = candidates
    async with asyncio.timeout(LED_WAIT_S):
        await frozen.elected()
        taken = (await second.elected()).head
    assert taken.term == 2
    holding = asyncio.create_task(keep_lock(second.lock))
    async with beating(second.journal, taken):
        competing = asyncio.create_task(standby.elected())
        await asyncio.sleep(4 * leadership.POLL_S)
        await frozen.lock.close()
        await asyncio.sleep(8 * leadership.POLL_S)
        assert not competing.done(), "a leader that beats was deposed"
        # Its own lock counts.
        holding.cancel()
        await second.lock.close()
        async with asyncio.timeout(LED_WAIT_S):
            assert (await competing).head.term == 3


async def test_those_that_look_at_a_lock_do_not_take_each_other_for_its_owner(
    candidates: list[Candidate], database_url: str
) -> None:
    owner, first, _ = candidates
    key = lock_key(owner.lock.owner)
    assert key is not None
    assert not (await first.lock.probe(key)).free
    await owner.lock.close()
    other = await asyncpg.connect(asyncpg_dsn(database_url))
    try:
        # In the middle of its look: it holds what a look holds.
        await other.execute("SELECT pg_advisory_lock_shared($1)", key)
        assert (await first.lock.probe(key)).free
    finally:
        await other.close()
    assert await owner.lock.try_acquire()
    assert not (await first.lock.probe(key)).free


async def test_a_server_that_ends_idle_sessions_leaves_the_lock(database_url: str, shard: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f'ALTER DATABASE "{urlsplit(database_url).path[1:]}" SET idle_session_timeout = 50')
    finally:
        await connection.close()
    lock, other = [await LeaderLock.connect(asyncpg_dsn(database_url), shard) for _ in range(2)]
    try:
        await asyncio.sleep(0.3)
        key = lock_key(lock.owner)
        assert key is not None
        assert not (await other.probe(key)).free
        assert lock.held
    finally:
        await lock.close()
        await other.close()


@asynccontextmanager
async def running_engine(monkeypatch: pytest.MonkeyPatch, stop: asyncio.Event) -> AsyncIterator["asyncio.Task[int]"]:
    """Run the engine role on this loop until `stop` is set."""
    monkeypatch.setattr(engine_module, "stop_event", lambda: stop)
    # Freezing what is alive is for a process of its own.
    monkeypatch.setattr(engine_module, "spare_the_engine", lambda: None)
    running = asyncio.create_task(engine_module.run_engine(Settings(), announce=lambda _: None))
    try:
        yield running
    finally:
        stop.set()
        async with asyncio.timeout(2 * LED_WAIT_S):
            await running


@pytest.fixture
def engine_settings(database_url: str, redis_url: str, shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment of an engine of the test's shard."""
    environment = role_environment(as_role(database_url, "engine"), redis_url, ORDERWIRE_SHARD=str(shard))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("engine_settings")
async def test_a_cold_start_with_a_long_tail_writes_a_checkpoint_before_it_accepts(
    database_url: str, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CHECKPOINT_AFTER_REPLAY", 3)
    written: list[int] = []

    async def save(database: object, shard: int, recovered: Recovered) -> None:
        written.append(recovered.replayed)

    monkeypatch.setattr(engine_module, "save_checkpoint", save)
    for expected in ([], [4]):
        written.clear()
        async with running_engine(monkeypatch, asyncio.Event()), linked(database_url, shard=shard) as link:
            assert written == expected
            for number in range(3):
                await link.submit(CreateAccount(f"account-{number}"))
        # At the end too, for whoever starts next.
        assert len(written) == len(expected) + 1


@pytest.mark.usefixtures("engine_settings")
async def test_a_leader_that_stops_gives_the_lead_away_before_it_writes_its_checkpoint(
    database_url: str, shard: int, candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Elected] = []

    async def save(*_: object) -> None:
        async with asyncio.timeout(LED_WAIT_S):
            taken.append(await candidates[0].elected())

    monkeypatch.setattr(engine_module, "save_checkpoint", save)
    monkeypatch.setattr(leadership, "BEAT_STILL_S", 2 * LED_WAIT_S)
    async with running_engine(monkeypatch, asyncio.Event()), linked(database_url, shard=shard) as link:
        await link.submit(CreateAccount("first"))
    assert [elected.head.term for elected in taken] == [2]
