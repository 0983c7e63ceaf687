"""Batches: orders placed by themselves, and orders placed together or not at all."""

from collections.abc import Iterable

import msgspec
import pytest

from app.domain.commands import PlaceBatch, PlaceOrder, SetLimits
from app.domain.enums import OrderReason, OrderType, PostOnly, RejectReason, SelfTradePrevention
from app.domain.events import OrderAccepted, OrderFilled, OrderRejected, TradeExecuted
from app.domain.outcomes import BatchResult
from app.engine import batches, invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    FOK,
    IOC,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    asks,
    available,
    bids,
    buy,
    engine_with,
    held,
    only,
    order,
    reason_of,
    refused,
    sell,
    twin_of,
)


def batch(*orders: PlaceOrder, atomic: bool = False, account_id: int = BOB) -> PlaceBatch:
    """Return a batch whose orders are called a, b, c and so on where they have no name."""
    named = [
        terms if terms.client_order_id else msgspec.structs.replace(terms, client_order_id="abcdef"[number])
        for number, terms in enumerate(orders)
    ]
    return PlaceBatch(account_id, tuple(named), atomic)


def results(engine: Engine, command: PlaceBatch) -> tuple[BatchResult, ...]:
    """Apply a batch that must not be refused as a whole; returns what became of its orders."""
    accepted(engine, command)
    invariants.check(engine.state)
    return engine.outcome.results


def words(found: Iterable[BatchResult]) -> list[str]:
    """Return for each order its status, or the reason of its refusal."""
    return [
        each.order.status if each.order is not None else str(each.rejection and each.rejection.reason) for each in found
    ]


# ---- each by itself ----------------------------------------------------------------------------


def test_orders_of_a_batch_stand_for_themselves() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 100}})
    found = results(engine, batch(buy(quantity=5, price=10), buy(quantity=50, price=10), buy(quantity=5, price=9)))
    assert words(found) == ["open", "insufficient_balance", "open"]
    assert bids(engine) == [(10, 5), (9, 5)]
    assert engine.outcome.book is None


def test_refused_order_of_a_batch_is_stated_like_any_other() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 100}})
    events = accepted(engine, batch(buy(quantity=5, price=10), buy(quantity=50, price=10)))
    assert only(OrderRejected, events).terms.client_order_id == "b"
    assert len(all_of(OrderAccepted, events)) == 1


def test_answer_shows_every_order_as_the_batch_left_it() -> None:
    engine = engine_with()
    decrement = SelfTradePrevention.DECREMENT
    first, second = results(engine, batch(sell(quantity=5, price=10), buy(quantity=3, price=10, stp=decrement)))
    assert first.order is not None
    assert (first.order.quantity, first.order.version, first.order.reason) == (2, 2, OrderReason.SELF_TRADE)
    assert words([second]) == ["canceled"]


def test_answer_has_the_fills_that_each_order_took() -> None:
    engine = engine_with([sell(ALICE, quantity=2, price=10), sell(ALICE, quantity=2, price=11)])
    found = results(engine, batch(buy(quantity=3, price=11), buy(quantity=1, price=11), buy(quantity=1, price=11)))
    assert words(found) == ["filled", "filled", "open"]
    assert [[(fill.price, fill.quantity) for fill in each.fills] for each in found] == [
        [(10, 2), (11, 1)],
        [(11, 1)],
        [],
    ]


def test_each_order_of_a_batch_may_meet_as_many_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.matching.COMMAND_ORDER_OPERATIONS_MAX", 2)
    engine = engine_with([sell(ALICE, quantity=1, price=10) for _ in range(5)])
    found = results(engine, batch(buy(quantity=2, price=10), buy(quantity=3, price=10)))
    assert words(found) == ["filled", "canceled"]
    assert found[1].order is not None
    assert (found[1].order.filled_quantity, found[1].order.reason) == (2, OrderReason.SWEEP_LIMIT)


def test_known_order_of_a_batch_is_answered_as_it_is() -> None:
    engine = engine_with()
    command = batch(buy(quantity=5, price=10), buy(quantity=5, price=9))
    results(engine, command)
    again = results(engine, batch(buy(quantity=5, price=10), buy(quantity=6, price=9), buy(quantity=1, price=8)))
    assert words(again) == ["open", "client_order_id_reused", "open"]
    assert [each.duplicate for each in again] == [True, False, False]


def test_batch_admits_every_type() -> None:
    engine = engine_with([sell(ALICE, quantity=9, price=10)])
    stop = sell(quantity=1, type=OrderType.STOP, trigger_price=5, time_in_force=buy(quantity=1, price=1).time_in_force)
    found = results(engine, batch(buy(quantity=1), stop, buy(quantity=1, price=10, time_in_force=FOK)))
    assert words(found) == ["filled", "untriggered", "filled"]


