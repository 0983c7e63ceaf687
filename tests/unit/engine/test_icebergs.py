"""Orders that show only part of themselves: in the book, in a sweep, under an amend and under self-trade prevention."""

from typing import Any

import pytest

from app.domain.enums import SelfTradePrevention, TimeInForce
from app.domain.events import OrderAmended, OrderFilled, OrderPartiallyFilled, TradeExecuted, TradePrevented
from app.engine import invariants, matching
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    FOK,
    IOC,
    SYMBOL,
    accepted,
    all_of,
    amend,
    asks,
    buy,
    engine_with,
    held,
    only,
    order,
    placed,
    refused,
    sell,
    stop,
)

DECREMENT = SelfTradePrevention.DECREMENT


def iceberg(quantity: int = 10, display: int = 3, *, price: int = 100, **terms: Any) -> Any:
    return sell(BOB, quantity=quantity, price=price, display_quantity=display, **terms)


def makers(events: list[Any]) -> list[tuple[int, int]]:
    """Return maker and quantity of each print."""
    return [(trade.maker_order_id, trade.quantity) for trade in all_of(TradeExecuted, events)]


def test_an_iceberg_shows_a_part_and_holds_the_whole() -> None:
    engine = engine_with()
    state = placed(engine, iceberg())
    assert (state.quantity, state.display_quantity) == (10, 3)
    assert asks(engine) == [(100, 3)]
    assert held(engine, BOB, "BTC") == 10
    sealed = engine.seal()
    assert sealed.books[0].delta is not None
    assert sealed.books[0].delta.asks == [(100, 3)]


def test_a_refill_goes_to_the_back_of_its_level() -> None:
    engine = engine_with([iceberg(), sell(CAROL, quantity=5, price=100)])
    assert makers(accepted(engine, buy(ALICE, quantity=3, price=100))) == [(1, 3)]
    assert asks(engine) == [(100, 8)]
    assert makers(accepted(engine, buy(ALICE, quantity=6, price=100))) == [(2, 5), (1, 1)]
    assert asks(engine) == [(100, 2)]


def test_one_sweep_takes_part_after_part_with_a_fill_for_each() -> None:
    engine = engine_with([iceberg(), sell(CAROL, quantity=5, price=100)])
    events = accepted(engine, buy(ALICE, quantity=14, price=100))
    assert makers(events) == [(1, 3), (2, 5), (1, 3), (1, 3)]
    assert [event.fill.quantity for event in all_of(OrderPartiallyFilled, events) if event.order.order_id == 1] == [
        3
    ] * 3
    assert asks(engine) == [(100, 1)]
    assert order(engine, 1).remaining == 1
    invariants.check(engine.state)


def test_as_taker_an_iceberg_uses_all_it_has_and_rests_with_a_full_part() -> None:
    engine = engine_with([buy(ALICE, quantity=4, price=100)])
    assert placed(engine, iceberg()).filled_quantity == 4
    assert asks(engine) == [(100, 3)]


def test_the_last_part_is_what_is_left() -> None:
    engine = engine_with([iceberg(7, 3)])
    accepted(engine, buy(ALICE, quantity=6, price=100))
    assert asks(engine) == [(100, 1)]
    assert len(all_of(OrderFilled, accepted(engine, buy(ALICE, quantity=1, price=100)))) == 2


@pytest.mark.parametrize("change", [{"display_quantity": 10}, {"display_quantity": 0}, {"time_in_force": IOC}])
def test_what_is_no_iceberg_is_refused(change: dict[str, Any]) -> None:
    command = sell(BOB, **({"quantity": 10, "price": 100, "display_quantity": 3} | change))
    rejection = refused(engine_with(), command)
    assert (rejection.reason, rejection.field) == ("invalid_request", "display_quantity")


def test_fok_counts_hidden_parts() -> None:
    engine = engine_with([iceberg()])
    assert refused(engine, buy(ALICE, quantity=11, price=100, time_in_force=FOK)).reason == "fok_not_fillable"
    assert placed(engine, buy(ALICE, quantity=10, price=100, time_in_force=FOK)).status == "filled"


def test_fok_sees_the_own_order_that_it_would_meet_before_a_refill() -> None:
    """The first part is not enough, and behind it stands an own order: meeting that before it is full refuses it."""
    engine = engine_with([iceberg(), sell(ALICE, quantity=1, price=100)])
    assert placed(engine, buy(ALICE, quantity=3, price=100, time_in_force=FOK)).status == "filled"
    engine = engine_with([iceberg(), sell(ALICE, quantity=1, price=100)])
    assert refused(engine, buy(ALICE, quantity=4, price=100, time_in_force=FOK)).reason == "fok_not_fillable"


def test_each_part_counts_as_a_resting_order_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with([iceberg(10, 1)])
    state = placed(engine, buy(ALICE, quantity=5, price=100))
    assert (state.filled_quantity, state.reason) == (3, "sweep_limit")
    engine = engine_with([iceberg(10, 1)])
    assert refused(engine, buy(ALICE, quantity=4, price=100, time_in_force=FOK)).reason == "fok_not_fillable"


