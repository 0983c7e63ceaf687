"""Positions follow prints alone: net lots, what they cost, what closing brought, to the unit; once per batch."""

import random

import pytest

from app.domain.commands import CreateInstrument
from app.domain.enums import Side
from app.domain.events import BalanceChanged, OrderFilled, OrderPartiallyFilled, PositionChanged
from app.engine import invariants
from app.engine.engine import Engine
from app.engine.positions import VOLUME_DAYS, Position, Turnover
from app.engine.state import DAY_NS
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    NOON_NS,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    auction_with,
    buy,
    cancel,
    engine_with,
    sell,
    trade_at,
    twin_of,
    update,
)

TODAY = NOON_NS // DAY_NS


def bought(engine: Engine, quantity: int, price: int, *, taker: int = ALICE) -> None:
    """Let an account buy from Bob."""
    trade_at(engine, price, quantity, maker=BOB, taker=taker)


def sold(engine: Engine, quantity: int, price: int, *, taker: int = ALICE) -> None:
    """Let an account sell to Bob."""
    accepted(engine, buy(BOB, quantity=quantity, price=price))
    accepted(engine, sell(taker, quantity=quantity, price=price))


def position(engine: Engine, account_id: int = ALICE, symbol: str = SYMBOL) -> Position:
    return engine.state.accounts[account_id].positions[symbol]


def figures(engine: Engine, account_id: int = ALICE) -> tuple[int, int, int, int]:
    """Return net lots, cost, realized and fees."""
    return position(engine, account_id).figures


def stated(engine: Engine, account_id: int = ALICE) -> list[PositionChanged]:
    """Seal; return the positions that the batch states of an account."""
    return all_of(PositionChanged, dict(engine.seal().accounts).get(account_id, []))


def today(engine: Engine, account_id: int = ALICE) -> tuple[int, int, int]:
    """Return notional, prints and profit of today."""
    turnover = engine.state.accounts[account_id].turnovers[QUOTE]
    assert turnover.day == engine.state.day
    return turnover.notional, turnover.prints, turnover.profit


# ---- prints ------------------------------------------------------------------------------------


def test_buys_add_up_and_their_seller_mirrors_them() -> None:
    engine = engine_with()
    bought(engine, 10, 100)
    bought(engine, 5, 130)
    assert figures(engine) == (15, 1_650, 0, 0)
    assert figures(engine, BOB) == (-15, 1_650, 0, 0)


def test_sale_of_a_part_releases_its_share_of_the_cost() -> None:
    engine = engine_with()
    bought(engine, 10, 100)
    bought(engine, 10, 120)
    sold(engine, 5, 150)
    # 20 lots cost 2,200: 5 of them 550, and they brought 750.
    assert figures(engine) == (15, 1_650, 200, 0)


def test_share_of_the_cost_is_rounded_down_and_the_last_lot_takes_the_rest() -> None:
    engine = engine_with()
    bought(engine, 2, 100)
    bought(engine, 1, 101)
    realized = []
    for _ in range(3):
        sold(engine, 1, 100)
        realized.append(figures(engine)[1:3])
    # 301 / 3 = 100.33, then 201 / 2 = 100.5, then all 101.
    assert realized == [(201, 0), (101, 0), (0, -1)]


def test_buy_back_of_a_part_of_a_short_position_mirrors_it() -> None:
    engine = engine_with()
    sold(engine, 3, 100)
    bought(engine, 1, 90)
    assert figures(engine) == (-2, 200, 10, 0)
    bought(engine, 2, 120)
    assert figures(engine) == (0, 0, -30, 0)


@pytest.mark.parametrize("is_long", [True, False])
def test_print_through_zero_closes_all_and_opens_the_rest_at_its_own_price(is_long: bool) -> None:
    engine = engine_with()
    (bought if is_long else sold)(engine, 4, 100)
    (sold if is_long else bought)(engine, 10, 110)
    assert figures(engine) == ((-6, 660, 40, 0) if is_long else (6, 660, -40, 0))