# ---- the batch itself --------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize(
    ("orders", "account_id", "reason", "field"),
    [
        ((), BOB, RejectReason.INVALID_REQUEST, "orders"),
        ((buy(ALICE, quantity=1, price=1),), BOB, RejectReason.INVALID_REQUEST, "orders"),
        ((buy(quantity=1, price=1),), 999, RejectReason.NOT_FOUND, None),
        (
            (buy(quantity=1, price=1, client_order_id="x"), buy(quantity=1, price=2, client_order_id="x")),
            BOB,
            RejectReason.INVALID_REQUEST,
            "client_order_id",
        ),
    ],
)
def test_senseless_batch_is_refused_without_an_event(
    orders: tuple[PlaceOrder, ...], account_id: int, reason: RejectReason, field: str | None, *, atomic: bool
) -> None:
    engine = engine_with()
    rejection = refused(engine, batch(*orders, account_id=account_id, atomic=atomic))
    assert (rejection.reason, rejection.field) == (reason, field)
    assert engine.seal().accounts == []


def test_every_order_of_a_batch_needs_a_client_order_id() -> None:
    engine = engine_with()
    rejection = refused(engine, PlaceBatch(BOB, (buy(quantity=1, price=1),), atomic=False))
    assert (rejection.reason, rejection.field) == ("invalid_request", "client_order_id")


def test_batch_has_at_most_fifty_orders() -> None:
    engine = engine_with()
    orders = [buy(quantity=1, price=1, client_order_id=f"n{number}") for number in range(51)]
    assert batches.BATCH_ORDERS_MAX == 50
    assert refused(engine, batch(*orders)).field == "orders"
    assert len(results(engine, batch(*orders[:50]))) == 50


# ---- all or none -------------------------------------------------------------------------------


def test_atomic_batch_is_accepted_as_a_whole_before_anything_trades() -> None:
    engine = engine_with([sell(ALICE, quantity=2, price=10)])
    events = accepted(engine, batch(buy(quantity=2, price=10), buy(quantity=5, price=9), atomic=True))
    kinds = [type(event) for event in events if isinstance(event, OrderAccepted | TradeExecuted)]
    assert kinds == [OrderAccepted, OrderAccepted, TradeExecuted]
    assert words(engine.outcome.results) == ["filled", "open"]
    assert [len(each.fills) for each in engine.outcome.results] == [1, 0]


def test_atomic_batch_is_refused_as_a_whole_by_its_first_refusal() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 100}})
    orders = buy(quantity=5, price=10), buy(quantity=6, price=10), buy(quantity=60, price=10)
    command = batch(*orders, atomic=True)
    found = results(engine, command)
    assert [(each.rejection and (each.rejection.reason, each.rejection.field)) for each in found] == [
        ("invalid_request", "orders"),
        ("insufficient_balance", None),
        ("invalid_request", "orders"),
    ]
    rejected = [event for _, events in engine.seal().accounts for event in events]
    assert only(OrderRejected, rejected).terms is command.orders[1]
    assert len(rejected) == 1
    assert bids(engine) == []
    assert held(engine, BOB, QUOTE) == 0
    # What came before is forgotten: the ids are free again.
    assert (engine.state.orders, engine.state.accounts[BOB].client_ids) == ({}, {})
    again = results(engine, batch(buy(quantity=5, price=10), atomic=True))
    assert again[0].order is not None
    assert again[0].order.order_id == 1


def test_order_of_an_atomic_batch_finds_available_what_those_before_it_left() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 100}})
    found = results(engine, batch(buy(quantity=5, price=10), buy(quantity=6, price=10), atomic=True))
    rejection = found[1].rejection
    assert rejection is not None
    assert (rejection.limit, rejection.actual, rejection.unit) == ("50", "60", QUOTE)
    assert words(results(engine, batch(buy(quantity=5, price=10), buy(quantity=5, price=10), atomic=True))) == [
        "open",
        "open",
    ]


def test_order_of_an_atomic_batch_counts_those_before_it_as_open() -> None:
    engine = engine_with()
    accepted(engine, SetLimits({"open_orders": "2"}))
    orders = [buy(quantity=1, price=price) for price in (10, 9, 8)]
    found = results(engine, batch(*orders, atomic=True))
    assert found[2].rejection is not None
    assert (found[2].rejection.reason, found[2].rejection.actual) == ("open_order_limit", "3")
    assert words(results(engine, batch(*orders[:2], atomic=True))) == ["open", "open"]


