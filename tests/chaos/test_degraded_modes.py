"""Whatever fails, every place that shows how the exchange is says so, and order entry does what it says."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from app.dev.servers import LocalServers
from tests.chaos.cluster import children, signal_all
from tests.chaos.load import SYMBOL, open_market
from tests.engine_process import EngineProcess, linked
from tests.replica_process import ReplicaProcess
from tests.worker_process import worker_process

SEEN_S = 10.0
"""Ten times the second within which a change should show."""
OUTAGE_S = 6.0
REFUSED_READS = 20
THROTTLED_TRIES = 20
"""Orders in a row, which take some tens of milliseconds."""
READ_REFUSED_S = 1.0
"""Ten times what a refusal may take; a timeout would take five seconds."""
RANKS = {"normal": 0, "degraded": 1, "cancel_only": 2, "read_only": 3}
ORDER = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1.00", "quantity": "1"}


class Venue:
    """One replica, an account, and the engines that a test starts and ends."""

    def __init__(self, servers: LocalServers, database_url: str, replica: ReplicaProcess, shard: int) -> None:
        self.servers = servers
        self.replica = replica
        self.shard = shard
        self.database_url = database_url
        self.account_id = 0

    @contextmanager
    def engine(self, **settings: str) -> Iterator[EngineProcess]:
        """Run an engine."""
        with EngineProcess(self.database_url, self.servers.redis_url, shard=self.shard, **settings) as engine:
            yield engine

    async def open(self) -> None:
        """List the instrument and fund the account."""
        async with linked(self.database_url, shard=self.shard) as link:
            (self.account_id,) = await open_market(link, 1)
        async with asyncio.timeout(SEEN_S):
            while (await self.replica.http.get(f"/v1/instruments/{SYMBOL}")).status_code != 200:  # noqa: ASYNC110  # polls a server
                await asyncio.sleep(0.02)

    async def place(self) -> tuple[int, dict[str, Any], str | None]:
        """Place an order; returns status, body and Retry-After."""
        answer = await self.replica.call("POST", "/v1/orders", ORDER, account_id=self.account_id)
        return answer.status_code, answer.json(), answer.headers.get("retry-after")

    async def cancel(self, order_id: str) -> int:
        """Cancel an order; returns the status."""
        answer = await self.replica.call("DELETE", f"/v1/orders/{order_id}", account_id=self.account_id)
        return answer.status_code

    async def require_shown(self, mode: str, part: str, *, ready: bool = True) -> None:
        """Wait for the mode in `/v1/status`; readiness and metrics must say the same."""
        await self.replica.wait_for_mode(mode, part, timeout_s=SEEN_S)
        probe = await self.replica.http.get("/readyz")
        assert (probe.status_code, probe.json()["mode"]) == (200 if ready else 503, mode)
        assert probe.json()["reasons"][part] != "ok"
        await self.replica.wait_for_metric("orderwire_exchange_mode", RANKS[mode], timeout_s=SEEN_S)
        assert await self.replica.metric(f'orderwire_part_ok{{part="{part}"}}') == 0

    async def require_normal(self) -> None:
        """Wait until everything is as it should be."""
        status = await self.replica.wait_for_mode("normal", timeout_s=SEEN_S)
        assert set(status["reasons"].values()) == {"ok"}
        await self.replica.wait_for_metric("orderwire_exchange_mode", 0, timeout_s=SEEN_S)

    async def wait_for_projection(self) -> None:
        """Wait until the worker has applied all that the account did."""
        async with asyncio.timeout(SEEN_S):
            while (await self.replica.call("GET", "/v1/balances", account_id=self.account_id)).status_code != 200:  # noqa: ASYNC110  # polls a server
                await asyncio.sleep(0.02)

    def pids(self, which: int) -> list[int]:
        """Return the processes of a server: 0 is PostgreSQL, 1 is Valkey."""
        pid = self.servers.pids[which]
        return [pid, *children(pid)]


@asynccontextmanager
async def frozen(pids: list[int]) -> AsyncIterator[None]:
    """Stop processes for the length of a block."""
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@pytest.fixture
async def venue(own_servers: LocalServers, empty_database: str) -> AsyncIterator[Venue]:
    shard = random.randrange(1_000, 2**15)
    async with ReplicaProcess(empty_database, own_servers.redis_url, shard=shard) as replica:
        yield Venue(own_servers, empty_database, replica, shard)


async def test_without_redis_orders_go_on_and_the_mode_is_degraded(venue: Venue) -> None:
    with venue.engine():
        await venue.open()
        await venue.require_normal()
        async with frozen(venue.pids(1)):
            await venue.require_shown("degraded", "redis")
            assert (await venue.place())[0] == 201
        await venue.require_normal()


async def test_a_database_that_stands_still_makes_it_read_only_and_then_reopens_with_cancels(venue: Venue) -> None:
    with venue.engine(ORDERWIRE_REOPEN_S="3"):
        await venue.open()
        await venue.require_normal()
        order_id = (await venue.place())[1]["order_id"]
        async with websockets.connect(venue.replica.ws_url) as stream:
            await stream.send('{"action":"subscribe","channels":["status"]}')
            async with frozen(venue.pids(0)):
                await venue.require_shown("read_only", "database", ready=False)
                status, body, retry_after = await venue.place()
                assert (status, body["code"], body["retryable"], retry_after) == (503, "engine_unavailable", True, "1")
                await asyncio.sleep(OUTAGE_S)
            await venue.require_shown("cancel_only", "reopening")
            status, body, retry_after = await venue.place()
            assert (status, body["code"], body["retryable"], retry_after) == (503, "cancel_only", True, "1")
            assert await venue.cancel(order_id) == 200
            await venue.require_normal()
            assert (await venue.place())[0] == 201
            assert await modes_told(stream, last="normal") == [
                "normal",
                "read_only",
                "cancel_only",
                "degraded",
                "normal",
            ]


async def test_a_database_that_stands_still_costs_no_reader_a_timeout(venue: Venue) -> None:
    with venue.engine():
        await venue.open()
        await venue.require_normal()
        open_breaker = 'orderwire_breaker_open{dependency="database"}'
        async with frozen(venue.pids(0)):
            await venue.require_shown("read_only", "database", ready=False)
            await venue.replica.wait_for_metric(open_breaker, 1, timeout_s=SEEN_S)
            for _ in range(REFUSED_READS):
                asked = time.monotonic()
                answer = await venue.replica.call("GET", "/v1/balances", account_id=venue.account_id)
                waited_s = time.monotonic() - asked
                body = answer.json()
                assert (answer.status_code, body["code"], body["retryable"]) == (503, "service_unavailable", True)
                assert answer.headers["retry-after"] == "1"
                assert "PostgreSQL" in body["detail"]
                assert waited_s < READ_REFUSED_S
                await asyncio.sleep(0.15)
        back = time.monotonic()
        async with asyncio.timeout(SEEN_S):
            while True:
                answer = await venue.replica.call("GET", "/v1/balances", account_id=venue.account_id)
                if answer.status_code == 200:
                    break
                await asyncio.sleep(0.02)
        print(f"\nreads after the database's return: {time.monotonic() - back:.3f} s")
        await venue.replica.wait_for_metric(open_breaker, 0, timeout_s=SEEN_S)


async def test_a_slow_database_is_shown(venue: Venue) -> None:
    with venue.engine():
        await venue.open()
        await venue.require_normal()
        async with frozen(venue.pids(0)):
            await asyncio.sleep(0.8)
        await venue.require_shown("degraded", "database")
        assert (await venue.place())[0] == 201
        await venue.require_normal()


async def test_a_missing_standby_degrades_and_no_leader_makes_it_read_only(venue: Venue) -> None:
    with venue.engine(ORDERWIRE_STANDBYS="1") as first:
        await venue.open()
        await venue.require_shown("degraded", "standby")
        with venue.engine(ORDERWIRE_STANDBYS="1") as second:
            await venue.require_normal()
            first.kill()
            await venue.require_shown("degraded", "standby")
            assert (await venue.place())[0] == 201
            second.kill()
            await venue.require_shown("read_only", "engine", ready=False)
            status, body, retry_after = await venue.place()
            assert (status, body["code"], retry_after) == (503, "engine_unavailable", "1")
        await asyncio.sleep(OUTAGE_S)
        # Longer than it may take to be seen: that it ends is looked at where the replica never lost the leader.
        with venue.engine(ORDERWIRE_REOPEN_S=str(2 * SEEN_S)):
            await venue.require_shown("cancel_only", "reopening")


async def test_a_nearly_full_disk_takes_cancels_only(venue: Venue, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    # No volume is entirely free: at a bound of 100 percent the real one counts as nearly full.
    with venue.engine(ORDERWIRE_DISK_PATHS=str(volume), ORDERWIRE_DISK_CANCEL_ONLY_PERCENT="100"):
        await venue.open()
        await venue.require_normal()
        order_id = (await venue.place())[1]["order_id"]
        os.symlink(tmp_path, volume)
        await venue.require_shown("cancel_only", "disk")
        status, body, retry_after = await venue.place()
        assert (status, body["code"], retry_after) == (503, "cancel_only", "1")
        assert await venue.cancel(order_id) == 200
    with venue.engine(ORDERWIRE_DISK_PATHS=str(volume), ORDERWIRE_DISK_CANCEL_ONLY_PERCENT="0"):
        await venue.require_normal()
        assert (await venue.place())[0] == 201


async def test_a_worker_that_stands_still_throttles_new_orders_and_cancels_pass(venue: Venue) -> None:
    with (
        venue.engine(ORDERWIRE_PROJECTION_LAG_S="1", ORDERWIRE_THROTTLED_ORDERS_PER_S="2"),
        worker_process(venue.database_url, venue.servers.redis_url, shard=venue.shard) as worker,
    ):
        await venue.open()
        await venue.require_normal()
        order_ids = [(await venue.place())[1]["order_id"] for _ in range(THROTTLED_TRIES)]
        await venue.wait_for_projection()
        worker.send_signal(signal.SIGSTOP)
        assert (await venue.place())[0] == 201
        await venue.require_shown("degraded", "projection")
        asked = time.monotonic()
        answers = [await venue.place() for _ in range(THROTTLED_TRIES)]
        taken = [status for status, _, _ in answers].count(201)
        # A second's worth at first, then as they come free.
        assert 2 <= taken <= 2 + 2 * (time.monotonic() - asked) + 1 < THROTTLED_TRIES
        for status, body, retry_after in answers:
            if status != 201:
                assert (status, body["code"], body["retryable"], retry_after) == (503, "engine_unavailable", True, "1")
        assert [await venue.cancel(order_id) for order_id in order_ids] == [200] * THROTTLED_TRIES
        worker.send_signal(signal.SIGCONT)
        await venue.require_normal()
        assert [(await venue.place())[0] for _ in range(THROTTLED_TRIES)] == [201] * THROTTLED_TRIES


async def modes_told(stream: websockets.ClientConnection, *, last: str) -> list[str]:
    """Read the `status` channel up to the newest frame of a mode; returns the modes, each once in a row."""
    modes: list[str] = []
    while not (len(modes) > 1 and modes[-1] == last):
        frame = json.loads(await stream.recv())
        if frame.get("channel") == "status" and [frame["mode"]] != modes[-1:]:
            modes.append(frame["mode"])
    return modes
