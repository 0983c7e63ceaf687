"""An order is checked without being placed: every check with its limit, and nothing changes."""

import pytest

from app.domain.commands import CheckOrder, PlaceOrder, SetKillSwitch, SetLimits, UpdateAccount
from app.domain.enums import AccountStatus, InstrumentStatus, KillSwitchScope, PostOnly
from app.domain.outcomes import CheckResult
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    FOK,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    available,
    buy,
    engine_with,
    held,
    refused,
    sell,
    stop,
)

ALL = [
    "client_order_id_reused",
    "kill_switch",
    "restricted_symbol",
    "instrument_not_open",
    "account_frozen",
    "reduce_only_would_increase",
    "execution_throttled",
    "order_rate_limit",
    "order_trade_ratio",
    "duplicate_order",
    "invalid_request",
    "no_liquidity",
    "post_only_would_take",
    "quantity_out_of_range",
    "notional_out_of_range",
    "price_band",
    "open_order_limit",
    "order_notional_limit",
    "open_notional_limit",
    "daily_notional_limit",
    "position_limit",
    "daily_loss_limit",
    "fok_not_fillable",
    "insufficient_balance",
]
MOST = str(2**63 - 1)


def checks(engine: Engine, terms: PlaceOrder) -> dict[str, CheckResult]:
    """Check an order; returns the results by name."""
    assert accepted(engine, CheckOrder(terms)) == []
    return {result.check: result for result in engine.outcome.checks}


def failed(engine: Engine, terms: PlaceOrder) -> list[str]:
    """Check an order; returns what fails."""
    return [name for name, result in checks(engine, terms).items() if not result.passed]


def numbers(result: CheckResult) -> tuple[str | None, str | None, str | None]:
    return result.limit, result.used, result.unit


def test_a_sound_order_passes_every_check_in_their_order() -> None:
    engine = engine_with()
    found = checks(engine, buy(quantity=5, price=100))
    assert list(found) == ALL
    assert all(result.passed for result in found.values())


def test_checks_of_a_passing_order_name_limit_and_use() -> None:
    engine = engine_with([buy(quantity=1, price=50)], {BOB: {QUOTE: 1000}}, price_band=10 * PERCENT, reference_price=51)
    accepted(engine, SetLimits({"order_notional": "600", "open_notional": "700", "message_rate": "9"}))
    found = checks(engine, buy(quantity=5, price=50))
    assert numbers(found["quantity_out_of_range"]) == (MOST, "5", "lots")
    assert numbers(found["notional_out_of_range"]) == (MOST, "250", QUOTE)
    assert numbers(found["open_order_limit"]) == ("5000", "2", "count")
    assert numbers(found["order_notional_limit"]) == ("600", "250", QUOTE)
    assert numbers(found["open_notional_limit"]) == ("700", "300", QUOTE)
    assert numbers(found["order_rate_limit"]) == ("9", "1", "count")
    assert numbers(found["insufficient_balance"]) == ("950", "250", QUOTE)
    assert numbers(found["price_band"]) == ("46", "50", "ticks")
    assert numbers(found["daily_loss_limit"]) == (None, None, None)


def test_room_is_told_up_to_the_instruments_own_bounds() -> None:
    engine = engine_with(max_quantity=50, max_notional=400)
    found = checks(engine, buy(quantity=5, price=50))
    assert numbers(found["quantity_out_of_range"]) == ("50", "5", "lots")
    assert numbers(found["notional_out_of_range"]) == ("400", "250", QUOTE)
    accepted(engine, sell(quantity=5, price=50))
    spending = checks(engine, buy(quantity=0, quote_quantity=100))
    assert numbers(spending["quantity_out_of_range"]) == ("400", "100", QUOTE)


def test_nothing_changes_but_the_sequence() -> None:
    engine = engine_with([buy(quantity=1, price=50)])
    accepted(engine, SetLimits({"message_rate": "1"}))
    sequence, seq = engine.state.sequence, engine.state.accounts[BOB].seq
    for _ in range(3):
        assert failed(engine, buy(quantity=5, price=100, client_order_id="a")) == []
    assert engine.state.sequence == sequence + 3
    assert engine.state.accounts[BOB].seq == seq
    assert held(engine, BOB, QUOTE) == 50
    assert list(engine.state.orders) == [1]
    assert engine.seal().accounts == []
    accepted(engine, buy(quantity=5, price=100, client_order_id="a"))


