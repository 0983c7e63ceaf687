"""A replica is killed, alone and with the leader: guarded sessions lose their orders in time, and nobody else does."""

import asyncio
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.dev.client import RequestRefused, StreamSession
from app.dev.servers import LocalServers
from app.domain.enums import OrderReason, OrderStatus
from app.sequencer.leases import LEASE_S
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal
from tests.chaos.cluster import Cluster, link_to, signal_all
from tests.chaos.conftest import FULL
from tests.chaos.history import Facts, journal_rows
from tests.chaos.load import SYMBOL, open_market
from tests.replica_process import ReplicaProcess

GRACE_MS = 500
SLACK_S = 1.0 if FULL else 6.0
"""For a failover, and for a busy machine."""
BEAT_S = 0.5
"""The last sign of life may be so old when a replica dies."""
STAYS_S = 2.0
"""What is not canceled so long after the others stays."""
LOOK_S = 0.05
STARTED_S = 20.0


class Venue:
    """A leader, a standby, two replicas, and three accounts."""

    def __init__(self, cluster: Cluster, replicas: list[ReplicaProcess], accounts: list[int], journal: Journal) -> None:
        self.cluster = cluster
        self.dying, self.living = replicas
        self.alice, self.bob, self.carol = accounts
        self._journal = journal

    async def session(self, replica: ReplicaProcess, account_id: int, scope: str | None) -> tuple[StreamSession, str]:
        """Open a session with an order; returns it with the order's id."""
        stream = await replica.session(account_id)
        if scope is not None:
            await stream.request("session", cancel_on_disconnect=scope, grace_ms=GRACE_MS)
        return stream, await order(stream)

    async def canceled(self) -> dict[str, str | None]:
        """Return the orders that were canceled, with the reason, as a replay of the journal says."""
        orders = Facts(await journal_rows(self._journal)).engine.state.orders.values()
        return {str(each.order_id): each.reason for each in orders if each.status is OrderStatus.CANCELED}

    async def require_canceled(self, orders: set[str], since: float, *, lapses: bool = True) -> None:
        """Wait until these orders, and only these, are canceled; it must happen when the leases say."""
        earliest = since + GRACE_MS / 1000 + (LEASE_S - BEAT_S if lapses else 0.0)
        latest = since + GRACE_MS / 1000 + LEASE_S + SLACK_S
        while set(found := await self.canceled()) != orders:
            assert set(found) < orders, "an order was canceled that nobody asked to cancel"
            assert time.monotonic() < latest, f"expected {orders}, was {found}"
            await asyncio.sleep(LOOK_S)
        assert time.monotonic() > earliest
        assert set(found.values()) == {OrderReason.DISCONNECT}


async def order(stream: StreamSession) -> str:
    """Place an order that rests."""
    terms: dict[str, Any] = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1.00", "quantity": "1"}
    placed = await stream.request("order.place", order={**terms, "client_order_id": secrets.token_hex(8)})
    return str(placed["order"]["order_id"])


async def session_id_of(stream: StreamSession) -> str:
    """Return the id that the session was welcomed with."""
    async for frame in stream.frames():
        if frame["type"] == "welcome":
            return str(frame["session_id"])
    raise ConnectionError("expected a welcome")


async def adopt(stream: StreamSession, session_id: str) -> None:
    """Take a session over, as soon as somebody leads."""
    async with asyncio.timeout(LEASE_S):
        while True:
            try:
                await stream.request("session", cancel_on_disconnect="session", grace_ms=GRACE_MS, adopt=session_id)
            except RequestRefused as refused:
                if refused.code not in ("engine_unavailable", "execution_unknown"):
                    raise
                await asyncio.sleep(LOOK_S)
            else:
                return


@pytest.fixture
async def venue(own_servers: LocalServers, empty_database: str, tmp_path: Path) -> AsyncIterator[Venue]:
    shard = random.randrange(1_000, 2**15)
    cluster = Cluster(own_servers, empty_database, shard=shard, logs=tmp_path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        link = await stack.enter_async_context(link_to(empty_database, shard, "opener"))
        accounts = await open_market(link, 3)
        journal = await Journal.connect(asyncpg_dsn(empty_database), shard)
        stack.push_async_callback(journal.close)
        replicas = [ReplicaProcess(empty_database, own_servers.redis_url, shard=shard) for _ in range(2)]
        for replica in replicas:
            await stack.enter_async_context(replica)
            async with asyncio.timeout(STARTED_S):
                # Ready is a replica that has found the leader and follows the stream.
                for path in (f"/v1/instruments/{SYMBOL}", "/readyz"):
                    while (await replica.http.get(path)).status_code != 200:  # noqa: ASYNC110  # polls a server
                        await asyncio.sleep(LOOK_S)
        await cluster.wait_for_standby()
        yield Venue(cluster, replicas, accounts, journal)


async def kill(venue: Venue, *, leader: bool) -> float:
    """Kill the replica, and the leader with it; returns when."""
    assert venue.dying.process is not None
    pids = [venue.dying.process.pid, *([await venue.cluster.leader()] if leader else [])]
    signal_all(pids, signal.SIGKILL)
    return time.monotonic()


@pytest.mark.parametrize("leader", [False, True], ids=["replica", "replica-and-leader"])
async def test_a_killed_replica_cancels_what_its_guarded_sessions_placed(venue: Venue, leader: bool) -> None:
    """Of those that it served: one guarded, one not, one that another replica's session adopts in time."""
    _, guarded = await venue.session(venue.dying, venue.alice, "session")
    _, _ = await venue.session(venue.dying, venue.alice, None)
    stayer, _ = await venue.session(venue.living, venue.alice, "session")
    adopted, taken_over = await venue.session(venue.dying, venue.bob, "session")
    adopted_id = await session_id_of(adopted)
    killed = await kill(venue, leader=leader)
    adopter = await venue.living.session(venue.bob)
    await adopt(adopter, adopted_id)
    await venue.require_canceled({guarded}, killed)
    await asyncio.sleep(STAYS_S)
    assert set(await venue.canceled()) == {guarded}, "what is held elsewhere stays"
    await adopter.close()
    await venue.require_canceled({guarded, taken_over}, time.monotonic(), lapses=False)
    await stayer.close()


async def test_all_of_an_account_is_canceled_when_its_last_socket_is_gone_with_its_replica(venue: Venue) -> None:
    first, by_first = await venue.session(venue.living, venue.carol, "account")
    _, by_second = await venue.session(venue.dying, venue.carol, "account")
    _, by_third = await venue.session(venue.living, venue.carol, None)
    _, _ = await venue.session(venue.living, venue.bob, "account")
    await first.close()
    await asyncio.sleep(3 * GRACE_MS / 1000)
    assert await venue.canceled() == {}, "one socket is left, on the other replica"
    killed = await kill(venue, leader=False)
    await venue.require_canceled({by_first, by_second, by_third}, killed)
