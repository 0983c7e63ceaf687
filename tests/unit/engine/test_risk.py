"""Every check before the book: it trips at one beyond its limit, not at the limit, with code, limit and actual."""

from typing import Any

import msgspec
import pytest

from app.domain.commands import PlaceOrder, SetLimits, UpdateAccount
from app.domain.enums import AccountStatus, InstrumentStatus, OrderType, PostOnly, TimeInForce
from app.engine.bounds import INTEGER_MAX
from app.protocol.records import encode
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    IOC,
    PERCENT,
    QUOTE,
    RICH,
    accepted,
    amend,
    bids,
    buy,
    cancel,
    engine_with,
    order,
    placed,
    reason_of,
    refused,
    sell,
    update,
)

LIMIT_ORDER: dict[str, Any] = {"quantity": 5, "price": 100}


def refusal(command: PlaceOrder, **instrument: Any) -> tuple[str, str | None, str | None, str | None, str | None]:
    """Return all that a refusal says."""
    rejection = refused(engine_with(**instrument), command)
    return rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit


# ---- status ------------------------------------------------------------------------------------

PLACES = {
    InstrumentStatus.OPEN: (None, None),
    InstrumentStatus.POST_ONLY: ("instrument_not_open", None),
    InstrumentStatus.AUCTION: (None, "instrument_not_open"),
    InstrumentStatus.CANCEL_ONLY: ("instrument_not_open", "instrument_not_open"),
    InstrumentStatus.HALTED: ("instrument_halted", "instrument_halted"),
    InstrumentStatus.CLOSED: ("instrument_not_open", "instrument_not_open"),
}
"""Per status the refusal of a plain order and of a post-only order."""


@pytest.mark.parametrize("status", list(InstrumentStatus))
def test_status_decides_which_orders_are_admitted(status: InstrumentStatus) -> None:
    plain, post_only = PLACES[status]
    for command, expected in (
        (buy(ALICE, **LIMIT_ORDER), plain),
        (buy(ALICE, **LIMIT_ORDER, post_only=PostOnly.REJECT), post_only),
    ):
        engine = engine_with()
        accepted(engine, update(status=status))
        engine.apply(command)
        found = engine.outcome.rejection
        assert (found.reason if found else None) == expected


@pytest.mark.parametrize("status", [status for status in InstrumentStatus if status is not InstrumentStatus.CLOSED])
def test_cancel_is_admitted_in_every_status(status: InstrumentStatus) -> None:
    engine = engine_with(resting=[buy(quantity=1, price=1)])
    accepted(engine, update(status=status))
    accepted(engine, cancel(1))


def test_frozen_account_places_nothing_but_may_cancel_and_shrink() -> None:
    engine = engine_with(resting=[buy(quantity=5, price=1), buy(quantity=5, price=2)])
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
    assert reason_of(engine, buy(quantity=1, price=1)) == "account_frozen"
    assert reason_of(engine, amend(1, price=2)) == "account_frozen"
    accepted(engine, amend(1, quantity=4))
    accepted(engine, cancel(2))
    accepted(engine, UpdateAccount(BOB, AccountStatus.ACTIVE))
    accepted(engine, buy(quantity=1, price=1))


def test_frozen_account_is_still_filled_as_maker() -> None:
    engine = engine_with(resting=[buy(quantity=5, price=10)])
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
    assert placed(engine, sell(ALICE, quantity=5, price=10)).filled_quantity == 5


# ---- form --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"type": OrderType.STOP}, "invalid_request", "price"),
        ({"type": OrderType.MARKET, "time_in_force": IOC}, "invalid_request", "price"),
        ({"type": OrderType.MARKET, "price": None}, "invalid_request", "time_in_force"),
        (
            {"type": OrderType.MARKET, "price": None, "time_in_force": IOC, "post_only": PostOnly.REJECT},
            "invalid_request",
            "post_only",
        ),
        ({"price": None}, "invalid_request", "price"),
        ({"time_in_force": TimeInForce.GTD}, "invalid_request", "expire_ns"),
        ({"time_in_force": IOC, "post_only": PostOnly.REPRICE}, "invalid_request", "post_only"),
    ],
)
def test_combination_that_makes_no_order_is_refused_by_field(change: dict[str, Any], reason: str, field: str) -> None:
    command = msgspec.structs.replace(buy(ALICE, **LIMIT_ORDER), **change)
    assert refusal(command)[:2] == (reason, field)