@pytest.mark.parametrize(
    "odd",
    [
        buy(quantity=1),
        buy(quantity=1, price=5, time_in_force=IOC),
        buy(quantity=1, price=5, time_in_force=FOK),
        buy(quantity=1, price=5, type=OrderType.STOP_LIMIT, trigger_price=5),
        buy(quantity=1, price=5, reduce_only=True),
    ],
    ids=["market", "ioc", "fok", "stop_limit", "reduce_only"],
)
def test_atomic_batch_admits_only_orders_that_rest(odd: PlaceOrder) -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=10)])
    rejection = refused(engine, batch(buy(quantity=1, price=5), odd, atomic=True))
    assert (rejection.reason, rejection.field) == ("invalid_request", "orders")


def test_repeated_atomic_batch_is_answered_as_its_orders_are() -> None:
    engine = engine_with()
    command = batch(buy(quantity=5, price=10), buy(quantity=5, price=9), atomic=True)
    results(engine, command)
    accepted(engine, sell(ALICE, quantity=5, price=10))
    found = results(engine, command)
    assert words(found) == ["filled", "open"]
    assert [each.duplicate for each in found] == [True, True]
    assert [len(each.fills) for each in found] == [0, 0]


def test_atomic_batch_with_a_known_order_among_new_ones_is_refused() -> None:
    engine = engine_with([buy(quantity=5, price=10, client_order_id="a")])
    assert reason_of(engine, batch(buy(quantity=5, price=10), buy(quantity=1, price=1), atomic=True)) == (
        "client_order_id_reused"
    )
    assert reason_of(engine, batch(buy(quantity=6, price=10), atomic=True)) == "client_order_id_reused"


def test_unknown_instrument_refuses_an_atomic_batch_without_an_event() -> None:
    engine = engine_with()
    found = results(engine, batch(buy(quantity=1, price=1), buy(quantity=1, price=1, symbol="NOPE"), atomic=True))
    assert words(found) == ["invalid_request", "unknown_symbol"]
    assert engine.seal().accounts == []


@pytest.mark.parametrize("mode", list(PostOnly))
def test_post_only_order_of_an_atomic_batch_that_would_now_take_is_canceled(mode: PostOnly) -> None:
    engine = engine_with()
    orders = sell(quantity=5, price=10), buy(quantity=5, price=10, post_only=mode)
    found = results(engine, batch(*orders, atomic=True))
    assert words(found) == ["open", "canceled"]
    assert found[1].order is not None
    assert found[1].order.reason == "post_only"
    assert asks(engine) == [(10, 5)]


def test_orders_of_an_atomic_batch_that_meet_are_handled_like_any_two_of_one_owner() -> None:
    engine = engine_with()
    oldest = SelfTradePrevention.CANCEL_OLDEST
    found = results(engine, batch(sell(quantity=5, price=10), buy(quantity=5, price=10, stp=oldest), atomic=True))
    assert words(found) == ["canceled", "open"]
    assert found[0].order is not None
    assert found[0].order.reason == "self_trade"


def test_breaker_tripped_by_an_order_of_an_atomic_batch_ends_those_that_would_trade_after_it() -> None:
    engine = engine_with(
        [sell(ALICE, quantity=1, price=100), sell(ALICE, quantity=9, price=200)],
        breaker_move=10 * PERCENT,
        breaker_window_ns=10,
        breaker_halt_ns=10,
    )
    accepted(engine, buy(quantity=1, price=100))
    found = results(
        engine, batch(buy(quantity=1, price=200), buy(quantity=2, price=250), buy(quantity=3, price=90), atomic=True)
    )
    assert words(found) == ["canceled", "canceled", "open"]
    reasons = [each.order and each.order.reason for each in found]
    assert reasons == ["circuit_breaker", "circuit_breaker", None]
    assert bids(engine) == [(90, 3)]


def test_level_of_an_atomic_batch_stays_within_64_bits() -> None:
    engine = engine_with()
    most = 2**62
    found = results(engine, batch(*[sell(quantity=most, price=1) for _ in range(2)], atomic=True))
    assert words(found) == ["open", "canceled"]
    assert asks(engine) == [(1, most)]
    engine.seal()
    assert twin_of(engine).state_hash() == engine.state_hash()


def test_atomic_batch_survives_a_checkpoint() -> None:
    engine = engine_with([sell(ALICE, quantity=2, price=10)])
    results(engine, batch(buy(quantity=2, price=10), buy(quantity=5, price=9), atomic=True))
    engine.seal()
    twin = twin_of(engine)
    for each in (engine, twin):
        events = accepted(each, sell(ALICE, quantity=5, price=9))
        assert len(all_of(OrderFilled, events)) == 2
    assert available(twin, BOB, BASE) == available(engine, BOB, BASE)
    assert order(twin, 3).filled == 5