def test_every_failure_is_found_not_only_the_first() -> None:
    engine = engine_with([sell(ALICE, quantity=1, price=99)], {BOB: {QUOTE: 10}, ALICE: {BASE: 9}}, max_quantity=4)
    accepted(engine, SetKillSwitch(KillSwitchScope.ACCOUNT, str(BOB), on=True))
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN, restricted=("BTC-USD",), limits={"order_notional": "9"}))
    found = failed(engine, buy(quantity=5, price=100, time_in_force=FOK))
    assert found == [
        "kill_switch",
        "restricted_symbol",
        "account_frozen",
        "quantity_out_of_range",
        "order_notional_limit",
        "fok_not_fillable",
        "insufficient_balance",
    ]


def test_a_bad_form_ends_the_list_with_its_code() -> None:
    engine = engine_with(order_types=("limit",))
    found = checks(engine, buy(quantity=5))
    assert list(found) == [*ALL[: ALL.index("invalid_request")], "type_not_allowed"]
    assert failed(engine, buy(quantity=5, price=100, trigger_price=5)) == ["invalid_request"]


def test_an_order_without_a_price_to_start_from_ends_the_list() -> None:
    engine = engine_with()
    found = checks(engine, buy(quantity=5))
    assert list(found)[-1] == "no_liquidity"
    assert failed(engine, buy(quantity=5)) == ["no_liquidity"]


def test_post_only_order_that_would_take_names_the_price_it_would_meet() -> None:
    engine = engine_with([sell(ALICE, quantity=1, price=99)])
    found = checks(engine, buy(quantity=5, price=100, post_only=PostOnly.REJECT))
    assert numbers(found["post_only_would_take"]) == ("99", "100", "ticks")
    assert list(found) == ALL
    assert failed(engine, buy(quantity=5, price=100, post_only=PostOnly.REPRICE)) == []


def test_known_client_order_id_fails_even_with_the_same_terms() -> None:
    known = buy(quantity=5, price=100, client_order_id="a")
    engine = engine_with([known])
    assert failed(engine, known) == ["client_order_id_reused"]


def test_market_buy_by_money_shows_what_it_would_hold() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)], taker_fee=PERCENT)
    found = checks(engine, buy(quantity=0, quote_quantity=500))
    assert numbers(found["quantity_out_of_range"]) == (MOST, "500", QUOTE)
    assert found["insufficient_balance"].used == "500"
    short = checks(engine, buy(quantity=0, quote_quantity=100))["quantity_out_of_range"]
    assert (short.passed, *numbers(short)) == (False, "101", "100", QUOTE)


def test_reduce_only_order_names_what_there_is_to_reduce() -> None:
    engine = engine_with([sell(ALICE, quantity=3, price=100), buy(quantity=3, price=100)])
    room = checks(engine, sell(quantity=2, price=110, reduce_only=True))["reduce_only_would_increase"]
    assert (room.passed, *numbers(room)) == (True, "3", "2", "lots")
    room = checks(engine, sell(quantity=4, price=110, reduce_only=True))["reduce_only_would_increase"]
    assert (room.passed, *numbers(room)) == (False, "3", "4", "lots")


def test_a_waiting_order_is_checked_at_its_cap() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 604}})
    found = checks(engine, stop(BOB, "buy", 5, 110))["insufficient_balance"]
    assert (found.passed, *numbers(found)) == (False, "604", "605", QUOTE)


def test_halted_instrument_is_shown_under_one_name() -> None:
    engine = engine_with(status=InstrumentStatus.HALTED)
    assert failed(engine, buy(quantity=5, price=100)) == ["instrument_not_open"]


@pytest.mark.parametrize(
    ("account_id", "symbol", "reason"), [(999, "BTC-USD", "not_found"), (BOB, "NO", "unknown_symbol")]
)
def test_without_account_or_instrument_there_is_nothing_to_check(account_id: int, symbol: str, reason: str) -> None:
    engine = engine_with()
    rejection = refused(engine, CheckOrder(buy(account_id, quantity=5, price=100, symbol=symbol)))
    assert rejection.reason == reason
    assert engine.outcome.checks == ()


def test_available_money_is_untouched() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 100}})
    checks(engine, buy(quantity=1, price=100))
    assert available(engine, BOB, QUOTE) == 100
    assert all_of(CheckResult, engine.outcome.checks)[-1].passed
