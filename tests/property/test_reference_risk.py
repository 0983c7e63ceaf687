"""The reference model itself against figures worked out by hand: limits, positions, tiers, auction, breaker.

One lot at one tick costs one unit of the quote asset, so prices times quantities are the notionals.
"""

from typing import Any

import pytest

from app.domain.commands import (
    AmendOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    SetFeeTiers,
    SetKillSwitch,
    SetLimits,
    SetReference,
    Transfer,
    UpdateAccount,
)
from app.domain.enums import AccountStatus, KillSwitchScope, OrderType, RejectReason, Side
from app.domain.events import AccountUpdated, Event
from tests.property.reference_limits import Trip
from tests.property.reference_model import ReferenceModel
from tests.property.reference_positions import DAY_NS, RefPosition
from tests.property.reference_records import Refused

BUY, SELL = Side.BUY, Side.SELL
SECOND_NS = 10**9
MORNING_NS = 20_000 * DAY_NS + 6 * 3_600 * SECOND_NS
ANN, BOB = 1001, 1002


class Exchange:
    """A model with one instrument and two clients; refusals of commands are errors unless asked for."""

    def __init__(self, **instrument: Any) -> None:
        self.model = ReferenceModel()
        self.model.begin(MORNING_NS)
        for command in (
            CreateAsset("B", 0),
            CreateAsset("Q", 0),
            CreateInstrument("BQ", "B", "Q", "1", "1", **instrument),
            CreateAccount("ann"),
            CreateAccount("bob"),
        ):
            self.do(command)
        for account_id in (ANN, BOB):
            for asset in "BQ":
                self.do(Deposit(account_id, asset, "1000000", f"{asset} in"))

    def do(self, command: Command) -> list[Event]:
        events = self.model.apply(command)
        assert self.model.outcome.rejection is None, self.model.outcome.rejection
        return events

    def wait(self, nanoseconds: int) -> None:
        self.model.begin(self.model.timestamp_ns + nanoseconds)

    def place(self, account_id: int, side: Side, quantity: int, price: int, **terms: Any) -> list[Event]:
        return self.do(order(account_id, side, quantity, price, **terms))

    def trade(self, buyer: int, quantity: int, price: int) -> list[Event]:
        """Let the buyer take from the other account."""
        self.place(ANN + BOB - buyer, SELL, quantity, price)
        return self.place(buyer, BUY, quantity, price)

    def refusal(self, account_id: int, side: Side, quantity: int, price: int, **terms: Any) -> tuple[str, ...] | None:
        """Return code, limit, actual value and unit with which the checks refuse an order; None if they pass it."""
        try:
            self.model.admit(order(account_id, side, quantity, price, **terms))
        except Refused as refused:
            found = refused.rejection
            return tuple(str(each) for each in (found.reason, found.limit, found.actual, found.unit))
        return None


def order(account_id: int, side: Side, quantity: int, price: int, **terms: Any) -> PlaceOrder:
    return PlaceOrder(account_id, "BQ", side, OrderType.LIMIT, quantity, price, **terms)


# ---- limits ------------------------------------------------------------------------------------


def test_order_notional_passes_at_its_limit_and_trips_beyond() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"order_notional": "100"}))
    assert exchange.refusal(ANN, BUY, 10, 10) is None
    assert exchange.refusal(ANN, BUY, 101, 1) == ("order_notional_limit", "100", "101", "Q")


def test_open_notional_adds_up_both_sides() -> None:
    exchange = Exchange()
    exchange.place(ANN, BUY, 5, 8)
    exchange.place(ANN, SELL, 2, 10)
    exchange.do(SetLimits({"open_notional": "70"}))
    assert exchange.refusal(ANN, BUY, 5, 2) is None
    assert exchange.refusal(ANN, BUY, 11, 1) == ("open_notional_limit", "70", "71", "Q")
    assert exchange.refusal(BOB, BUY, 70, 1) is None