def test_order_type_must_be_one_of_the_instruments() -> None:
    assert refusal(buy(ALICE, quantity=1), order_types=(OrderType.LIMIT,))[:2] == ("type_not_allowed", "type")


# ---- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "good", "bad", "expected"),
    [
        ({"min_quantity": 3}, 3, 2, ("quantity_out_of_range", "quantity", "3", "2", "lots")),
        ({"max_quantity": 9}, 9, 10, ("quantity_out_of_range", "quantity", "9", "10", "lots")),
        ({"min_notional": 300}, 3, 2, ("notional_out_of_range", None, "300", "200", QUOTE)),
        ({"max_notional": 900}, 9, 10, ("notional_out_of_range", None, "900", "1000", QUOTE)),
    ],
)
def test_filter_trips_one_beyond_its_limit_and_not_at_it(
    filters: dict[str, Any], good: int, bad: int, expected: tuple[str, ...]
) -> None:
    accepted(engine_with(**filters), buy(ALICE, quantity=good, price=100))
    assert refusal(buy(ALICE, quantity=bad, price=100), **filters) == expected


@pytest.mark.parametrize("quantity", [0, -1, 2**63, 10**30])
def test_quantity_must_be_positive_and_below_2_to_the_63(quantity: int) -> None:
    assert refusal(buy(ALICE, quantity=quantity, price=1)) == (
        "quantity_out_of_range", "quantity", str(INTEGER_MAX), str(quantity), "lots",
    )  # fmt: skip


@pytest.mark.parametrize("price", [0, -1, 2**63])
def test_price_must_be_positive_and_below_2_to_the_63(price: int) -> None:
    assert refusal(sell(ALICE, quantity=1, price=price))[:2] == ("invalid_request", "price")


def test_notional_of_an_order_must_be_below_2_to_the_63() -> None:
    accepted(engine_with(), buy(ALICE, quantity=INTEGER_MAX, price=1))
    assert refusal(buy(ALICE, quantity=2**62, price=2)) == (
        "notional_out_of_range", None, str(INTEGER_MAX), str(2**63), QUOTE,
    )  # fmt: skip


def test_quantity_in_base_units_must_be_below_2_to_the_63_and_the_limit_is_in_lots() -> None:
    lots_of_a_thousand: dict[str, Any] = {"lot_size": "1000", "tick_size": "0.001"}
    most = INTEGER_MAX // 1_000
    accepted(engine_with(**lots_of_a_thousand), sell(ALICE, quantity=most, price=1))
    assert refusal(sell(ALICE, quantity=most + 1, price=1), **lots_of_a_thousand) == (
        "quantity_out_of_range", "quantity", str(most), str(most + 1), "lots",
    )  # fmt: skip


def test_sell_whose_better_fills_could_pass_2_to_the_63_is_refused_before_it_trades() -> None:
    engine = engine_with(resting=[buy(quantity=2**22, price=2**40) for _ in range(3)])
    rejection = refused(engine, sell(ALICE, quantity=2**23, price=1))
    assert (rejection.reason, rejection.limit, rejection.actual) == (
        "notional_out_of_range", str(INTEGER_MAX), str(2**63),
    )  # fmt: skip
    assert reason_of(engine, sell(ALICE, quantity=2**23)) == "notional_out_of_range"
    state = placed(engine, sell(ALICE, quantity=2**23 - 1, price=1))
    assert (state.filled_quantity, state.notional) == (2**23 - 1, 2**63 - 2**40)


def test_amend_counts_what_already_traded_towards_the_notional() -> None:
    engine = engine_with(resting=[buy(quantity=2**23 - 1, price=2**40)])
    accepted(engine, sell(ALICE, quantity=2**22, price=2**40))
    # 2^62 are traded, as many again would be 2^63.
    assert reason_of(engine, amend(1, price=1, quantity=2**62 + 2**22)) == "notional_out_of_range"
    accepted(engine, amend(1, price=1, quantity=2**62 + 2**22 - 1))


