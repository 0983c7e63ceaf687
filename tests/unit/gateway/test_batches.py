"""Batches: what is sent of them, and answers in the order that was asked."""

from functools import partial
from typing import Any

import pytest

from app import metrics
from app.domain.commands import PlaceBatch, PlaceOrder
from app.domain.enums import OrderStatus, OrderType, RejectReason, Side
from app.domain.events import OrderState, Rejection
from app.domain.outcomes import BatchResult, Outcome
from app.errors import ApiError
from app.gateway.orders import OrderGateway
from app.gateway.terms import place_command
from app.protocol.field_rules import SAME_BATCH
from app.protocol.schemas import BatchRequest, PlaceOrderRequest
from tests.unit.gateway.test_orders import ALICE, BTC, OneInstrument, ScriptedLink, request

NOW_NS = 1_700_000_000_000_000_000
terms_of = partial(place_command, 1001, instrument=BTC, session_id=None)


def named(name: str | None, **changes: object) -> PlaceOrderRequest:
    return request(client_order_id=name, **changes)


def counted(code: str) -> float:
    value = metrics.REGISTRY.get_sample_value("orderwire_orders_total", {"code": code})
    return value or 0.0


def placed(order: PlaceOrderRequest, order_id: int) -> BatchResult:
    terms: PlaceOrder = terms_of(order)
    return BatchResult(
        order=OrderState(order_id, terms, OrderStatus.OPEN, 1, 10_025, 50_000_000, 0, 0, 0, None, NOW_NS, NOW_NS, 9)
    )


async def test_orders_and_refusals_come_back_in_the_order_that_was_asked() -> None:
    good, bad, refused = named("a"), named("b", price="100.255"), named("c", type=OrderType.STOP, side=Side.SELL)
    rejection = Rejection(RejectReason.INSUFFICIENT_BALANCE, None, "25000000000", "30000000000", "USD")
    link = ScriptedLink(Outcome(9, NOW_NS, results=(placed(good, 7), BatchResult(rejection))))
    before = counted("accepted"), counted("insufficient_balance")
    answer = await OrderGateway(link, OneInstrument()).place_batch(ALICE, BatchRequest([good, bad, refused]))

    assert (counted("accepted"), counted("insufficient_balance")) == (before[0] + 1, before[1] + 1)
    assert link.submitted == [PlaceBatch(1001, (terms_of(good), terms_of(refused)), atomic=False)]
    assert answer.engine_seq == 9
    first, second, third = answer.results
    assert first.order is not None
    assert (first.order.order_id, first.order.client_order_id) == ("7", "a")
    assert second.error is not None
    assert (second.error.code, second.error.field) == ("invalid_price_tick", "price")
    assert third.error is not None
    assert (third.error.code, third.error.limit) == ("insufficient_balance", "2.5")


async def test_orders_that_another_one_took_down_say_so() -> None:
    results = (
        BatchResult(Rejection(RejectReason.INVALID_REQUEST, "orders")),
        BatchResult(Rejection(RejectReason.NO_LIQUIDITY)),
    )
    link = ScriptedLink(Outcome(9, NOW_NS, results=results))
    batch = BatchRequest([named("a"), named("b")], atomic=True)
    first, second = (await OrderGateway(link, OneInstrument()).place_batch(ALICE, batch)).results
    assert first.error is not None
    assert second.error is not None
    assert (first.error.detail, second.error.code) == (SAME_BATCH, "no_liquidity")


async def test_a_batch_of_nothing_but_unreadable_orders_is_answered_without_the_engine() -> None:
    link = ScriptedLink(Outcome(9, NOW_NS))
    batch = BatchRequest([named("a", symbol="NOPE"), named("b", quantity="0.000000001")])
    answer = await OrderGateway(link, OneInstrument()).place_batch(ALICE, batch)
    codes = [entry.error.code for entry in answer.results if entry.error]
    assert (answer.engine_seq, codes, link.submitted) == (None, ["unknown_symbol", "invalid_quantity_lot"], [])


async def test_an_atomic_batch_with_an_unreadable_order_is_refused_whole_and_names_it() -> None:
    link = ScriptedLink(Outcome(9, NOW_NS))
    batch = BatchRequest([named("a"), named("b", price="100.255")], atomic=True)
    with pytest.raises(ApiError) as caught:
        await OrderGateway(link, OneInstrument()).place_batch(ALICE, batch)
    assert (caught.value.code, caught.value.field, link.submitted) == ("invalid_price_tick", "orders[1].price", [])


@pytest.mark.parametrize("names", [["a", None], ["a", "a"]])
async def test_a_batch_that_could_not_be_repeated_safely_is_refused(names: list[Any]) -> None:
    link = ScriptedLink(Outcome(9, NOW_NS))
    with pytest.raises(ApiError) as caught:
        await OrderGateway(link, OneInstrument()).place_batch(ALICE, BatchRequest([named(name) for name in names]))
    assert (caught.value.field, link.submitted) == ("orders[1].client_order_id", [])