def test_daily_notional_counts_what_traded_today_and_what_is_open() -> None:
    exchange = Exchange()
    exchange.trade(ANN, 6, 10)
    exchange.place(ANN, BUY, 5, 4)
    exchange.do(SetLimits({"daily_notional": "100"}))
    assert exchange.refusal(ANN, BUY, 20, 1) is None
    assert exchange.refusal(ANN, BUY, 21, 1) == ("daily_notional_limit", "100", "101", "Q")
    exchange.wait(DAY_NS)
    assert exchange.refusal(ANN, BUY, 80, 1) is None
    assert exchange.refusal(ANN, BUY, 81, 1) == ("daily_notional_limit", "100", "101", "Q")


def test_position_notional_counts_orders_of_the_side_and_lets_a_smaller_position_pass() -> None:
    exchange = Exchange()
    exchange.trade(ANN, 6, 10)
    exchange.place(ANN, BUY, 2, 3)
    exchange.do(SetLimits({"position_notional": "100"}))
    assert exchange.refusal(ANN, BUY, 2, 9) is None
    assert exchange.refusal(ANN, BUY, 3, 9) == ("position_limit", "100", "110", "Q")
    exchange.do(SetLimits({"position_notional": "1"}))
    assert exchange.refusal(ANN, SELL, 12, 20) is None, "from 6 to -6 is no larger"
    assert exchange.refusal(ANN, SELL, 13, 20) == ("position_limit", "1", "70", "Q")


def test_daily_loss_is_realized_today_after_fees_and_spares_reduce_only() -> None:
    exchange = Exchange(taker_fee=10_000_000)
    exchange.trade(ANN, 10, 10)  # Ann takes: fee 10
    exchange.place(BOB, BUY, 5, 8)
    exchange.place(ANN, SELL, 5, 8)  # 10 lost, fee 4
    assert exchange.model.profit_today(ANN, "Q") == -24
    exchange.do(SetLimits({"daily_loss": "24"}))
    assert exchange.refusal(ANN, BUY, 1, 1) is None
    exchange.do(SetLimits({"daily_loss": "23"}))
    assert exchange.refusal(ANN, BUY, 1, 1) == ("daily_loss_limit", "23", "24", "Q")
    assert exchange.refusal(ANN, SELL, 5, 9, reduce_only=True) is None
    exchange.wait(DAY_NS)
    assert exchange.refusal(ANN, BUY, 1, 1) is None


def test_message_rate_counts_refused_orders_too_and_starts_anew_each_second() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"message_rate": "3"}))
    for _ in range(2):
        assert exchange.refusal(ANN, BUY, 1, 1) is None
    assert exchange.refusal(ANN, BUY, 10**7, 1) == ("insufficient_balance", "1000000", "10000000", "Q")
    assert exchange.refusal(ANN, BUY, 1, 1) == ("order_rate_limit", "3", "4", "count")
    assert exchange.refusal(ANN, BUY, 1, 1) == ("order_rate_limit", "3", "5", "count")
    assert exchange.refusal(BOB, BUY, 1, 1) is None
    exchange.wait(SECOND_NS)
    assert exchange.refusal(ANN, BUY, 1, 1) is None


def test_rejections_of_a_second_are_limited() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"rejection_rate": "1"}))
    for _ in range(2):
        assert exchange.refusal(ANN, BUY, 1, 1) is None
        exchange.model.apply(order(ANN, BUY, 10**7, 1))
    assert exchange.refusal(ANN, BUY, 1, 1) == ("order_rate_limit", "1", "2", "count")
    exchange.wait(SECOND_NS)
    assert exchange.refusal(ANN, BUY, 1, 1) is None


