"""Every refusal of an order is counted once by its code, by whichever way the order came."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from app import metrics
from app.domain.enums import ListKind, RejectReason
from app.domain.events import Rejection
from app.domain.outcomes import BatchResult, Outcome
from app.errors import ApiError
from app.gateway.orders import OrderGateway
from app.protocol import messages
from app.protocol.schemas import AmendOrderRequest, BatchRequest, OrderListRequest, PlaceOrderRequest
from app.streaming.order_calls import order_call
from tests.unit.api.stack import Stack
from tests.unit.gateway.test_orders import ALICE, OneInstrument, ScriptedLink, request

Way = Callable[[OrderGateway, PlaceOrderRequest], Awaitable[object]]
CLIENT_ID = "a"
AT_NS = 1_700_000_000_000_000_000


def counts() -> dict[str, float]:
    """Return how often each code was counted."""
    samples = [sample for family in metrics.ORDERS.collect() for sample in family.samples]
    return {sample.labels["code"]: sample.value for sample in samples if sample.name.endswith("_total")}


async def counted(call: Awaitable[object]) -> dict[str, float]:
    """Return what an order call adds to the counts, refused or not."""
    before = counts()
    with suppress(ApiError):
        await call
    return {code: count - before.get(code, 0) for code, count in counts().items() if count != before.get(code, 0)}


def by_websocket(message: messages.OrderMessage) -> Callable[[OrderGateway], Awaitable[object]]:
    return lambda gateway: order_call(gateway, ALICE, message, "session")()


async def by_rest(link: ScriptedLink, order: dict[str, object]) -> object:
    stack = Stack(instruments=OneInstrument(), link=link)
    return await stack.client.post("/v1/orders", json=order, headers=stack.bearer(ALICE))


WAYS: dict[str, Way] = {
    "place": lambda gateway, order: gateway.place(ALICE, order),
    "check": lambda gateway, order: gateway.check(ALICE, order),
    "list": lambda gateway, order: gateway.place_list(ALICE, OrderListRequest(ListKind.OCO, [order, order])),
    "atomic batch": lambda gateway, order: gateway.place_batch(ALICE, BatchRequest([order], atomic=True)),
    "websocket": lambda gateway, order: by_websocket(messages.OrderPlace(order=order))(gateway),
}
CHANGES: dict[str, Callable[[OrderGateway], Awaitable[object]]] = {
    "amend": lambda gateway: gateway.amend(ALICE, "7", AmendOrderRequest(price="1")),
    "cancel": lambda gateway: gateway.cancel(ALICE, order_id="7"),
    "cancel all": lambda gateway: gateway.cancel_all(ALICE),
    "amend by websocket": by_websocket(messages.OrderAmend(order_id="7", price="1")),
    "cancel by websocket": by_websocket(messages.OrderCancel(order_id="7")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reason", RejectReason)
async def test_refusal_of_the_engine_is_counted_once_by_its_code(reason: RejectReason, way: str) -> None:
    gateway = OrderGateway(ScriptedLink(Outcome(9, AT_NS, Rejection(reason))), OneInstrument())
    assert await counted(WAYS[way](gateway, request(client_order_id=CLIENT_ID))) == {reason.value: 1}


@pytest.mark.parametrize("way", CHANGES)
async def test_refused_change_of_an_order_is_counted_once(way: str) -> None:
    gateway = OrderGateway(ScriptedLink(Outcome(9, AT_NS, Rejection(RejectReason.UNKNOWN_ORDER))), OneInstrument())
    assert await counted(CHANGES[way](gateway)) == {"unknown_order": 1}


UNREADABLE = [
    ({"price": "100.255"}, "invalid_price_tick"),
    ({"quantity": "0.000000001"}, "invalid_quantity_lot"),
    ({"symbol": "NOPE"}, "unknown_symbol"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "deadline_exceeded"),
]
"""What a replica refuses without the engine."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("change", "code"), UNREADABLE)
async def test_order_that_the_engine_never_sees_is_counted_too(change: dict[str, object], code: str, way: str) -> None:
    link = ScriptedLink(Outcome(9, AT_NS))
    assert await counted(
        WAYS[way](OrderGateway(link, OneInstrument()), request(client_order_id=CLIENT_ID, **change))
    ) == {code: 1}
    assert link.submitted == []


@pytest.mark.parametrize("by_message", [False, True], ids=["rest", "websocket"])
async def test_each_order_of_a_batch_is_counted(*, by_message: bool) -> None:
    orders = [request(client_order_id="a"), request(client_order_id="b", price="100.255"), request(client_order_id="c")]
    results = tuple(BatchResult(Rejection(reason)) for reason in (RejectReason.PRICE_BAND, RejectReason.KILL_SWITCH))
    gateway = OrderGateway(ScriptedLink(Outcome(9, AT_NS, results=results)), OneInstrument())
    if by_message:
        call = by_websocket(messages.OrderBatch(orders=orders))(gateway)
    else:
        call = gateway.place_batch(ALICE, BatchRequest(orders))
    assert await counted(call) == {"price_band": 1, "invalid_price_tick": 1, "kill_switch": 1}


@pytest.mark.parametrize(("change", "code"), [({}, "order_rate_limit"), *UNREADABLE])
async def test_refusal_over_rest_is_counted_once(change: dict[str, object], code: str) -> None:
    link = ScriptedLink(Outcome(9, AT_NS, Rejection(RejectReason.ORDER_RATE_LIMIT)))
    order = {"symbol": "BTC-USD", "side": "buy", "type": "limit", "quantity": "0.5", "price": "100.25"} | change
    assert await counted(by_rest(link, order)) == {code: 1}
