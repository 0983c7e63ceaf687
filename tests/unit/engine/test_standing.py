"""How an account stands: what it uses of each limit, its volume, and that asking changes nothing."""

from typing import Any

from app.domain.commands import CreateInstrument, SetFeeTiers, SetLimits, UpdateAccount
from app.domain.limits import LIMITS
from app.domain.standing import FeeStanding, LimitStanding
from app.engine.engine import Engine
from app.engine.standing import standing
from app.engine.state import DAY_NS
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    NOON_NS,
    PERCENT,
    QUOTE,
    accepted,
    amend,
    buy,
    engine_with,
    placed,
    refused,
    sell,
    trade_at,
)

SECOND_NS = 10**9
EVERY_LIMIT = dict.fromkeys(LIMITS, "1000000")
UNUSED = ("duplicate_window_ns", "order_notional")
"""Limits of one order alone: nothing is used up."""


def limits(engine: Engine, account_id: int = ALICE, now_ns: int = NOON_NS) -> dict[str, LimitStanding]:
    """Return an account's limits by name."""
    return {each.name: each for each in standing(engine.state, engine.state.accounts[account_id], now_ns).limits}


def used(engine: Engine, account_id: int = ALICE, now_ns: int = NOON_NS) -> dict[str, str | None]:
    return {name: each.used for name, each in limits(engine, account_id, now_ns).items()}


def fees(engine: Engine, now_ns: int, account_id: int = ALICE) -> FeeStanding:
    (found,) = standing(engine.state, engine.state.accounts[account_id], now_ns).fees
    return found


def limited(**instrument: Any) -> Engine:
    """Return an engine in which every limit is set, far away."""
    engine = engine_with(**instrument)
    accepted(engine, SetLimits(dict(EVERY_LIMIT)))
    return engine


def test_an_account_that_did_nothing_has_used_nothing_of_every_limit() -> None:
    assert used(limited()) == {name: None if name in UNUSED else "0" for name in LIMITS}


def test_only_limits_that_are_set_are_told_and_the_tightest_level_holds() -> None:
    engine = engine_with()
    assert list(limits(engine)) == ["open_orders"]
    accepted(engine, SetLimits({"order_notional": "300", "duplicate_window_ns": "5"}, tier="small"))
    accepted(engine, SetLimits({"order_notional": "500", "duplicate_window_ns": "9", "open_orders": "7"}))
    accepted(engine, UpdateAccount(ALICE, tier="small", limits={"open_orders": "7"}))
    found = limits(engine)
    assert {name: (each.value, each.level, each.asset) for name, each in found.items()} == {
        "order_notional": ("300", "tier", QUOTE),
        "duplicate_window_ns": ("9", "exchange", None),
        "open_orders": ("7", "account", None),
    }


def test_rates_of_this_second_are_used_until_the_second_is_over() -> None:
    engine = limited()
    placed(engine, buy(ALICE, quantity=1, price=1))
    placed(engine, buy(ALICE, quantity=2, price=1))
    refused(engine, buy(ALICE, quantity=0, price=1))
    placed(engine, sell(BOB, quantity=1, price=5))
    placed(engine, buy(ALICE, quantity=1, price=5))
    rates = ("message_rate", "symbol_message_rate", "rejection_rate", "execution_rate")
    assert [used(engine)[name] for name in rates] == ["4", "4", "1", "1"]
    assert [used(engine, now_ns=NOON_NS + SECOND_NS - 1)[name] for name in rates] == ["4", "4", "1", "1"]
    assert [used(engine, now_ns=NOON_NS + SECOND_NS)[name] for name in rates] == ["0", "0", "0", "0"]


def test_messages_by_symbol_are_those_of_the_busiest() -> None:
    engine = limited()
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1"))
    for quantity, symbol in ((1, "AAA"), (2, "AAA"), (3, "BTC-USD")):
        placed(engine, buy(ALICE, quantity=quantity, price=1, symbol=symbol))
    found = used(engine)
    assert (found["message_rate"], found["symbol_message_rate"], found["symbol_open_orders"]) == ("3", "2", "2")


def test_a_throttled_account_sees_what_tripped_it_for_as_long_as_it_is_throttled() -> None:
    engine = engine_with()
    accepted(engine, UpdateAccount(ALICE, limits={"execution_rate": "1"}))
    for _ in range(2):
        trade_at(engine, 10, taker=ALICE)
    assert limits(engine, now_ns=NOON_NS + 60 * SECOND_NS)["execution_rate"].used == "2"
    accepted(engine, UpdateAccount(ALICE, release_throttle=True))
    assert limits(engine, now_ns=NOON_NS + 60 * SECOND_NS)["execution_rate"].used == "0"