def test_order_trade_ratio_counts_from_the_hundredth_order_of_a_day() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"order_trade_ratio": "50"}))
    exchange.trade(ANN, 1, 5)
    exchange.trade(ANN, 1, 5)
    for _ in range(97):
        exchange.place(ANN, BUY, 1, 1)
    assert exchange.refusal(ANN, BUY, 1, 1) is None, "the hundredth is free"
    exchange.place(ANN, BUY, 1, 1)
    assert exchange.refusal(ANN, BUY, 1, 1) == ("order_trade_ratio", "100", "101", "count")
    exchange.place(BOB, SELL, 1, 1)
    assert exchange.refusal(ANN, BUY, 1, 1) is None, "three prints allow 150"
    exchange.do(SetLimits({"order_trade_ratio": "1"}))
    exchange.wait(DAY_NS)
    assert exchange.refusal(ANN, BUY, 1, 1) is None


def test_a_repeated_order_is_refused_within_the_window() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"duplicate_window_ns": "500"}))
    exchange.place(ANN, BUY, 2, 3)
    exchange.wait(499)
    assert exchange.refusal(ANN, BUY, 2, 3) == ("duplicate_order", "500", "499", "ns")
    assert exchange.refusal(ANN, BUY, 2, 3, client_order_id="mine") is None
    assert exchange.refusal(ANN, BUY, 3, 3) is None
    assert exchange.refusal(BOB, BUY, 2, 3) is None
    exchange.wait(1)
    assert exchange.refusal(ANN, BUY, 2, 3) is None


def test_executions_beyond_their_rate_throttle_the_account_until_it_is_released() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"execution_rate": "2"}))
    exchange.trade(ANN, 1, 5)
    exchange.trade(ANN, 1, 5)
    assert exchange.refusal(ANN, BUY, 1, 1) is None
    exchange.trade(ANN, 1, 5)
    assert exchange.model.settings_of(ANN).trip == Trip(2, 3)
    assert exchange.model.settings_of(BOB).trip is None, "who makes is not throttled"
    exchange.wait(DAY_NS)
    assert exchange.refusal(ANN, BUY, 1, 1) == ("execution_throttled", "2", "3", "count")
    released = exchange.do(UpdateAccount(ANN, release_throttle=True))
    assert [event.throttled for event in released if isinstance(event, AccountUpdated)] == [False]
    assert exchange.refusal(ANN, BUY, 1, 1) is None


def test_the_tightest_of_three_levels_holds() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"order_notional": "100", "duplicate_window_ns": "5"}))
    exchange.do(SetLimits({"order_notional": "50", "duplicate_window_ns": "7"}, tier="slow"))
    exchange.do(UpdateAccount(ANN, tier="slow", limits={"order_notional": "60"}))
    limit = exchange.model.limit
    assert (limit(ANN, "order_notional"), limit(BOB, "order_notional")) == (50, 100)
    assert (limit(ANN, "duplicate_window_ns"), limit(BOB, "duplicate_window_ns")) == (7, 5)
    exchange.do(UpdateAccount(ANN, tier="", limits={"order_notional": None}))
    assert limit(ANN, "order_notional") == 100
    assert (limit(ANN, "open_orders"), limit(ANN, "daily_loss")) == (5_000, None)


@pytest.mark.parametrize("name", ["order_notionals", "name"])
def test_unknown_limits_are_refused(name: str) -> None:
    model = Exchange().model
    model.apply(SetLimits({name: "1"}))
    assert model.outcome.rejection is not None
    assert (model.outcome.rejection.reason, model.outcome.rejection.field) == (RejectReason.INVALID_REQUEST, name)


def test_kill_switches_and_restrictions_come_first() -> None:
    exchange = Exchange()
    exchange.do(UpdateAccount(ANN, restricted=("BQ",), status=AccountStatus.FROZEN))
    assert exchange.refusal(ANN, BUY, 1, 1) == ("restricted_symbol", "None", "None", "None")
    exchange.model.killed_symbols.add("BQ")
    assert exchange.refusal(ANN, BUY, 1, 1) == ("kill_switch", "None", "None", "None")
    assert exchange.model.killed(ANN, "BQ") is KillSwitchScope.INSTRUMENT


