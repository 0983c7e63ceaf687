"""Call auctions at their end: the uncross, its slices, and how a crossed book opens."""

import pytest

from app.domain.commands import SetKillSwitch, Tick
from app.domain.enums import InstrumentStatus, KillSwitchScope, OrderStatus, OrderType
from app.domain.events import (
    InstrumentListed,
    OrderCanceled,
    OrderFilled,
    TradeExecuted,
)
from app.engine import auctions, invariants
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    GTC,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    amend,
    asks,
    auction_with,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    held,
    indicated,
    only,
    order,
    reason_of,
    refused,
    sell,
    twin_of,
    update,
)

AUCTION, OPEN = InstrumentStatus.AUCTION, InstrumentStatus.OPEN


def test_everything_that_meets_trades_at_one_price_in_price_time_order() -> None:
    engine = auction_with(
        buy(BOB, quantity=3, price=100),
        buy(CAROL, quantity=4, price=102),
        sell(ALICE, quantity=2, price=98),
        sell(ALICE, quantity=6, price=97),
        sell(ALICE, quantity=1, price=101),
    )
    events = accepted(engine, update(status=OPEN))
    trades = all_of(TradeExecuted, events)
    # Seven lots are wanted at 100 and more, eight offered at 98 and less: one sell is left over.
    assert [(trade.price, trade.quantity) for trade in trades] == [(98, 4), (98, 2), (98, 1)]
    assert [(trade.maker_order_id, trade.taker_order_id) for trade in trades] == [(2, 4), (1, 4), (1, 3)]
    assert [trade.taker_side for trade in trades] == ["sell", "sell", "sell"]
    assert only(InstrumentListed, events).instrument.status is OPEN
    assert (bids(engine), asks(engine)) == ([], [(98, 1), (101, 1)])
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([], [(98, 1), (101, 1)])
    invariants.check(engine.state)


def test_earlier_order_pays_its_maker_rate_and_the_later_one_its_taker_rate() -> None:
    engine = auction_with(
        buy(BOB, quantity=10, price=100), sell(ALICE, quantity=10, price=100), maker_fee=PERCENT, taker_fee=2 * PERCENT
    )
    before = {account: available(engine, account, QUOTE) + held(engine, account, QUOTE) for account in (ALICE, BOB)}
    fills = all_of(OrderFilled, accepted(engine, update(status=OPEN)))
    assert [(event.fill.liquidity, event.fill.fee) for event in fills] == [("maker", 10), ("taker", 20)]
    assert available(engine, BOB, QUOTE) == before[BOB] - 1_010
    assert available(engine, ALICE, QUOTE) == before[ALICE] + 980


def test_buyer_gets_back_what_it_held_above_the_price() -> None:
    engine = auction_with(buy(BOB, quantity=10, price=150), sell(ALICE, quantity=10, price=100), reference_price=100)
    before = available(engine, BOB, QUOTE)
    accepted(engine, update(status=OPEN))
    assert (available(engine, BOB, QUOTE), held(engine, BOB, QUOTE)) == (before + 500, 0)


def test_auction_without_a_crossing_opens_without_a_trade() -> None:
    engine = auction_with(buy(quantity=1, price=90), sell(ALICE, quantity=1, price=110))
    events = accepted(engine, update(status=OPEN))
    assert all_of(TradeExecuted, events) == []
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(90, 1)], [(110, 1)])


def test_book_published_before_an_auction_of_one_batch_changes_by_the_difference_only() -> None:
    engine = engine_with([buy(quantity=1, price=90), sell(ALICE, quantity=1, price=110)])
    accepted(engine, update(status=AUCTION))
    accepted(engine, buy(quantity=1, price=95))
    accepted(engine, update(status=OPEN))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(95, 1)], [])


def test_other_changes_of_the_command_that_opens_are_stated_before_the_uncross() -> None:
    engine = auction_with(buy(quantity=1, price=100), sell(ALICE, quantity=1, price=100))
    events = accepted(engine, update(status=OPEN, max_quantity=50))
    kinds = [type(event) for event in events if isinstance(event, InstrumentListed | TradeExecuted)]
    assert kinds == [InstrumentListed, TradeExecuted, InstrumentListed]
    listed = [event.instrument for event in all_of(InstrumentListed, events)]
    assert [(each.status, each.max_quantity) for each in listed] == [(AUCTION, 50), (OPEN, 50)]
    assert engine.outcome.instrument == listed[1]


