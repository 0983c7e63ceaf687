"""A command that stops every engine is refused after a while; everything else goes on, executed once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from app.domain.commands import CreateAccount, CreateAsset, Deposit
from app.domain.identity import FIRST_ACCOUNT_ID
from app.errors import ApiError
from app.link.client import LinkClient
from app.protocol.records import encode
from app.sequencer.quarantine import CRASHES_MAX, fingerprint_of
from app.storage.quarantine import QuarantineStore, Suspect
from tests.database_roles import as_role
from tests.engine_process import EngineProcess, linked
from tests.poisoned_engine import DIES, RAISES

SUPERVISE_S = 0.02
TRIES_MAX = 5


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


class Supervised:
    """An engine that is started again whenever it ends."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self.codes: list[int] = []

    async def run(self) -> None:
        """Start, wait, start again."""
        while True:
            self._engine.start()
            process = self._engine.process
            assert process is not None
            while process.poll() is None:  # noqa: ASYNC110  # polls a process
                await asyncio.sleep(SUPERVISE_S)
            self.codes.append(process.returncode)
            await asyncio.to_thread(self._engine.kill)


@asynccontextmanager
async def supervised(database_url: str, redis_url: str, shard: int) -> AsyncIterator[tuple[Supervised, LinkClient]]:
    """Yield an engine with the planted fault, and a link to whichever leads."""
    engine = EngineProcess(database_url, redis_url, shard=shard, module="tests.poisoned_engine")
    supervisor = Supervised(engine)
    running = asyncio.create_task(supervisor.run())
    try:
        async with linked(database_url, shard=shard) as link:
            yield supervisor, link
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        engine.kill()


async def insisted(link: LinkClient, command: Deposit) -> str:
    """Send a command as a client would who does not know what came of it; returns the code that ends it."""
    for _ in range(TRIES_MAX):
        await link.wait_connected(20)
        try:
            await link.submit(command, deadline_ms=20_000)
        except ApiError as refused:
            if refused.code not in ("execution_unknown", "engine_unavailable"):
                return refused.code
        else:
            return "executed"
    return "unknown"


@pytest.mark.parametrize(("kind", "losses"), [(RAISES, [4] * 2), (DIES, [-9] * 3)])
async def test_a_command_that_stops_every_engine_is_quarantined_and_the_engine_goes_on(
    database_url: str, redis_url: str, shard: int, kind: str, losses: list[int]
) -> None:
    async with supervised(database_url, redis_url, shard) as (supervisor, link):
        await link.submit(CreateAsset("USD", 2))
        await link.submit(CreateAccount("alice"))
        poison = Deposit(FIRST_ACCOUNT_ID, "USD", "5", f"{kind}1")

        assert await insisted(link, poison) == "quarantined"
        assert supervisor.codes == losses

        await link.wait_connected(20)
        for number in range(20):
            outcome = await link.submit(Deposit(FIRST_ACCOUNT_ID, "USD", "1", f"good-{number}"))
            assert outcome.rejection is None
        assert await insisted(link, poison) == "quarantined"
        assert supervisor.codes == losses
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT fingerprint, crashes, command FROM quarantine WHERE shard = $1", shard)
    await connection.close()
    assert [tuple(row) for row in rows] == [(fingerprint_of(poison, b""), CRASHES_MAX, encode(poison))]


async def test_commands_in_flight_with_the_poison_are_executed_once_and_not_suspected_for_ever(
    database_url: str, redis_url: str, shard: int
) -> None:
    async with supervised(database_url, redis_url, shard) as (supervisor, link):
        await link.submit(CreateAsset("USD", 2))
        await link.submit(CreateAccount("alice"))
        goods = [Deposit(FIRST_ACCOUNT_ID, "USD", "1", f"good-{number}") for number in range(30)]
        poison = Deposit(FIRST_ACCOUNT_ID, "USD", "5", f"{DIES}1")
        commands = [*goods[:15], poison, *goods[15:]]

        ends = await asyncio.gather(*(insisted(link, command) for command in commands))

        assert ends[15] == "quarantined"
        assert set(ends[:15] + ends[16:]) == {"executed"}
        assert len(supervisor.codes) <= 5
        status = await link.status()
        assert status.queue == 0
    connection = await asyncpg.connect(database_url)
    left = await connection.fetch("SELECT crashes FROM quarantine WHERE shard = $1", shard)
    await connection.close()
    assert [row[0] for row in left] == [CRASHES_MAX]


async def test_what_leaders_know_of_suspects_outlives_them_and_old_suspicion_ends(
    database_url: str, shard: int
) -> None:
    store = QuarantineStore(as_role(database_url, "engine"), shard)
    suspects = [Suspect(bytes([number]) * 16, number, "test", b"c") for number in range(4)]
    await store.write(suspects)
    await store.write([suspects[1]._replace(crashes=2)])
    assert await store.load(crashes_max=2) == {
        suspect.fingerprint: crashes for suspect, crashes in zip(suspects, (0, 2, 2, 3), strict=True)
    }

    await store.clear([suspects[3].fingerprint])
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE quarantine SET updated_at = now() - interval '8 days'")
    await connection.close()
    assert await store.load(crashes_max=2) == {suspect.fingerprint: 2 for suspect in suspects[1:3]}
    await store.close()