def test_sum_of_a_level_stays_below_2_to_the_63() -> None:
    engine = engine_with(resting=[buy(quantity=INTEGER_MAX - 1, price=1)])
    accepted(engine, buy(CAROL, quantity=1, price=1))
    rejection = refused(engine, buy(CAROL, quantity=1, price=1))
    assert (rejection.reason, rejection.field, rejection.limit, rejection.actual) == (
        "quantity_out_of_range", "quantity", str(INTEGER_MAX), str(2**63),
    )  # fmt: skip
    assert reason_of(engine, amend(2, CAROL, quantity=2)) == "quantity_out_of_range"
    accepted(engine, amend(1, quantity=INTEGER_MAX - 2))
    accepted(engine, amend(1, quantity=INTEGER_MAX - 1))
    assert bids(engine) == [(1, INTEGER_MAX)]


def test_largest_orders_can_be_written_to_the_journal() -> None:
    engine = engine_with(resting=[buy(quantity=INTEGER_MAX, price=1)], maker_fee=-PERCENT, taker_fee=PERCENT)
    accepted(engine, sell(ALICE, quantity=INTEGER_MAX, price=1))
    sealed = engine.seal()
    assert all(encode(events) for _, events in sealed.accounts)
    assert all(encode((book.delta, book.trades)) for book in sealed.books)
    assert len(engine.state_hash()) == 32


# ---- price band --------------------------------------------------------------------------------

BAND: dict[str, Any] = {"price_band": 10 * PERCENT, "reference_price": 105}
"""10.5 ticks of 105 are 10: 95 to 115."""


@pytest.mark.parametrize("price", [95, 115])
def test_price_at_the_edge_of_the_band_is_admitted(price: int) -> None:
    accepted(engine_with(**BAND), buy(ALICE, quantity=1, price=price))


@pytest.mark.parametrize(("price", "limit"), [(94, "95"), (116, "115")])
def test_price_beyond_the_band_is_refused_with_the_edge(price: int, limit: str) -> None:
    assert refusal(sell(ALICE, quantity=1, price=price), **BAND) == ("price_band", "price", limit, str(price), "ticks")


def test_band_moves_with_the_last_trade() -> None:
    engine = engine_with(**BAND)
    accepted(engine, sell(quantity=1, price=115))
    accepted(engine, buy(ALICE, quantity=1, price=115))
    accepted(engine, buy(ALICE, quantity=1, price=126))
    assert reason_of(engine, buy(ALICE, quantity=1, price=127)) == "price_band"


def test_band_follows_the_mid_before_the_first_trade() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=95), sell(quantity=1, price=98)], **BAND)
    # The mid of 95 and 98 is 96 (rounded down), 10 % of it 9.
    accepted(engine, buy(ALICE, quantity=1, price=87))
    assert reason_of(engine, buy(ALICE, quantity=1, price=86)) == "price_band"


def test_market_order_is_held_to_the_band_by_its_cap_price() -> None:
    band: dict[str, Any] = {"price_band": 4 * PERCENT, "reference_price": 100, "max_slippage": 5 * PERCENT}
    engine = engine_with(resting=[sell(BOB, quantity=5, price=100)], **band)
    take = buy(ALICE, quantity=1, type=OrderType.MARKET, time_in_force=IOC)
    assert reason_of(engine, take) == "price_band"
    accepted(engine, msgspec.structs.replace(take, max_slippage=4 * PERCENT))


def test_band_is_checked_at_the_repriced_price() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=110)], **BAND)
    accepted(engine, buy(ALICE, quantity=1, price=200, post_only=PostOnly.REPRICE))
    assert order(engine, 2).price == 109


def test_band_is_checked_on_amend() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=100)], **BAND)
    assert reason_of(engine, amend(1, price=94)) == "price_band"


def test_low_edge_of_the_band_is_never_below_one_tick() -> None:
    instrument: dict[str, Any] = {"price_band": 99 * PERCENT, "reference_price": 1}
    accepted(engine_with(**instrument), buy(ALICE, quantity=1, price=1))
    assert refusal(buy(ALICE, quantity=1, price=2), **instrument)[0] == "price_band"


# ---- open orders -------------------------------------------------------------------------------