def test_kill_switch_targets_fit_their_scope() -> None:
    model = Exchange().model
    for scope, target, code in (
        (KillSwitchScope.EXCHANGE, "BQ", RejectReason.INVALID_REQUEST),
        (KillSwitchScope.INSTRUMENT, "XX", RejectReason.NOT_FOUND),
        (KillSwitchScope.ACCOUNT, "ann", RejectReason.INVALID_REQUEST),
        (KillSwitchScope.ACCOUNT, "2", RejectReason.NOT_FOUND),
    ):
        with pytest.raises(Refused) as caught:
            model.set_kill_switch(SetKillSwitch(scope, target, on=True))
        assert caught.value.rejection.reason is code


# ---- positions, reduce-only, tiers, transfers ------------------------------------------------------


def test_position_goes_through_zero() -> None:
    exchange = Exchange()
    position = exchange.model.position
    exchange.trade(ANN, 10, 10)
    assert position(ANN, "BQ") == RefPosition(10, 100, 0, 0)
    assert position(BOB, "BQ") == RefPosition(-10, 100, 0, 0)
    exchange.trade(BOB, 4, 12)
    assert position(ANN, "BQ") == RefPosition(6, 60, 8, 0), "4 of 10 lots release 40 and bring 48"
    assert position(BOB, "BQ") == RefPosition(-6, 60, -8, 0)
    exchange.trade(BOB, 10, 9)
    assert position(ANN, "BQ") == RefPosition(-4, 36, 2, 0), "6 lots lose 6, 4 are sold short at 9"
    assert position(BOB, "BQ") == RefPosition(4, 36, -2, 0)


def test_position_releases_rounded_down_and_all_at_the_end() -> None:
    exchange = Exchange()
    exchange.trade(ANN, 2, 3)
    exchange.trade(ANN, 1, 4)
    exchange.trade(BOB, 1, 5)
    assert exchange.model.position(ANN, "BQ") == RefPosition(2, 7, 2, 0), "10 x 1 / 3 is 3"
    exchange.trade(BOB, 2, 5)
    assert exchange.model.position(ANN, "BQ") == RefPosition(0, 0, 5, 0)


def test_reduce_only_orders_share_the_position() -> None:
    exchange = Exchange()
    exchange.trade(ANN, 10, 10)
    exchange.place(ANN, SELL, 6, 20, reduce_only=True)
    assert exchange.refusal(ANN, SELL, 4, 20, reduce_only=True) is None
    assert exchange.refusal(ANN, SELL, 5, 20, reduce_only=True) == ("reduce_only_would_increase", "4", "5", "lots")
    assert exchange.refusal(ANN, BUY, 1, 1, reduce_only=True) == ("reduce_only_would_increase", "0", "1", "lots")
    exchange.do(UpdateAccount(BOB, status=AccountStatus.REDUCE_ONLY))
    assert exchange.refusal(BOB, BUY, 10, 5) is None
    assert exchange.refusal(BOB, BUY, 11, 5) == ("reduce_only_would_increase", "10", "11", "lots")


def test_fee_tier_is_captured_from_the_volume_of_the_days_before() -> None:
    exchange = Exchange(maker_fee=50, taker_fee=100)
    exchange.model.set_fee_tiers(SetFeeTiers("Q", (("60", -10, 80), ("100", 60, 90))))
    instrument = exchange.model.instruments["BQ"]

    def rates() -> tuple[int, int]:
        captured = exchange.model.captured(ANN, instrument)
        return captured.maker_fee, captured.taker_fee

    exchange.trade(ANN, 6, 10)
    assert rates() == (50, 100), "today does not count"
    exchange.wait(DAY_NS)
    assert rates() == (-10, 80)
    exchange.trade(ANN, 4, 10)
    exchange.wait(29 * DAY_NS)
    assert rates() == (50, 90), "the second tier's maker rate is above the instrument's"
    exchange.wait(DAY_NS)
    assert rates() == (50, 100), "40 is below the first tier"


