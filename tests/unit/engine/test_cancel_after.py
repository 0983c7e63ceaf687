"""Dead man's switch: it fires unless it is called again, cancels what it is for, and is disarmed by firing."""

import pytest

from app.domain.commands import SetCancelAfter
from app.domain.enums import OrderType
from app.domain.events import CancelAfterSet, OrderCanceled
from app.engine import invariants, mass_cancel
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    GTC,
    NOON_NS,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    buy,
    cancel,
    engine_with,
    held,
    instrument_command,
    only,
    reason_of,
    refused,
    sell,
    tick_at,
    twin_of,
)

SECOND_NS = 1_000_000_000


def test_switch_that_is_not_called_again_cancels_the_orders_and_is_disarmed() -> None:
    engine = engine_with([buy(quantity=1, price=10), buy(ALICE, quantity=1, price=10)])
    event = only(CancelAfterSet, accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS)))
    due = NOON_NS + 5 * SECOND_NS
    assert (event.trigger_ns, event.fired, engine.outcome.trigger_ns, engine.next_deadline) == (due, False, due, due)
    assert tick_at(engine, due - 1) == []
    first, *rest = tick_at(engine, due)
    assert isinstance(first, CancelAfterSet)
    assert (first.trigger_ns, first.fired) == (None, True)
    canceled = only(OrderCanceled, rest).order
    assert (canceled.order_id, canceled.reason) == (1, "cancel_after")
    assert held(engine, BOB, QUOTE) == 0
    assert engine.next_deadline is None
    invariants.check(engine.state)


def test_each_call_replaces_the_one_before() -> None:
    engine = engine_with([buy(quantity=1, price=10)])
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS, symbols=()))
    engine.begin(NOON_NS + 4 * SECOND_NS)
    accepted(engine, SetCancelAfter(BOB, 3 * SECOND_NS))
    assert tick_at(engine, NOON_NS + 7 * SECOND_NS - 1) == []
    assert len(all_of(OrderCanceled, tick_at(engine, NOON_NS + 7 * SECOND_NS))) == 1


def test_timeout_of_zero_disarms_and_says_so_even_when_nothing_was_armed() -> None:
    engine = engine_with([buy(quantity=1, price=10)])
    assert only(CancelAfterSet, accepted(engine, SetCancelAfter(BOB, 0))).trigger_ns is None
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS))
    assert only(CancelAfterSet, accepted(engine, SetCancelAfter(BOB, 0))).trigger_ns is None
    assert engine.outcome.trigger_ns is None
    assert tick_at(engine, NOON_NS + 9 * SECOND_NS) == []
    assert engine.next_deadline is None


@pytest.mark.parametrize(
    ("timeout_ns", "bound"),
    [
        (1, 3 * SECOND_NS),
        (3 * SECOND_NS - 1, 3 * SECOND_NS),
        (-1, 3 * SECOND_NS),
        (300 * SECOND_NS + 1, 300 * SECOND_NS),
    ],
)
def test_timeout_outside_its_bounds_is_refused_and_changes_nothing(timeout_ns: int, bound: int) -> None:
    engine = engine_with()
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS))
    rejection = refused(engine, SetCancelAfter(BOB, timeout_ns))
    assert (rejection.field, rejection.limit, rejection.actual, rejection.unit) == (
        "timeout_ms", str(bound), str(timeout_ns), "ns",
    )  # fmt: skip
    assert engine.next_deadline == NOON_NS + 5 * SECOND_NS


def test_bounds_of_the_timeout_themselves_are_admitted() -> None:
    engine = engine_with()
    for timeout in (3 * SECOND_NS, 300 * SECOND_NS):
        accepted(engine, SetCancelAfter(BOB, timeout))


def test_switch_of_an_unknown_account_or_symbol_is_refused() -> None:
    engine = engine_with()
    assert reason_of(engine, SetCancelAfter(999, 5 * SECOND_NS)) == "not_found"
    rejection = refused(engine, SetCancelAfter(BOB, 5 * SECOND_NS, symbols=(SYMBOL, "NOPE")))
    assert (rejection.reason, rejection.field) == ("unknown_symbol", "symbols")


def test_switch_for_some_instruments_leaves_the_others_alone() -> None:
    engine = engine_with([buy(quantity=1, price=10)])
    accepted(engine, instrument_command(symbol="BTC-OTHER"))
    accepted(engine, buy(quantity=1, price=10, symbol="BTC-OTHER"))
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS, symbols=("BTC-OTHER",)))
    canceled = only(OrderCanceled, tick_at(engine, NOON_NS + 5 * SECOND_NS)).order
    assert canceled.terms.symbol == "BTC-OTHER"


def test_keep_protective_spares_what_waits_and_what_only_reduces() -> None:
    stop = sell(quantity=1, trigger_price=5, type=OrderType.STOP, time_in_force=GTC)
    engine = engine_with([buy(quantity=1, price=10), stop])
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS, keep_protective=True))
    canceled = only(OrderCanceled, tick_at(engine, NOON_NS + 5 * SECOND_NS)).order
    assert canceled.order_id == 1
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS))
    assert only(OrderCanceled, tick_at(engine, NOON_NS + 10 * SECOND_NS)).order.order_id == 2


def test_more_orders_than_a_tick_may_cancel_follow_with_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mass_cancel, "COMMAND_ORDER_OPERATIONS_MAX", 2)
    monkeypatch.setattr(mass_cancel, "SLICE_ORDERS_MAX", 2)
    engine = engine_with([buy(quantity=1, price=10) for _ in range(5)])
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS))
    # The switch cancels two, and the same Tick's slice of what it left two more.
    assert len(all_of(OrderCanceled, tick_at(engine, NOON_NS + 5 * SECOND_NS))) == 4
    assert engine.next_deadline == 0
    assert len(all_of(OrderCanceled, tick_at(engine, NOON_NS + 5 * SECOND_NS))) == 1


def test_restored_engine_keeps_an_armed_switch() -> None:
    engine = engine_with([buy(quantity=1, price=10), sell(quantity=1, price=20)])
    accepted(engine, SetCancelAfter(BOB, 5 * SECOND_NS, symbols=(SYMBOL,), keep_protective=True))
    engine.seal()
    twin = twin_of(engine)
    accepted(twin, cancel(2))
    assert [event.order.order_id for event in all_of(OrderCanceled, tick_at(twin, NOON_NS + 5 * SECOND_NS))] == [1]
    assert twin.state.accounts[BOB].cancel_after is None