def test_large_uncross_goes_on_in_ticks_and_admits_cancels_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auctions, "UNCROSS_OPERATIONS_MAX", 2)
    engine = auction_with(*(buy(quantity=1, price=100) for _ in range(5)), sell(ALICE, quantity=5, price=100))
    assert len(all_of(TradeExecuted, accepted(engine, update(status=OPEN)))) == 2
    assert engine.outcome.instrument is not None
    assert engine.outcome.instrument.status is AUCTION
    assert engine.next_deadline == 0
    assert indicated(engine) == (100, 3, 0)
    assert reason_of(engine, buy(quantity=1, price=100)) == "instrument_not_open"
    assert reason_of(engine, amend(5, price=99)) == "instrument_not_open"
    accepted(engine, cancel(5))
    events = accepted(engine, Tick())
    assert len(all_of(TradeExecuted, events)) == 2
    assert only(InstrumentListed, events).instrument.status is OPEN
    assert engine.next_deadline is None
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([], [(100, 1)])


def test_price_of_an_uncross_stays_but_is_found_anew_when_cancels_leave_nothing_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auctions, "UNCROSS_OPERATIONS_MAX", 1)
    engine = auction_with(
        buy(quantity=1, price=110),
        buy(CAROL, quantity=3, price=105),
        sell(ALICE, quantity=1, price=90),
        sell(ALICE, quantity=3, price=95),
        sell(ALICE, quantity=1, price=104),
    )
    assert only(TradeExecuted, accepted(engine, update(status=OPEN))).price == 95
    accepted(engine, cancel(4, ALICE))
    # Only 105 against 104 is left: nothing meets at 95.
    trade = only(TradeExecuted, accepted(engine, Tick()))
    assert (trade.price, trade.quantity) == (104, 1)
    assert engine.state.books[SYMBOL].instrument.status is OPEN
    invariants.check(engine.state)


@pytest.mark.parametrize("status", ["open", "post_only"])
def test_crossed_book_opens_through_an_auction_only(status: str) -> None:
    engine = auction_with(buy(quantity=1, price=100), sell(ALICE, quantity=1, price=100))
    accepted(engine, update(status="halted"))
    rejection = refused(engine, update(status=status))
    assert (rejection.reason, rejection.field) == ("instrument_not_open", "status")
    assert engine.seal().books == []
    accepted(engine, update(status=AUCTION))
    assert len(all_of(TradeExecuted, accepted(engine, update(status=OPEN)))) == 1


def test_crossed_book_is_published_again_when_cancels_uncross_it() -> None:
    engine = auction_with(
        buy(quantity=1, price=100), buy(quantity=2, price=90), sell(ALICE, quantity=1, price=100), maker_fee=0
    )
    accepted(engine, update(status="cancel_only"))
    engine.seal()
    accepted(engine, cancel(1))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(90, 2)], [(100, 1)])
    accepted(engine, update(status=OPEN))
    invariants.check(engine.state)


def test_crossed_auction_does_not_become_post_only() -> None:
    engine = auction_with(buy(quantity=1, price=100), sell(ALICE, quantity=1, price=100))
    assert refused(engine, update(status="post_only")).field == "status"


def test_orders_of_one_owner_never_trade_even_if_they_met_the_book_elsewhere() -> None:
    engine = auction_with(buy(quantity=1, price=100), sell(ALICE, quantity=1, price=100))
    for account in (ALICE, BOB):
        engine.state.accounts[account].stp_group = 7
    events = accepted(engine, update(status=OPEN))
    canceled = only(OrderCanceled, events).order
    assert (canceled.order_id, canceled.reason) == (2, "self_trade")
    assert bids(engine) == [(100, 1)]


@pytest.mark.parametrize(("scope", "target"), [(KillSwitchScope.EXCHANGE, None), (KillSwitchScope.INSTRUMENT, SYMBOL)])
def test_kill_switch_stops_an_uncross_until_it_is_off(scope: KillSwitchScope, target: str | None) -> None:
    engine = auction_with(*(buy(BOB, quantity=1, price=100) for _ in range(2)), sell(ALICE, quantity=1, price=100))
    accepted(engine, SetKillSwitch(scope, target, on=True))
    assert all_of(TradeExecuted, accepted(engine, update(status=OPEN))) == []
    accepted(engine, Tick())
    assert (bids(engine), engine.next_deadline) == ([], None)
    assert engine.state.books[SYMBOL].instrument.status is AUCTION
    accepted(engine, SetKillSwitch(scope, target, on=False))
    assert engine.next_deadline == 0
    assert only(InstrumentListed, accepted(engine, Tick())).instrument.status is OPEN
    invariants.check(engine.state)