def test_open_order_limit_trips_at_one_more_and_frees_with_a_cancel() -> None:
    engine = engine_with()
    accepted(engine, SetLimits({"open_orders": "2"}))
    accepted(engine, buy(quantity=1, price=1))
    accepted(engine, buy(quantity=1, price=1))
    rejection = refused(engine, buy(quantity=1, price=1))
    assert (rejection.reason, rejection.limit, rejection.actual, rejection.unit) == (
        "open_order_limit", "2", "3", "count",
    )  # fmt: skip
    accepted(engine, buy(ALICE, quantity=1, price=1))
    accepted(engine, cancel(1))
    accepted(engine, buy(quantity=1, price=1))


def test_lifted_open_order_limit_admits_any_number() -> None:
    engine = engine_with()
    accepted(engine, SetLimits({"open_orders": "0"}))
    assert reason_of(engine, buy(quantity=1, price=1)) == "open_order_limit"
    accepted(engine, SetLimits({"open_orders": None}))
    accepted(engine, buy(quantity=1, price=1))


# ---- order of the checks -----------------------------------------------------------------------


def test_first_failing_check_names_the_refusal() -> None:
    """A halted instrument, a frozen account, a bad form, a bad quantity, a bad price, a full list, no money."""
    engine = engine_with(balances={ALICE: {BASE: 1}, BOB: {QUOTE: RICH}}, max_quantity=5, **BAND)
    accepted(engine, SetLimits({"open_orders": "0"}))
    accepted(engine, UpdateAccount(ALICE, AccountStatus.FROZEN))
    accepted(engine, update(status="halted"))
    bad = buy(ALICE, quantity=6, price=500, expire_ns=1)
    found = [reason_of(engine, bad)]
    accepted(engine, update(status="open"))
    found.append(reason_of(engine, bad))
    accepted(engine, UpdateAccount(ALICE, AccountStatus.ACTIVE))
    found.append(reason_of(engine, bad))
    found.append(reason_of(engine, buy(ALICE, quantity=6, price=500)))
    found.append(reason_of(engine, buy(ALICE, quantity=5, price=500)))
    found.append(reason_of(engine, buy(ALICE, quantity=5, price=100)))
    accepted(engine, SetLimits({"open_orders": "1"}))
    found.append(reason_of(engine, buy(ALICE, quantity=5, price=100)))
    assert found == [
        "instrument_halted", "account_frozen", "invalid_request", "quantity_out_of_range", "price_band",
        "open_order_limit", "insufficient_balance",
    ]  # fmt: skip


# ---- cap of market orders ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("best", "slippage", "cap"),
    [(100, 10 * PERCENT, 110), (105, 10 * PERCENT, 115), (1, 10 * PERCENT, 1), (3, 50 * PERCENT, 4), (100, 0, 100)],
)
def test_buy_cap_is_rounded_down_to_the_tick(best: int, slippage: int, cap: int) -> None:
    engine = engine_with(resting=[sell(quantity=1, price=best)], max_slippage=slippage)
    assert placed(engine, buy(ALICE, quantity=1)).price == cap


@pytest.mark.parametrize(
    ("best", "slippage", "cap"),
    [
        (100, 10 * PERCENT, 90),
        (105, 10 * PERCENT, 95),
        (1, 10 * PERCENT, 1),
        (3, 50 * PERCENT, 2),
        (1, 99 * PERCENT, 1),
    ],
)
def test_sell_cap_is_rounded_up_to_the_tick_and_at_least_one(best: int, slippage: int, cap: int) -> None:
    engine = engine_with(resting=[buy(quantity=1, price=best)], max_slippage=slippage)
    assert placed(engine, sell(ALICE, quantity=1)).price == cap


def test_order_may_tighten_the_slippage_but_not_widen_it() -> None:
    for own, cap in ((PERCENT, 101), (50 * PERCENT, 110)):
        engine = engine_with(resting=[sell(quantity=1, price=100)])
        assert placed(engine, buy(ALICE, quantity=1, max_slippage=own)).price == cap


def test_market_order_is_checked_at_its_cap() -> None:
    engine = engine_with(resting=[sell(quantity=10, price=100)], max_notional=1_000)
    assert reason_of(engine, buy(ALICE, quantity=10)) == "notional_out_of_range"
    accepted(engine, buy(ALICE, quantity=9))
