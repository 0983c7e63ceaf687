"""Fee tiers: which rates an order captures, by the volume of the 30 UTC days before the day of its acceptance."""

import pytest

from app.domain.commands import CreateInstrument, SetFeeTiers
from app.domain.events import FeeTiersSet, OrderFilled
from app.engine import invariants
from app.engine.engine import Engine
from app.engine.fee_tiers import TIERS_MAX
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
    all_of,
    amend,
    available,
    buy,
    engine_with,
    order,
    placed,
    refused,
    sell,
    trade_at,
    twin_of,
    update,
)

Rows = tuple[tuple[str, int, int], ...]
TIERS: Rows = (("1000", PERCENT, 3 * PERCENT), ("5000", -PERCENT, 2 * PERCENT))


def tiered(tiers: Rows = TIERS, *, maker_fee: int = 2 * PERCENT, taker_fee: int = 4 * PERCENT) -> Engine:
    """Return an engine whose quote asset has fee tiers."""
    engine = engine_with(maker_fee=maker_fee, taker_fee=taker_fee)
    accepted(engine, SetFeeTiers(QUOTE, tiers))
    engine.seal()
    return engine


def day(engine: Engine, number: int, hour: int = 0) -> None:
    """Begin a batch so many UTC days after the first."""
    engine.seal()
    engine.begin((NOON_NS // DAY_NS + number) * DAY_NS + hour * 3_600 * 10**9)


def rates(engine: Engine, account_id: int = ALICE, **terms: object) -> tuple[int, int]:
    """Return the maker and taker rate that an order accepted now captures."""
    captured = order(engine, placed(engine, buy(account_id, quantity=1, price=1, **terms)).order_id).rates
    return captured.maker, captured.taker


def test_volume_of_the_days_before_gives_the_tier_and_today_counts_nothing() -> None:
    engine = tiered()
    trade_at(engine, 100, 10, taker=ALICE)
    assert rates(engine) == (2 * PERCENT, 4 * PERCENT)
    day(engine, 1)
    assert rates(engine) == (PERCENT, 3 * PERCENT)
    assert rates(engine, BOB) == (PERCENT, 3 * PERCENT), "each side of a print has its notional"
    assert rates(engine, CAROL) == (2 * PERCENT, 4 * PERCENT)


def test_least_volume_is_reached_exactly() -> None:
    for quantity, expected in ((999, (2 * PERCENT, 4 * PERCENT)), (1_000, (PERCENT, 3 * PERCENT))):
        engine = tiered()
        trade_at(engine, 1, quantity, taker=ALICE)
        day(engine, 1)
        assert rates(engine) == expected


def test_last_tier_that_is_reached_holds() -> None:
    engine = tiered()
    trade_at(engine, 100, 30, taker=ALICE)
    day(engine, 1)
    trade_at(engine, 100, 20, taker=ALICE)
    day(engine, 2)
    assert rates(engine) == (-PERCENT, 2 * PERCENT)


def test_volume_falls_out_after_thirty_days() -> None:
    engine = tiered()
    trade_at(engine, 100, 10, taker=ALICE)
    day(engine, 30, hour=23)
    assert rates(engine) == (PERCENT, 3 * PERCENT)
    day(engine, 31)
    assert rates(engine) == (2 * PERCENT, 4 * PERCENT)


def test_volume_counts_over_all_instruments_of_the_quote_asset_and_no_other() -> None:
    engine = tiered()
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1", maker_fee=5 * PERCENT, taker_fee=5 * PERCENT))
    accepted(engine, CreateInstrument("REV", QUOTE, BASE, "1", "1", maker_fee=5 * PERCENT, taker_fee=5 * PERCENT))
    trade_at(engine, 100, 10, taker=ALICE)
    day(engine, 1)
    assert rates(engine, symbol="AAA") == (PERCENT, 3 * PERCENT)
    assert rates(engine, symbol="REV") == (5 * PERCENT, 5 * PERCENT)


def test_tier_never_raises_a_rate() -> None:
    engine = tiered((("0", 3 * PERCENT, PERCENT),), maker_fee=-PERCENT, taker_fee=2 * PERCENT)
    assert rates(engine) == (-PERCENT, PERCENT)


def test_tier_from_zero_holds_for_everybody_at_once() -> None:
    assert rates(tiered((("0", 0, PERCENT),)), CAROL) == (0, PERCENT)


def test_instrument_listed_later_and_an_edit_follow_the_tiers() -> None:
    engine = tiered((("0", 0, PERCENT),))
    accepted(engine, CreateInstrument("NEW", BASE, QUOTE, "1", "1", maker_fee=PERCENT, taker_fee=9 * PERCENT))
    assert rates(engine, symbol="NEW") == (0, PERCENT)
    accepted(engine, update(taker_fee=PERCENT // 2, maker_fee=PERCENT // 4))
    assert rates(engine) == (0, PERCENT // 2)


def test_open_order_keeps_what_it_captured() -> None:
    engine = tiered(())
    resting = placed(engine, sell(ALICE, quantity=10, price=100)).order_id
    accepted(engine, SetFeeTiers(QUOTE, (("0", 0, 0),)))
    accepted(engine, amend(resting, ALICE, price=101))
    accepted(engine, buy(BOB, quantity=10, price=101))
    assert order(engine, resting).state.fees == 21, "2 % of 1,010, rounded up"


def test_trade_does_not_look_at_tiers_that_came_or_went_meanwhile() -> None:
    engine = tiered((("0", 0, PERCENT),))
    resting = placed(engine, sell(ALICE, quantity=10, price=100)).order_id
    accepted(engine, SetFeeTiers(QUOTE, ()))
    accepted(engine, buy(BOB, quantity=10, price=100))
    assert order(engine, resting).state.fees == 0


def test_hold_is_made_for_the_captured_rates() -> None:
    engine = tiered((("0", 0, PERCENT),))
    before = available(engine, ALICE, QUOTE)
    accepted(engine, buy(ALICE, quantity=10, price=100))
    assert before - available(engine, ALICE, QUOTE) == 1_010


def test_rebate_of_a_tier_is_paid_out_of_the_takers_fee_and_never_exceeds_it() -> None:
    """Alice captured a rebate of 1 %, but the taker of her trade pays half a percent by its own tier."""
    engine = tiered((("0", -PERCENT, PERCENT),), maker_fee=0, taker_fee=2 * PERCENT)
    accepted(engine, sell(ALICE, quantity=10, price=100))
    accepted(engine, SetFeeTiers(QUOTE, (("0", -PERCENT // 2, PERCENT // 2),)))
    events = all_of(OrderFilled, accepted(engine, buy(BOB, quantity=10, price=100)))
    assert [event.fill.fee for event in events] == [-5, 5]
    engine.seal()
    invariants.check(engine.state)


def test_market_buy_by_money_spends_it_at_the_captured_rate() -> None:
    engine = tiered((("0", 0, 0),))
    accepted(engine, sell(BOB, quantity=5, price=100))
    assert placed(engine, buy(ALICE, quantity=0, quote_quantity=100)).filled_quantity == 1
    assert refused(engine, buy(ALICE, quantity=0, quote_quantity=99)).limit == "100"


def test_tiers_are_stated_and_replaced_as_a_whole() -> None:
    engine = tiered()
    events = accepted(engine, SetFeeTiers(QUOTE, (("0", 1, 1),)))
    assert events == [FeeTiersSet(engine.state.sequence, QUOTE, (("0", 1, 1),))]
    assert rates(engine) == (1, 1)
    accepted(engine, SetFeeTiers(QUOTE, ()))
    assert rates(engine) == (2 * PERCENT, 4 * PERCENT)


@pytest.mark.parametrize(
    "tiers",
    [
        (("5", 0, 1), ("5", 0, 1)),
        (("5", 0, 1), ("4", 0, 1)),
        (("-1", 0, 1),),
        (("x", 0, 1),),
        (("", 0, 1),),
        (("٣", 0, 1),),
        ((str(10**30 + 1), 0, 1),),
        (("9" * 5_000, 0, 1),),
        (("0", -2, 1),),
        (("0", 0, -1),),
        (("0", 0, 100 * PERCENT),),
        (("0", 100 * PERCENT, 0),),
        tuple((str(number), 0, 1) for number in range(TIERS_MAX + 1)),
    ],
    ids=[
        "equal volumes", "falling volumes", "negative volume", "no number", "empty", "other digits", "volume too large",
        "absurd volume", "rebate above the taker fee", "negative taker fee", "taker fee of all", "maker fee of all",
        "too many",
    ],
)  # fmt: skip
def test_unsound_tiers_are_refused_and_change_nothing(tiers: Rows) -> None:
    engine = tiered((("0", 3, 4),))
    rejection = refused(engine, SetFeeTiers(QUOTE, tiers))
    assert (rejection.reason, rejection.field) == ("invalid_request", "tiers")
    assert rates(engine) == (3, 4)


def test_bounds_of_tiers_are_inclusive() -> None:
    rows = [(str(number), 0, 1) for number in range(TIERS_MAX - 1)]
    accepted(engine_with(), SetFeeTiers(QUOTE, (*rows, (str(10**30), -99_999_999, 99_999_999))))


def test_tiers_of_an_unknown_asset_are_refused() -> None:
    rejection = refused(engine_with(), SetFeeTiers("NOPE", TIERS))
    assert (rejection.reason, rejection.field) == ("invalid_request", "asset")


def test_restored_engine_has_the_same_tiers_and_volumes() -> None:
    engine = tiered()
    trade_at(engine, 100, 10, taker=ALICE)
    day(engine, 3)
    accepted(engine, buy(ALICE, quantity=1, price=1))
    engine.seal()
    twin, later = twin_of(engine), engine.state.timestamp_ns + 1
    for each in (engine, twin):
        each.begin(later)
        assert rates(each) == (PERCENT, 3 * PERCENT)
        assert order(each, 3).rates == order(each, 4).rates
        each.seal()
    assert twin.state_hash() == engine.state_hash()