def test_iceberg_counts_whole_for_the_price_and_trades_its_shown_part_first() -> None:
    engine = auction_with(
        sell(ALICE, quantity=6, price=100, display_quantity=2),
        sell(CAROL, quantity=3, price=100),
        buy(BOB, quantity=7, price=100),
    )
    book = engine.state.books[SYMBOL]
    assert book.indicated == (100, 7, -2)
    trades = all_of(TradeExecuted, accepted(engine, update(status=OPEN)))
    # Each refill goes to the back of the queue.
    assert [(trade.maker_order_id, trade.quantity) for trade in trades] == [(1, 2), (2, 3), (1, 2)]
    assert (order(engine, 1).remaining, order(engine, 1).shown) == (2, 2)
    assert asks(engine) == [(100, 2)]
    invariants.check(engine.state)


def test_iceberg_that_takes_in_an_uncross_refills_as_a_maker_does() -> None:
    engine = auction_with(
        buy(BOB, quantity=5, price=100), sell(ALICE, quantity=9, price=100, display_quantity=2), reference_price=100
    )
    trades = all_of(TradeExecuted, accepted(engine, update(status=OPEN)))
    assert [(trade.taker_order_id, trade.quantity) for trade in trades] == [(2, 2), (2, 2), (2, 1)]
    assert asks(engine) == [(100, 1)]
    assert order(engine, 2).remaining == 4
    invariants.check(engine.state)


def test_prints_of_an_uncross_fire_triggers_that_run_once_it_is_open() -> None:
    stop = buy(CAROL, quantity=1, trigger_price=105, type=OrderType.STOP, time_in_force=GTC)
    engine = engine_with([stop, sell(ALICE, quantity=1, price=120)])
    accepted(engine, update(status=AUCTION))
    for command in (sell(ALICE, quantity=1, price=105), buy(BOB, quantity=1, price=106)):
        accepted(engine, command)
    assert only(TradeExecuted, accepted(engine, update(status=OPEN))).price == 105
    assert order(engine, 1).status is OrderStatus.UNTRIGGERED
    assert engine.next_deadline == 0
    accepted(engine, Tick())
    assert order(engine, 1).reason == "slippage_cap"


def test_sell_that_would_trade_for_more_than_an_integer_states_leaves_the_uncross() -> None:
    lots = (2**63 - 1) // 3
    engine = auction_with(sell(ALICE, quantity=lots, price=3), reference_price=4)
    for price, quantity in ((5, lots // 2), (4, lots // 2)):
        accepted(engine, buy(BOB, quantity=quantity, price=price))
    events = accepted(engine, update(status=OPEN))
    canceled = only(OrderCanceled, events).order
    assert (canceled.order_id, canceled.reason) == (1, "slippage_cap")
    assert (canceled.filled_quantity, canceled.notional) == (lots // 2, lots // 2 * 4)
    invariants.check(engine.state)


def test_restored_engine_goes_on_with_an_auction_and_with_an_uncross(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auctions, "UNCROSS_OPERATIONS_MAX", 2)
    engine = auction_with(*(buy(quantity=1, price=100) for _ in range(5)), sell(ALICE, quantity=4, price=90))
    twin = twin_of(engine)
    for each in (engine, twin):
        accepted(each, buy(CAROL, quantity=1, price=80))
        assert indicated(each) is None
        accepted(each, update(status=OPEN))
        each.seal()
    assert twin.state_hash() == engine.state_hash()
    twin = twin_of(engine)
    for each in (engine, twin):
        assert each.next_deadline == 0
        assert len(all_of(TradeExecuted, accepted(each, Tick()))) == 2
        delta = each.seal().books[0].delta
        assert delta is not None
        assert (delta.bids, delta.asks) == ([(100, 1), (80, 1)], [])
        assert each.state.books[SYMBOL].indicated is None
    assert twin.state_hash() == engine.state_hash()
