"""Instruments: what makes a valid one, what may change, and what a status brings with it."""

from typing import Any

import pytest

from app.domain.commands import (
    CreateAsset,
    CreateInstrument,
    Tick,
    UpdateInstrument,
)
from app.domain.enums import InstrumentStatus, OrderReason, OrderStatus
from app.domain.events import InstrumentListed, OrderCanceled
from app.engine import instruments, invariants
from app.engine.engine import Engine
from app.protocol.records import encode
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    asks,
    bids,
    buy,
    engine_with,
    held,
    instrument_command,
    only,
    order,
    placed,
    reason_of,
    refused,
    sell,
    update,
)


def listing_of(base_scale: int, quote_scale: int, tick_size: str, lot_size: str) -> Engine:
    """Return an engine after an attempt to list an instrument."""
    engine = Engine()
    accepted(engine, CreateAsset("B", base_scale))
    accepted(engine, CreateAsset("Q", quote_scale))
    engine.apply(CreateInstrument("S", "B", "Q", tick_size, lot_size))
    return engine


def refused_field(engine: Engine) -> str | None:
    rejection = engine.outcome.rejection
    return None if rejection is None else rejection.field


def test_number_of_instruments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    monkeypatch.setattr(instruments, "INSTRUMENTS_MAX", 1)
    assert reason_of(engine, instrument_command(symbol="X")) == "invalid_request"


@pytest.mark.parametrize(
    ("quote_scale", "tick_size", "lot_size", "notional_unit", "lot_units"),
    [
        (10, "0.01", "0.00000001", 1, 1),
        (2, "0.5", "0.2", 10, 20_000_000),  # 0.1 quote; needless zeros of the product do not count
        (0, "5", "20", 100, 2_000_000_000),
        (0, "0.00000001", "100000000", 1, 10**16),
        (4, "0.0100", "0.0100", 1, 1_000_000),
    ],
)
def test_instrument_is_valid_when_tick_times_lot_is_whole_quote_units(
    quote_scale: int, tick_size: str, lot_size: str, notional_unit: int, lot_units: int
) -> None:
    engine = listing_of(8, quote_scale, tick_size, lot_size)
    instrument = engine.outcome.instrument
    assert instrument is not None
    assert (instrument.notional_unit, instrument.lot_units) == (notional_unit, lot_units)


@pytest.mark.parametrize(
    ("tick_size", "lot_size", "field"),
    [
        ("0.001", "0.01", "tick_size"),
        ("0.5", "0.01", "tick_size"),
        ("0", "1", "tick_size"),
        ("0.0", "1", "tick_size"),
        ("-1", "1", "tick_size"),
        ("1e2", "1", "tick_size"),
        ("", "1", "tick_size"),
        ("1", "0", "lot_size"),
        ("1", "0.001", "lot_size"),
        ("1", "x", "lot_size"),
        ("9" * 39, "1", "tick_size"),
        ("1", "9" * 39, "lot_size"),
    ],
)
def test_instrument_that_would_round_a_notional_or_overflow_is_refused(
    tick_size: str, lot_size: str, field: str
) -> None:
    engine = listing_of(2, 2, tick_size, lot_size)
    assert refused_field(engine) == field
    assert encode(engine.seal().system)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base": "NOPE"}, "base"),
        ({"quote": "NOPE"}, "quote"),
        ({"quote": BASE}, "base"),
        ({"min_quantity": 0}, "min_quantity"),
        ({"max_quantity": -1}, "max_quantity"),
        ({"max_quantity": 2**63}, "max_quantity"),
        ({"min_quantity": 5, "max_quantity": 4}, "max_quantity"),
        ({"min_notional": 5, "max_notional": 4}, "max_notional"),
        ({"max_notional": 2**64}, "max_notional"),
        ({"reference_price": 2**63}, "reference_price"),
        ({"price_band": PERCENT}, "reference_price"),
        ({"price_band": -1, "reference_price": 1}, "price_band"),
        ({"price_band": 100 * PERCENT, "reference_price": 1}, "price_band"),
        ({"max_slippage": 100 * PERCENT}, "max_slippage"),
        ({"taker_fee": -1}, "taker_fee"),
        ({"taker_fee": 100 * PERCENT}, "taker_fee"),
        ({"maker_fee": -100 * PERCENT, "taker_fee": 99 * PERCENT}, "maker_fee"),
        ({"maker_fee": -2, "taker_fee": 1}, "taker_fee"),
        ({"order_types": ()}, "order_types"),
    ],
)
def test_instrument_field_out_of_range_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    engine = engine_with()
    rejection = refused(engine, instrument_command(symbol="NEW", **change))
    assert (rejection.reason, rejection.field) == ("invalid_request", field)
    assert "NEW" not in engine.state.books


