"""Cancels of many orders: which ones a filter means, what one command does, and what it leaves to Ticks."""

from typing import Any

import pytest

from app.domain.commands import CancelAll, CloseSession, Tick
from app.domain.enums import InstrumentStatus, Side
from app.domain.events import Event, OrderCanceled
from app.engine import invariants, mass_cancel
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    QUOTE,
    accepted,
    all_of,
    buy,
    cancel,
    cancel_all,
    engine_with,
    held,
    instrument_command,
    reason_of,
    sell,
    twin_of,
    update,
)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mass_cancel, "COMMAND_ORDER_OPERATIONS_MAX", 4)
    monkeypatch.setattr(mass_cancel, "SLICE_ORDERS_MAX", 2)


def ids_of(events: list[Event]) -> list[int]:
    """Return the orders that were canceled, in order."""
    return [event.order.order_id for event in all_of(OrderCanceled, events)]


def canceled_by(engine: Engine, command: CancelAll | CloseSession) -> list[int]:
    """Apply a cancel of many; its events and its answer must name the same orders."""
    events = accepted(engine, command)
    assert [state.order_id for state in engine.outcome.orders] == ids_of(events)
    return ids_of(events)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"symbol": "BTC-USD"}, [1, 2, 3]),
        ({"symbol": "NOPE"}, []),
        ({"side": Side.SELL}, [2, 4]),
        ({"label": "a"}, [1, 2]),
        ({"session_id": "s"}, [2, 3]),
        ({"side": Side.SELL, "label": "a", "session_id": "s"}, [2]),
    ],
)
def test_filters_of_a_cancel_all_must_all_match(filters: dict[str, Any], expected: list[int]) -> None:
    engine = engine_with()
    accepted(engine, instrument_command(symbol="BTC-OTHER"))
    for order in (
        buy(quantity=1, price=10, label="a"),
        sell(quantity=1, price=20, label="a", session_id="s"),
        buy(quantity=1, price=11, session_id="s"),
        sell(quantity=1, price=20, symbol="BTC-OTHER"),
        buy(ALICE, quantity=1, price=10, label="a", session_id="s"),
    ):
        accepted(engine, order)
    assert canceled_by(engine, cancel_all(BOB, **filters)) == expected


def test_closed_session_loses_what_it_placed_and_nothing_else() -> None:
    engine = engine_with([buy(quantity=1, price=10, session_id="s"), buy(quantity=1, price=10, session_id="t")])
    assert canceled_by(engine, CloseSession(BOB, "s")) == [1]
    assert engine.state.orders[1].reason == "disconnect"
    assert reason_of(engine, CloseSession(999, "s")) == "not_found"
    assert reason_of(engine, cancel_all(999)) == "not_found"


def test_more_orders_than_a_command_may_cancel_are_left_to_ticks() -> None:
    engine = engine_with([buy(quantity=1, price=10) for _ in range(9)])
    assert canceled_by(engine, cancel_all(BOB)) == [1, 2, 3, 4]
    assert engine.next_deadline == 0
    accepted(engine, buy(quantity=1, price=10))
    assert ids_of(accepted(engine, Tick())) == [5, 6]
    accepted(engine, cancel(7))
    assert ids_of(accepted(engine, Tick())) == [8, 9]
    # Order 10 came after the cancel_all: it is not meant.
    assert engine.next_deadline is None
    assert held(engine, BOB, QUOTE) == 10


def test_nothing_is_left_to_ticks_when_the_command_could_cancel_all() -> None:
    engine = engine_with([buy(quantity=1, price=10) for _ in range(4)])
    assert canceled_by(engine, cancel_all(BOB)) == [1, 2, 3, 4]
    assert engine.next_deadline is None


def test_closing_of_a_large_instrument_goes_on_slice_by_slice_over_all_accounts() -> None:
    engine = engine_with([buy(account, quantity=1, price=10) for account in (ALICE, BOB, ALICE, BOB, BOB)])
    accepted(engine, update(status=InstrumentStatus.CLOSED))
    slices = [ids_of(accepted(engine, Tick())) for _ in range(4)]
    assert slices == [[1, 2], [3, 4], [5], []]
    assert engine.next_deadline is None


def test_empty_instrument_closes_without_a_tick() -> None:
    engine = engine_with()
    accepted(engine, update(status=InstrumentStatus.CLOSED))
    assert engine.next_deadline is None


def test_oldest_mass_cancel_is_finished_first() -> None:
    engine = engine_with([buy(account, quantity=1, price=10) for account in [BOB] * 7 + [ALICE] * 6])
    assert canceled_by(engine, cancel_all(BOB)) == [1, 2, 3, 4]
    assert canceled_by(engine, cancel_all(ALICE)) == [8, 9, 10, 11]
    assert [ids_of(accepted(engine, Tick())) for _ in range(3)] == [[5, 6], [7], [12, 13]]


def test_restored_engine_goes_on_where_a_mass_cancel_stood() -> None:
    engine = engine_with([buy(account, quantity=1, price=10) for account in [BOB, ALICE] * 4])
    accepted(engine, update(status=InstrumentStatus.CLOSED))
    assert ids_of(accepted(engine, Tick())) == [1, 2]
    engine.seal()
    twin = twin_of(engine)
    for each in (engine, twin):
        accepted(each, cancel(4, ALICE))
        assert ids_of(accepted(each, Tick())) == [3, 5]
        each.seal()
        invariants.check(each.state)
    assert twin.state_hash() == engine.state_hash()