def test_every_print_of_a_sweep_releases_for_itself() -> None:
    """Of 4 lots that cost 6, two prints of one lot release 1 and then 1 (5 / 3); one print of both would release 3."""
    engine = engine_with()
    bought(engine, 2, 1)
    bought(engine, 2, 2)
    for price in (4, 3):
        accepted(engine, buy(BOB, quantity=1, price=price))
    accepted(engine, sell(ALICE, quantity=2, price=3))
    assert figures(engine) == (2, 4, 5, 0)


def test_sweep_may_close_with_one_print_and_open_with_the_next() -> None:
    engine = engine_with()
    bought(engine, 3, 100)
    for price in (120, 110):
        accepted(engine, buy(BOB, quantity=2, price=price))
    accepted(engine, sell(ALICE, quantity=4, price=110))
    # 3 lots that cost 300 brought 120 + 120 + 110; one lot is short at 110.
    assert figures(engine) == (-1, 110, 50, 0)


def test_fees_stand_beside_the_cost() -> None:
    engine = engine_with(maker_fee=-PERCENT, taker_fee=2 * PERCENT)
    bought(engine, 10, 100)
    assert figures(engine) == (10, 1_000, 0, 20)
    assert figures(engine, BOB) == (-10, 1_000, 0, -10)
    sold(engine, 10, 90)
    assert figures(engine) == (0, 0, -100, 38)


def test_prints_of_an_uncross_count_for_both_sides() -> None:
    engine = auction_with(buy(ALICE, quantity=5, price=105), sell(BOB, quantity=3, price=95), reference_price=100)
    accepted(engine, update(status="open"))
    assert (figures(engine)[0], figures(engine, BOB)[0]) == (3, -3)
    assert figures(engine)[1] == figures(engine, BOB)[1] > 0


def test_market_buy_by_money_is_a_position_of_the_lots_it_bought() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=5, price=10), sell(BOB, quantity=5, price=11)])
    accepted(engine, buy(ALICE, quantity=0, quote_quantity=73))
    assert figures(engine) == (7, 72, 0, 0)


def test_transfers_and_cancels_leave_positions_alone() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=5, price=10)])
    accepted(engine, cancel(1, ALICE))
    assert figures(engine) == (0, 0, 0, 0)
    assert stated(engine) == []


# ---- statements --------------------------------------------------------------------------------


def test_position_is_stated_once_per_batch_after_the_balances() -> None:
    engine = engine_with()
    bought(engine, 3, 100)
    bought(engine, 2, 110)
    sequence = engine.state.sequence
    events = dict(engine.seal().accounts)[ALICE]
    assert [type(event) for event in events[-3:]] == [BalanceChanged, BalanceChanged, PositionChanged]
    account_seq = engine.state.accounts[ALICE].seq
    assert events[-1] == PositionChanged(account_seq, sequence, ALICE, SYMBOL, "5", "520", "0", "0")


def test_positions_of_an_account_are_stated_by_symbol() -> None:
    engine = engine_with()
    for symbol in ("ZZZ", "AAA"):
        accepted(engine, CreateInstrument(symbol, BASE, QUOTE, "1", "1"))
        accepted(engine, sell(BOB, quantity=1, price=9, symbol=symbol))
        accepted(engine, buy(ALICE, quantity=1, price=9, symbol=symbol))
    assert [event.symbol for event in stated(engine)] == ["AAA", "ZZZ"]


def test_round_trip_within_a_batch_that_changes_nothing_is_not_stated() -> None:
    engine = engine_with()
    bought(engine, 3, 100)
    sold(engine, 3, 100)
    assert stated(engine) == []
    bought(engine, 3, 100)
    assert [event.quantity for event in stated(engine)] == ["3"]


def test_batch_without_prints_states_no_position() -> None:
    engine = engine_with()
    bought(engine, 3, 100)
    engine.seal()
    accepted(engine, buy(ALICE, quantity=1, price=1))
    assert stated(engine) == []


def test_net_lots_beyond_64_bits_are_stated_as_text() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 10**30}, BOB: {BASE: 10**30}})
    for _ in range(3):
        bought(engine, 2**62, 1)
    assert [event.quantity for event in stated(engine)] == [str(3 * 2**62)]
    assert twin_of(engine).state_hash() == engine.state_hash()


