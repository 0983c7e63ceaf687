"""Joining private channels over and over costs a replica no more than joining once."""

import pytest

from app.streaming import feed as feed_module
from tests.unit.streaming.client import replica_of
from tests.unit.streaming.exchange import ALICE, Exchange

CHANNELS = ("orders", "fills", "balances")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)


async def test_joining_again_and_again_while_the_account_is_read_asks_once_more_at_most() -> None:
    exchange = Exchange()
    exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        exchange.seed_gate.clear()
        client = await replica.client_of("alice")
        for number in range(300):
            await client.subscribe(CHANNELS[number % 3])
        stream = client.session._private
        assert stream is not None
        assert len(stream._jobs) <= 2
        exchange.seed_gate.set()
        for channel in CHANNELS:
            assert (await client.next("snapshot", channel))["account_seq"] == 2
        assert exchange.seed_requests <= 2
        exchange.place(ALICE)
        assert (await client.next("event", "orders"))["account_seq"] == 3


async def test_resuming_and_leaving_again_and_again_while_the_account_is_read_keeps_nothing() -> None:
    exchange = Exchange()
    order = exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        exchange.seed_gate.clear()
        client = await replica.client_of("alice")
        for _ in range(100):
            await client.subscribe("orders", resume_from=1)
            await client.ask("unsubscribe", channels=["orders"])
        await client.subscribe("orders", resume_from=2)
        stream = client.session._private
        assert stream is not None
        assert len(stream._jobs) <= 2
        exchange.fill(order, 4)
        exchange.seed_gate.set()
        event = await client.next("event", "orders")
        assert (event["account_seq"], event["prev_account_seq"]) == (3, 2)