# ---- amend -------------------------------------------------------------------------------------


def after_two(engine: Engine) -> list[int]:
    """Return who trades first with an order for one lot."""
    return [maker for maker, _ in makers(accepted(engine, buy(ALICE, quantity=1, price=100)))]


@pytest.mark.parametrize(
    ("changes", "priority", "shown"),
    [
        ({"quantity": 8}, "kept", 3),
        ({"quantity": 2}, "kept", 2),
        ({"quantity": 12}, "lost", 3),
        ({"display_quantity": 5}, "lost", 5),
        ({"display_quantity": 50}, "lost", 10),
        ({"display_quantity": 3}, "kept", 3),
        ({"display_quantity": 2, "quantity": 4}, "lost", 2),
    ],
)
def test_an_amended_iceberg(changes: dict[str, int], priority: str, shown: int) -> None:
    engine = engine_with([iceberg(), sell(CAROL, quantity=1, price=100)])
    accepted(engine, amend(1, **changes))
    assert engine.outcome.priority == priority
    assert asks(engine) == [(100, shown + 1)]
    assert after_two(engine) == [1 if priority == "kept" else 2]
    invariants.check(engine.state)


def test_a_shrink_leaves_what_is_left_of_the_part() -> None:
    engine = engine_with([iceberg()])
    accepted(engine, buy(ALICE, quantity=1, price=100))
    accepted(engine, amend(1, quantity=9))
    assert asks(engine) == [(100, 2)]
    accepted(engine, amend(1, quantity=2))
    assert asks(engine) == [(100, 1)]


def test_a_plain_order_becomes_an_iceberg() -> None:
    engine = engine_with([sell(BOB, quantity=10, price=100)])
    accepted(engine, amend(1, display_quantity=4))
    assert asks(engine) == [(100, 4)]
    assert engine.outcome.order is not None
    assert engine.outcome.order.display_quantity == 4


@pytest.mark.parametrize("display", [0, -1, 2**63])
def test_a_display_quantity_is_at_least_one_lot_and_fits_an_integer(display: int) -> None:
    assert refused(engine_with([iceberg()]), amend(1, display_quantity=display)).field == "display_quantity"


def test_a_display_quantity_is_whole_lots() -> None:
    rejection = refused(engine_with([iceberg()]), amend(1, display_quantity=25, display_quantity_scale=1))
    assert (rejection.reason, rejection.field) == ("invalid_quantity_lot", "display_quantity")


def test_an_order_that_cannot_rest_cannot_show_less() -> None:
    engine = engine_with()
    placed(engine, stop(ALICE, "sell", 5, 100))
    assert refused(engine, amend(1, ALICE, display_quantity=1)).field == "display_quantity"


def test_an_amend_to_a_crossing_price_trades_with_all_that_remains() -> None:
    engine = engine_with([iceberg(), buy(CAROL, quantity=8, price=90)])
    accepted(engine, amend(1, price=90))
    assert [fill.quantity for fill in engine.outcome.fills] == [8]
    assert asks(engine) == [(90, 2)]


# ---- self-trade prevention ---------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "shown", "remaining"), [(2, 1, 8), (3, 3, 7), (8, 2, 2)])
def test_a_decrement_takes_the_shown_part_first(quantity: int, shown: int, remaining: int) -> None:
    engine = engine_with([iceberg(), sell(CAROL, quantity=1, price=100)])
    events = accepted(engine, buy(BOB, quantity=quantity, price=100, stp=DECREMENT))
    assert only(TradePrevented, events).quantity == quantity
    assert only(OrderAmended, events).order.quantity == remaining
    assert asks(engine) == [(100, shown + 1)]
    assert after_two(engine) == [1 if quantity == 2 else 2]
    invariants.check(engine.state)


def test_canceling_the_oldest_cancels_the_hidden_part_too() -> None:
    engine = engine_with([iceberg()])
    placed(engine, buy(BOB, quantity=1, price=100, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert asks(engine) == []
    assert (order(engine, 1).status, held(engine, BOB, "BTC")) == ("canceled", 0)


# ---- restart -----------------------------------------------------------------------------------


def test_a_half_taken_part_and_its_place_survive_a_restart() -> None:
    engine = engine_with([iceberg(), sell(CAROL, quantity=1, price=100), iceberg(time_in_force=TimeInForce.DAY)])
    accepted(engine, buy(ALICE, quantity=5, price=100))
    engine.seal()
    restored = Engine.restore(engine.checkpoint(), engine.state_hash())
    assert asks(restored) == asks(engine) == [(100, 5)]
    invariants.check(restored.state)
    for each in (engine, restored):
        assert makers(accepted(each, buy(ALICE, quantity=6, price=100))) == [(3, 2), (1, 3), (3, 1)]
        each.seal()
    assert engine.state_hash() == restored.state_hash()
    assert restored.state.books[SYMBOL].asks.published == {}