# ---- days --------------------------------------------------------------------------------------


def test_figures_of_today_count_each_side_of_each_print() -> None:
    engine = engine_with(taker_fee=PERCENT)
    bought(engine, 10, 100)
    sold(engine, 4, 90)
    # Realized -40, fees 10 and 4 (3.6 rounded up).
    assert today(engine) == (1_360, 2, -54)
    assert today(engine, BOB) == (1_360, 2, 40)


def test_new_day_begins_with_nothing_and_remembers_the_notional_of_the_last() -> None:
    engine = engine_with()
    bought(engine, 10, 100)
    engine.seal()
    engine.begin((TODAY + 1) * DAY_NS - 1)
    bought(engine, 1, 100)
    assert today(engine) == (1_100, 2, 0)
    engine.seal()
    engine.begin((TODAY + 1) * DAY_NS)
    bought(engine, 1, 50)
    assert today(engine) == (50, 1, 0)
    turnover = engine.state.accounts[ALICE].turnovers[QUOTE]
    assert (turnover.days, turnover.volume) == ({TODAY: 1_100}, 1_100)


def test_days_count_for_thirty_days() -> None:
    turnover = Turnover()
    turnover.begin_day(100)
    turnover.notional = 7
    turnover.begin_day(100 + VOLUME_DAYS)
    assert turnover.volume == 7
    turnover.notional = 5
    turnover.begin_day(100 + VOLUME_DAYS + 1)
    assert (turnover.volume, turnover.days) == (5, {100 + VOLUME_DAYS: 5})


def test_turnover_is_of_a_quote_asset_over_all_its_instruments() -> None:
    engine = engine_with()
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1"))
    accepted(engine, CreateInstrument("REV", QUOTE, BASE, "1", "1"))
    for symbol in (SYMBOL, "AAA", "REV"):
        accepted(engine, sell(BOB, quantity=1, price=9, symbol=symbol))
        accepted(engine, buy(ALICE, quantity=1, price=9, symbol=symbol))
    turnovers = engine.state.accounts[ALICE].turnovers
    assert (turnovers[QUOTE].notional, turnovers[BASE].notional) == (18, 9)


# ---- checkpoint --------------------------------------------------------------------------------


def test_restored_engine_goes_on_with_the_same_positions_and_days() -> None:
    engine = engine_with(taker_fee=PERCENT)
    bought(engine, 3, 100)
    sold(engine, 1, 101)
    engine.seal()
    engine.begin(NOON_NS + DAY_NS)
    bought(engine, 1, 99)
    engine.seal()
    twin = twin_of(engine)
    invariants.check(twin.state)
    assert twin.state_hash() == engine.state_hash()
    for each in (engine, twin):
        each.begin(NOON_NS + 2 * DAY_NS)
        sold(each, 5, 102)
    assert twin.seal() == engine.seal()
    assert twin.state_hash() == engine.state_hash()


# ---- what always holds -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_positions_are_what_the_prints_of_an_account_say(seed: int) -> None:
    """Cost and realized profit, worked out once more from all fills in exact money: nothing is made or lost."""
    choice = random.Random(seed)
    engine = engine_with(maker_fee=-PERCENT // 2, taker_fee=PERCENT)
    paid = dict.fromkeys((ALICE, BOB, CAROL), 0)
    for _ in range(200):
        owner = choice.choice((ALICE, BOB, CAROL))
        order = choice.choice((buy, sell))(owner, quantity=choice.randint(1, 9), price=choice.randint(95, 105))
        for event in engine.apply(order):
            if isinstance(event, OrderFilled | OrderPartiallyFilled):
                direction = 1 if event.order.terms.side is Side.BUY else -1
                paid[event.account_id] += direction * event.fill.price * event.fill.quantity
        if choice.random() < 0.1:
            engine.seal()
            invariants.check(engine.state)
    for account_id, expected in paid.items():
        assert position(engine, account_id).paid == expected
    assert sum(position(engine, account_id).net for account_id in paid) == 0