def test_rebate_may_be_as_large_as_the_taker_fee() -> None:
    accepted(engine_with(), instrument_command(symbol="NEW", maker_fee=-5, taker_fee=5))


def test_listing_the_same_instrument_again_changes_nothing_and_another_one_is_refused() -> None:
    engine = engine_with()
    assert accepted(engine, instrument_command()) == []
    assert engine.outcome.duplicate
    assert engine.outcome.instrument == engine.state.books[SYMBOL].instrument
    assert refused(engine, instrument_command(tick_size="2")).field == "symbol"


def test_update_changes_what_it_names_and_leaves_the_rest() -> None:
    engine = engine_with(min_quantity=2, max_quantity=9)
    events = accepted(engine, update(max_quantity=None, taker_fee=PERCENT, status=InstrumentStatus.POST_ONLY))
    listed = only(InstrumentListed, events).instrument
    assert (listed.min_quantity, listed.max_quantity, listed.taker_fee, listed.status) == (
        2, None, PERCENT, InstrumentStatus.POST_ONLY,
    )  # fmt: skip
    assert engine.outcome.instrument == listed


@pytest.mark.parametrize("name", ["maker_fee", "taker_fee", "max_slippage"])
def test_fee_and_slippage_cannot_be_removed(name: str) -> None:
    engine = engine_with(resting=[sell(quantity=1, price=100)])
    assert refused(engine, update(**{name: None})).field == name
    accepted(engine, buy(ALICE, quantity=1))


def test_update_of_an_unknown_symbol_or_of_a_field_that_never_changes_is_refused() -> None:
    engine = engine_with()
    assert reason_of(engine, UpdateInstrument("NOPE")) == "unknown_symbol"
    assert refused(engine, update(notional_unit=5)).field == "filters"
    assert refused(engine, update(max_quantity=0)).field == "max_quantity"


def test_closed_instrument_loses_its_orders_at_the_next_tick_oldest_first_and_their_holds() -> None:
    engine = engine_with(
        resting=[
            buy(quantity=1, price=10),
            sell(quantity=1, price=30),
            buy(ALICE, quantity=1, price=11),
            sell(quantity=1, price=20),
            buy(quantity=1, price=11),
        ]
    )
    assert all_of(OrderCanceled, accepted(engine, update(status=InstrumentStatus.CLOSED))) == []
    assert engine.next_deadline == 0
    events = accepted(engine, Tick())
    canceled = [event.order for event in all_of(OrderCanceled, events)]
    assert [state.order_id for state in canceled] == [1, 2, 3, 4, 5]
    assert {state.reason for state in canceled} == {OrderReason.INSTRUMENT_CLOSED}
    assert (bids(engine), asks(engine)) == ([], [])
    assert [held(engine, account_id, asset) for account_id in (ALICE, BOB) for asset in (BASE, QUOTE)] == [0] * 4
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(11, 0), (10, 0)], [(20, 0), (30, 0)])
    invariants.check(engine.state)


def test_closed_instrument_stays_closed() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=10)])
    accepted(engine, update(status=InstrumentStatus.CLOSED))
    assert reason_of(engine, update(status=InstrumentStatus.OPEN)) == "instrument_not_open"
    assert reason_of(engine, buy(quantity=1, price=10)) == "instrument_not_open"
    accepted(engine, Tick())
    assert order(engine, 1).status is OrderStatus.CANCELED


def test_tighter_filters_leave_open_orders_alone_until_they_are_amended() -> None:
    engine = engine_with(resting=[buy(quantity=50, price=10)])
    accepted(engine, update(max_quantity=5))
    assert placed(engine, sell(ALICE, quantity=5, price=10)).status is OrderStatus.FILLED
    assert bids(engine) == [(10, 45)]


# ---- accounts ----------------------------------------------------------------------------------
