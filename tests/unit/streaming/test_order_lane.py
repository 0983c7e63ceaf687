"""Order entry on a session: begun in order, bounded, answered as it completes."""

import asyncio

import pytest

from app.errors import ApiError, LinkError
from app.protocol.close_codes import Close
from app.streaming import feed as feed_module
from tests.unit.streaming.client import Client, Frame, replica_of, until
from tests.unit.streaming.exchange import SYMBOL, Exchange

BOOK = f"orderbook:{SYMBOL}"
ORDER = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)


async def test_order_actions_are_answered_as_rest_does() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        placed = await client.ask("order.place", order=ORDER | {"client_order_id": "a1"})
        assert (placed["type"], placed["order"]["client_order_id"]) == ("result", "a1")
        assert placed["order"]["fills"] == []
        canceled = await client.ask("order.cancel", client_order_id="a1")
        assert canceled["order"]["order_id"] == "1"
        amended = await client.ask("order.amend", order_id="1", price="2")
        assert amended["order"]["priority"] == "kept"
        everything = await client.ask("order.cancel_all", symbol=SYMBOL)
        assert (everything["engine_seq"], len(everything["canceled"])) == (9, 1)
        assert [call for call, _ in replica.desk.begun] == ["place", "cancel", "amend", "cancel_all"]


async def test_pipelined_orders_begin_in_the_order_they_came() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        sending = asyncio.create_task(send_orders(client, 200))
        await until(lambda: replica.desk.in_flight == 64)
        assert not sending.done(), "the sixty-fifth waits unread"
        replica.desk.gate.set()
        await sending
        await until(lambda: len(replica.desk.begun) == 200)
        assert [what for _, what in replica.desk.begun] == [f"c{number}" for number in range(200)]
        assert replica.desk.most_in_flight == 64


async def send_orders(client: Client, count: int) -> None:
    for number in range(count):
        await client.send("order.place", order=ORDER | {"client_order_id": f"c{number}"})


async def test_ping_overtakes_an_order_that_waits() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        await client.send("order.place", id="slow", order=ORDER)
        assert (await client.ask("ping"))["type"] == "pong"
        replica.desk.gate.set()
        assert (await client.until(lambda frame: frame.get("id") == "slow"))[-1]["type"] == "result"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ApiError("insufficient_balance", "no"), "insufficient_balance"),
        (LinkError("lost", sent=True), "execution_unknown"),
        (LinkError("lost", sent=False), "engine_unavailable"),
        (ConnectionResetError(), "service_unavailable"),
        (ZeroDivisionError("bug"), "internal_error"),
    ],
)
async def test_fault_of_an_order_is_its_answer(fault: Exception, code: str) -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.fault = fault
        reply = await client.ask("order.place", order=ORDER)
        assert (reply["type"], reply["error"]["code"]) == ("error", code)
        assert (await client.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("name", "action", "members", "code"),
    [
        (None, "order.place", {"order": ORDER}, "unauthenticated"),
        ("reader", "order.place", {"order": ORDER}, "missing_scope"),
        ("reader", "order.cancel_all", {}, "missing_scope"),
        ("alice", "order.cancel", {}, "invalid_request"),
        ("alice", "order.cancel", {"order_id": "1", "client_order_id": "a"}, "invalid_request"),
    ],
)
async def test_order_that_may_not_be_is_refused_before_the_gateway(
    name: str | None, action: str, members: Frame, code: str
) -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of(name) if name else replica.client()
        assert (await client.ask(action, **members))["error"]["code"] == code
        assert replica.desk.begun == []


async def test_order_answered_after_the_end_goes_nowhere() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        await client.send("order.place", order=ORDER)
        await until(lambda: replica.desk.in_flight == 1)
        client.session.detach()
        client.session.end(Close.RESTART)
        replica.desk.gate.set()
        await until(lambda: replica.desk.in_flight == 0)
        await asyncio.sleep(0)
        assert client.read() == []
