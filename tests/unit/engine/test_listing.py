"""Assets, instruments, accounts, transfers, limits and epochs."""

from typing import Any

import pytest

from app.domain.commands import (
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    SetLimits,
    StartEpoch,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import AccountStatus, InstrumentStatus, OrderReason, OrderStatus, OrderType
from app.domain.events import AccountOpened, AssetCreated, FundsTransferred, InstrumentListed, OrderCanceled
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine import invariants, listing
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
    available,
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

STRANGER = 4_711


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


# ---- assets ------------------------------------------------------------------------------------


def test_asset_is_created_once_and_repeating_it_changes_nothing() -> None:
    engine = Engine()
    assert only(AssetCreated, accepted(engine, CreateAsset("BTC", 8))).scale == 8
    assert accepted(engine, CreateAsset("BTC", 8)) == []
    assert engine.outcome.duplicate
    assert refused(engine, CreateAsset("BTC", 6)).field == "scale"


@pytest.mark.parametrize("scale", [-1, 19])
def test_scale_of_an_asset_is_0_to_18(scale: int) -> None:
    assert reason_of(Engine(), CreateAsset("X", scale)) == "invalid_request"


def test_number_of_assets_and_instruments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    monkeypatch.setattr(listing, "ASSETS_MAX", 2)
    monkeypatch.setattr(listing, "INSTRUMENTS_MAX", 1)
    assert reason_of(engine, CreateAsset("X", 0)) == "invalid_request"
    assert reason_of(engine, instrument_command(symbol="X")) == "invalid_request"


# ---- instruments -------------------------------------------------------------------------------


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
        ({"order_types": (OrderType.LIMIT, OrderType.STOP_LIMIT)}, "order_types"),
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


def test_closing_cancels_everything_bids_then_asks_best_first_and_releases_the_holds() -> None:
    engine = engine_with(
        resting=[
            buy(quantity=1, price=10),
            sell(quantity=1, price=30),
            buy(ALICE, quantity=1, price=11),
            sell(quantity=1, price=20),
            buy(quantity=1, price=11),
        ]
    )
    events = accepted(engine, update(status=InstrumentStatus.CLOSED))
    canceled = [event.order for event in all_of(OrderCanceled, events)]
    assert [state.order_id for state in canceled] == [3, 5, 1, 4, 2]
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
    assert order(engine, 1).state.status is OrderStatus.CANCELED


def test_tighter_filters_leave_open_orders_alone_until_they_are_amended() -> None:
    engine = engine_with(resting=[buy(quantity=50, price=10)])
    accepted(engine, update(max_quantity=5))
    assert placed(engine, sell(ALICE, quantity=5, price=10)).status is OrderStatus.FILLED
    assert bids(engine) == [(10, 45)]


# ---- accounts ----------------------------------------------------------------------------------


def test_account_is_opened_once_by_name() -> None:
    engine = engine_with()
    events = accepted(engine, CreateAccount("dora"))
    assert only(AccountOpened, events).account_id == engine.outcome.account_id == 1004
    assert accepted(engine, CreateAccount("dora")) == []
    assert (engine.outcome.duplicate, engine.outcome.account_id) == (True, 1004)


@pytest.mark.parametrize("name", ["fees", "external"])
def test_names_of_the_houses_accounts_are_taken(name: str) -> None:
    assert refused(engine_with(), CreateAccount(name)).field == "name"


@pytest.mark.parametrize("account_id", [EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID, STRANGER])
def test_house_and_unknown_accounts_are_neither_edited_nor_funded(account_id: int) -> None:
    engine = engine_with()
    assert reason_of(engine, UpdateAccount(account_id, AccountStatus.FROZEN)) == "not_found"
    assert reason_of(engine, Deposit(account_id, QUOTE, "1", "t")) == "not_found"
    assert reason_of(engine, Withdraw(account_id, QUOTE, "1", "t")) == "not_found"


# ---- transfers ---------------------------------------------------------------------------------


def test_transfer_is_executed_once_however_often_it_is_sent() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    for duplicate in (False, True, True):
        events = accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
        assert (engine.outcome.duplicate, events == []) == (duplicate, duplicate)
    accepted(engine, Withdraw(ALICE, QUOTE, "30", "w1"))
    accepted(engine, Withdraw(ALICE, QUOTE, "30", "w1"))
    assert available(engine, ALICE, QUOTE) == 120


@pytest.mark.parametrize(
    "other",
    [Deposit(ALICE, QUOTE, "51", "d1"), Deposit(ALICE, BASE, "50", "d1"), Withdraw(ALICE, QUOTE, "50", "d1")],
)
def test_transfer_id_with_another_body_is_refused(other: Deposit | Withdraw) -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
    assert reason_of(engine, other) == "transfer_id_reused"


def test_transfer_ids_are_per_account() -> None:
    engine = engine_with()
    accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
    accepted(engine, Deposit(BOB, QUOTE, "60", "d1"))
    assert not engine.outcome.duplicate


def test_refused_transfer_does_not_use_up_its_id() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 10}})
    rejection = refused(engine, Withdraw(ALICE, QUOTE, "11", "w"))
    assert (rejection.reason, rejection.limit, rejection.actual, rejection.unit) == (
        "insufficient_balance", "10", "11", QUOTE,
    )  # fmt: skip
    accepted(engine, Withdraw(ALICE, QUOTE, "10", "w"))


def test_withdrawal_takes_from_available_only() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}}, resting=[buy(ALICE, quantity=6, price=10)])
    assert reason_of(engine, Withdraw(ALICE, QUOTE, "41", "w")) == "insufficient_balance"
    accepted(engine, Withdraw(ALICE, QUOTE, "40", "w"))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (0, 60)


def test_balance_may_reach_10_to_the_30_and_no_more() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 10**30 - 1}})
    accepted(engine, Deposit(ALICE, QUOTE, "1", "a"))
    rejection = refused(engine, Deposit(ALICE, QUOTE, "1", "b"))
    assert (rejection.reason, rejection.limit) == ("amount_out_of_range", str(10**30))
    assert reason_of(engine, Deposit(BOB, QUOTE, str(10**30 + 1), "b")) == "amount_out_of_range"
    assert reason_of(engine, Deposit(BOB, QUOTE, "0", "b")) == "amount_out_of_range"
    assert reason_of(engine, Deposit(BOB, "NOPE", "1", "b")) == "invalid_request"


def test_transfer_is_stated_signed() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    into = only(FundsTransferred, accepted(engine, Deposit(ALICE, QUOTE, "5", "d")))
    out = only(FundsTransferred, accepted(engine, Withdraw(ALICE, QUOTE, "7", "w")))
    assert (into.amount, out.amount) == ("5", "-7")


# ---- limits and epochs -------------------------------------------------------------------------


def test_negative_limit_is_refused() -> None:
    assert refused(engine_with(), SetLimits(-1)).field == "open_orders"


def test_epoch_only_rises_and_restarts_the_books_sequences() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=10)])
    accepted(engine, StartEpoch(3))
    assert reason_of(engine, StartEpoch(3)) == "invalid_request"
    accepted(engine, buy(quantity=1, price=11))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.epoch, delta.prev_seq, delta.seq) == (3, 0, 1)