def test_the_ratio_is_orders_and_amends_to_prints_of_the_day_in_hundredths_rounded_up() -> None:
    engine = limited()
    resting = placed(engine, buy(ALICE, quantity=3, price=1))
    accepted(engine, amend(resting.order_id, ALICE, quantity=2))
    assert used(engine)["order_trade_ratio"] == "200"
    for quantity in (1, 2, 3):
        trade_at(engine, 10, quantity, taker=ALICE)
    assert used(engine)["order_trade_ratio"] == "167"
    assert used(engine, now_ns=NOON_NS + DAY_NS)["order_trade_ratio"] == "0"


def test_amounts_are_what_is_open_what_traded_today_and_what_was_lost() -> None:
    engine = limited(maker_fee=0, taker_fee=PERCENT)
    trade_at(engine, 100, 10, taker=ALICE)
    placed(engine, buy(ALICE, quantity=5, price=90))
    placed(engine, sell(ALICE, quantity=1, price=120))
    found = used(engine)
    assert (found["open_orders"], found["open_notional"]) == ("2", str(5 * 90 + 120))
    assert found["daily_notional"] == str(1_000 + 5 * 90 + 120)
    assert found["position_notional"] == str(15 * 100)
    assert found["daily_loss"] == "10"
    tomorrow = used(engine, now_ns=NOON_NS + DAY_NS)
    assert (tomorrow["daily_notional"], tomorrow["daily_loss"]) == (str(5 * 90 + 120), "0")


def test_a_short_position_counts_what_its_open_sells_would_make_of_it() -> None:
    engine = limited()
    trade_at(engine, 100, 10, maker=ALICE, taker=CAROL)
    placed(engine, sell(ALICE, quantity=4, price=110))
    assert used(engine)["position_notional"] == str(14 * 100)


def test_a_profit_makes_the_loss_negative() -> None:
    engine = limited()
    trade_at(engine, 100, 1, taker=ALICE)
    trade_at(engine, 130, 1, maker=ALICE, taker=CAROL)
    assert used(engine)["daily_loss"] == "-30"


def test_a_position_without_any_price_to_value_it_at_is_unknown() -> None:
    engine = limited()
    placed(engine, buy(ALICE, quantity=1, price=90))
    assert used(engine)["position_notional"] is None
    placed(engine, sell(BOB, quantity=1, price=110))
    assert used(engine)["position_notional"] == "100"


def test_volume_is_of_the_thirty_days_before_the_day_that_is_asked_for() -> None:
    engine = engine_with()
    tiers = (("1000", PERCENT, 2 * PERCENT),)
    accepted(engine, SetFeeTiers(QUOTE, tiers))
    trade_at(engine, 100, 10, taker=ALICE)
    assert fees(engine, NOON_NS) == FeeStanding(QUOTE, "0", "1000", tiers)
    assert fees(engine, NOON_NS + DAY_NS) == FeeStanding(QUOTE, "1000", "0", tiers)
    engine.seal()
    engine.begin(NOON_NS + DAY_NS)
    trade_at(engine, 100, 1, taker=ALICE)
    assert fees(engine, NOON_NS + DAY_NS) == FeeStanding(QUOTE, "1000", "100", tiers)
    assert fees(engine, NOON_NS + 30 * DAY_NS) == FeeStanding(QUOTE, "1100", "0", tiers)
    assert fees(engine, NOON_NS + 31 * DAY_NS) == FeeStanding(QUOTE, "100", "0", tiers)
    assert fees(engine, NOON_NS + 32 * DAY_NS).volume == "0"


def test_asking_leaves_the_state_as_it_is_to_the_last_byte() -> None:
    engine = engine_with()
    trade_at(engine, 100, 10, taker=ALICE)
    accepted(engine, SetLimits(dict(EVERY_LIMIT)))
    engine.seal()
    before = engine.checkpoint()
    for account_id in (ALICE, BOB, CAROL):
        for later in (0, SECOND_NS, 40 * DAY_NS):
            used(engine, account_id, NOON_NS + later)
    assert engine.checkpoint() == before
    assert all(account.counts is None for account in engine.state.accounts.values())