@pytest.mark.parametrize(
    "tiers", [(("5", 0, 1), ("5", 0, 1)), (("x", 0, 1),), (("0", -2, 1),), (("0", 0, 10**8),), (("0", 0, 1),) * 21]
)
def test_unsound_tiers_are_refused(tiers: tuple[tuple[str, int, int], ...]) -> None:
    with pytest.raises(Refused) as caught:
        Exchange().model.set_fee_tiers(SetFeeTiers("Q", tiers))
    assert caught.value.rejection.field == "tiers"


def test_transfer_moves_once() -> None:
    model = Exchange().model
    transfer = Transfer(ANN, BOB, "Q", "400000", "t")
    assert not model.transfer_between(transfer).duplicate
    assert model.transfer_between(transfer).duplicate
    assert (model.available(ANN, "Q"), model.available(BOB, "Q")) == (600_000, 1_400_000)
    for changed in (Transfer(ANN, BOB, "Q", "1", "t"), Transfer(ANN, BOB, "B", "400000", "t")):
        with pytest.raises(Refused):
            model.transfer_between(changed)
    with pytest.raises(Refused) as caught:
        model.transfer_between(Transfer(ANN, ANN, "Q", "1", "u"))
    assert caught.value.rejection.field == "to_account_id"


# ---- prices and breaker ----------------------------------------------------------------------


def test_mark_price_is_the_median_of_what_there_is() -> None:
    exchange = Exchange()
    mark = exchange.model.mark_price
    assert mark("BQ") is None
    exchange.model.set_reference(SetReference("BQ", 50))
    assert mark("BQ") == 50
    exchange.trade(ANN, 1, 11)
    assert mark("BQ") == 30, "floor of (50 + 11) / 2"
    exchange.place(ANN, BUY, 1, 20)
    exchange.place(ANN, SELL, 1, 25)
    assert mark("BQ") == 22, "the middle of 11, 22 and 50"
    exchange.wait(5 * SECOND_NS)
    assert mark("BQ") == 16, "the external price is 5 s old"


def test_breaker_measures_against_the_price_a_window_ago() -> None:
    exchange = Exchange(breaker_move=10_000_000, breaker_window_ns=1_000, breaker_halt_ns=1)
    base, trips = exchange.model.breaker_base, exchange.model.breaker_trips
    assert base("BQ") is None
    assert not trips("BQ", 1_000)
    exchange.trade(ANN, 1, 100)
    exchange.trade(ANN, 1, 110)
    assert base("BQ") == 110, "only the last price of an instant is remembered"
    exchange.wait(600)
    exchange.trade(ANN, 1, 115)
    assert base("BQ") == 110, "younger than the window, but the oldest there is"
    assert (trips("BQ", 121), trips("BQ", 122), trips("BQ", 99), trips("BQ", 98)) == (False, True, False, True)
    exchange.wait(999)
    assert base("BQ") == 110
    exchange.wait(1)
    assert base("BQ") == 115


def test_amend_counts_what_it_replaces_only_once() -> None:
    exchange = Exchange()
    exchange.place(ANN, BUY, 5, 10)
    exchange.do(SetLimits({"open_notional": "60"}))
    placed = exchange.model.open[0]
    wished = exchange.model.candidate(placed.terms).order
    wished.order_id, wished.quantity = placed.order_id, 6
    assert exchange.model.admit_amend(placed, wished) is False
    wished.quantity = 7
    with pytest.raises(Refused) as caught:
        exchange.model.admit_amend(placed, wished)
    assert caught.value.rejection.reason is RejectReason.OPEN_NOTIONAL_LIMIT
    exchange.do(AmendOrder(ANN, placed.order_id, quantity=4))
