"""SIGKILL of the whole process tree, databases included, and a start with the same data folder."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient, StreamSession
from tests.book_client import ClientBook
from tests.exchange import Exchange
from tests.processes import eventually, kill_all_in, processes_in

TRADERS = 8


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach, for servers that do not run as us."""
    path = Path(tempfile.mkdtemp(prefix="orderwire-test-"))
    path.chmod(0o777)
    yield path
    kill_all_in(path)
    shutil.rmtree(path)


def order(side: str, price: int, client_order_id: str) -> dict[str, Any]:
    return {
        "symbol": "BTC-USD",
        "side": side,
        "type": "limit",
        "price": str(price),
        "quantity": "0.001",
        "client_order_id": client_order_id,
    }


def descendants(pid: int) -> list[int]:
    """Return a process and everything that descends from it, by session and parentage."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for candidate in found:
        found += [child for child, parent in parents.items() if parent == candidate]
    return found


def kill_tree(exchange: Exchange) -> None:
    """SIGKILL every process of the exchange at once."""
    tree = descendants(exchange.pid)
    assert len(tree) > 6, "expected supervisor, two replicas, engine, worker and two servers"
    for pid in tree:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    exchange.kill()


async def trade(exchange: Exchange, name: int, acknowledged: dict[str, str], stop: asyncio.Event) -> None:
    """Place orders that meet each other until told to stop or cut off."""
    account = exchange.accounts["alice" if name % 2 else "bob"]
    side = "buy" if name % 2 else "sell"
    async with await StreamSession.connect(exchange.ws[name % 2], account) as session:
        for n in range(100_000):
            if stop.is_set():
                return
            try:
                answer = await session.request("order.place", order=order(side, 50_000 + n % 5, f"{name}-{n}"))
            except (ConnectionError, RequestRefused, TimeoutError):
                return
            acknowledged[f"{name}-{n}"] = answer["order"]["order_id"]


async def test_killed_in_mid_trading_everything_acknowledged_is_there_and_streams_go_on(folder: Path) -> None:
    data = folder / "data"
    exchange = Exchange(folder, "--no-demo", "--data-dir", str(data))
    with exchange:
        acknowledged: dict[str, str] = {}
        stop = asyncio.Event()
        traders = [asyncio.create_task(trade(exchange, name, acknowledged, stop)) for name in range(TRADERS)]
        while len(acknowledged) < 400:  # noqa: ASYNC110  # polls what the traders fill
            await asyncio.sleep(0.01)
        kill_tree(exchange)
        await asyncio.gather(*traders, return_exceptions=True)
        assert eventually(lambda: not processes_in(folder), 10), "something outlived the kill"

        exchange.start()
        async with (
            RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
            RestClient(exchange.rest[1], exchange.accounts["bob"]) as bob,
            RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        ):
            for client_order_id, order_id in acknowledged.items():
                client = alice if int(client_order_id.split("-")[0]) % 2 else bob
                found = await client.call("GET", f"/v1/orders/by-client-id/{client_order_id}")
                assert found["order_id"] == order_id
            book, last_seq = ClientBook(), None
            snapshot = await alice.call("GET", "/v1/orderbook/BTC-USD")
            before = await admin.call("GET", "/v1/admin/engine")

            # At rest: the same hash at the same sequence, and the next delta is the next seq of the epoch.
            kill_tree(exchange)
            exchange.start()
            async with (
                RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin_again,
                await StreamSession.connect(exchange.ws[1]) as stream,
                await StreamSession.connect(exchange.ws[0], exchange.accounts["alice"]) as session,
            ):
                after = await admin_again.call("GET", "/v1/admin/engine")
                assert (after["engine_seq"], after["state_hash"]) == (before["engine_seq"], before["state_hash"])
                assert after["epoch"] == before["epoch"]
                await stream.subscribe("orderbook:BTC-USD")
                book.seed(await stream.next_frame("snapshot"))
                assert book.state() == (snapshot["epoch"], snapshot["seq"], snapshot["bids"], snapshot["asks"])
                await session.request("order.place", order=order("buy", 40_000, "after"))
                delta = await stream.next_frame("delta")
                last_seq = snapshot["seq"]
                assert (delta["epoch"], delta["prev_seq"], delta["seq"]) == (book.epoch, last_seq, last_seq + 1)
        assert exchange.stop() == 0
