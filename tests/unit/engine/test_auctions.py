"""Call auctions: what gathers, what is shown meanwhile, and the uncross."""

from typing import Any

import pytest

from app.domain.commands import StartEpoch, Tick
from app.domain.enums import InstrumentStatus, OrderStatus, SelfTradePrevention
from app.domain.events import (
    AuctionIndicated,
    InstrumentListed,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    TradeExecuted,
    TradePrevented,
)
from app.engine import auctions, invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    FOK,
    IOC,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    amend,
    asks,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    held,
    only,
    order,
    reason_of,
    refused,
    sell,
    twin_of,
    update,
)

AUCTION, OPEN = InstrumentStatus.AUCTION, InstrumentStatus.OPEN


def auction_with(*orders: Any, **instrument: Any) -> Engine:
    """Return an engine in an auction with these orders, sealed."""
    engine = engine_with(orders, status=AUCTION, **instrument)
    invariants.check(engine.state)
    return engine


def indicated(engine: Engine) -> tuple[int, int, int] | None:
    """Seal the batch; return price, quantity and surplus that it states."""
    books = engine.seal().books
    if not books or books[0].auction is None:
        return None
    event = books[0].auction
    return event.price, event.quantity, event.surplus


# ---- gathering ---------------------------------------------------------------------------------


def test_orders_of_an_auction_rest_without_matching() -> None:
    engine = auction_with(sell(ALICE, quantity=5, price=90), buy(quantity=3, price=110))
    assert (bids(engine), asks(engine)) == ([(110, 3)], [(90, 5)])
    assert order(engine, 2).status is OrderStatus.OPEN


@pytest.mark.parametrize(
    "terms", [{"time_in_force": IOC}, {"time_in_force": FOK}, {"price": None}, {"post_only": "reject"}]
)
def test_auction_admits_only_orders_that_can_gather(terms: dict[str, Any]) -> None:
    engine = auction_with(sell(ALICE, quantity=5, price=120))
    assert reason_of(engine, buy(quantity=1, **({"price": 100} | terms))) == "instrument_not_open"


def test_orders_move_in_an_auction_without_matching() -> None:
    engine = auction_with(sell(ALICE, quantity=5, price=120), buy(quantity=3, price=100))
    events = accepted(engine, amend(2, price=130))
    assert [type(event) for event in events[:1]] == [OrderAmended]
    assert bids(engine) == [(130, 3)]
    accepted(engine, cancel(2))
    assert bids(engine) == []


def test_entering_an_auction_empties_the_published_book_once_and_only_if_there_was_one() -> None:
    engine = engine_with([buy(quantity=1, price=90), buy(quantity=1, price=80), sell(ALICE, quantity=2, price=110)])
    accepted(engine, update(status=AUCTION))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(90, 0), (80, 0)], [(110, 0)])
    accepted(engine, buy(quantity=1, price=85))
    assert engine.seal().books == []
    empty = engine_with()
    accepted(empty, update(status=AUCTION))
    assert empty.seal().books[0].delta is None


def test_best_bid_and_ask_are_nothing_during_an_auction_and_the_mid_is_no_reference() -> None:
    engine = auction_with(sell(ALICE, quantity=5, price=90), reference_price=50)
    accepted(engine, buy(quantity=3, price=110))
    top = engine.outcome.book
    assert top is not None
    assert (top.bid, top.bid_quantity, top.ask, top.ask_quantity) == (0, 0, 0, 0)
    assert engine.state.books[SYMBOL].reference_price() == 50
    assert engine.state.books[SYMBOL].mark_price(0) is None


def test_indicative_price_is_stated_by_each_batch_that_moves_it() -> None:
    engine = engine_with()
    accepted(engine, update(status=AUCTION))
    assert indicated(engine) == (0, 0, 0)
    accepted(engine, buy(quantity=3, price=110))
    assert indicated(engine) is None
    accepted(engine, sell(ALICE, quantity=5, price=90))
    assert indicated(engine) == (90, 3, -2)
    accepted(engine, buy(quantity=2, price=80))
    assert indicated(engine) is None
    accepted(engine, update(max_quantity=10**6))
    assert indicated(engine) is None
    accepted(engine, cancel(1))
    assert indicated(engine) == (0, 0, 0)
    accepted(engine, update(status=OPEN))
    assert indicated(engine) is None


def test_quantities_beyond_64_bits_are_stated_as_the_largest_number() -> None:
    most = 2**63 - 1
    engine = auction_with()
    for price in (1, 2):
        accepted(engine, sell(ALICE, quantity=most // price, price=price))
    for price in (2, 3, 4, 5):
        accepted(engine, buy(quantity=most // price, price=price))
    found = indicated(engine)
    assert found is not None
    assert found[:2] == (2, most)


# ---- self-trade prevention at entry ------------------------------------------------------------


def test_own_orders_that_would_cross_are_met_at_entry_in_price_time_order() -> None:
    engine = auction_with(
        sell(quantity=2, price=95),
        sell(ALICE, quantity=1, price=90),
        sell(quantity=1, price=92),
        sell(quantity=1, price=92),
        sell(quantity=1, price=120),
    )
    events = accepted(engine, buy(quantity=9, price=100, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert [event.maker_order_id for event in all_of(TradePrevented, events)] == [3, 4, 1]
    assert [event.order.order_id for event in all_of(OrderCanceled, events)] == [3, 4, 1]
    assert bids(engine) == [(100, 9)]
    assert asks(engine) == [(90, 1), (120, 1)]


def test_newest_is_canceled_at_the_first_own_order_it_crosses() -> None:
    engine = auction_with(sell(quantity=2, price=95), sell(quantity=2, price=94))
    events = accepted(engine, buy(quantity=9, price=100))
    assert only(TradePrevented, events).maker_order_id == 2
    assert only(OrderCanceled, events).order.order_id == 3
    assert bids(engine) == []


def test_decrement_at_entry_takes_the_smaller_off_both() -> None:
    engine = auction_with(sell(quantity=2, price=95), sell(quantity=9, price=96))
    accepted(engine, buy(quantity=5, price=100, stp=SelfTradePrevention.DECREMENT))
    assert (bids(engine), asks(engine)) == ([], [(96, 6)])


def test_own_orders_are_met_when_an_order_moves_in_an_auction() -> None:
    engine = auction_with(sell(quantity=2, price=95), buy(quantity=5, price=90))
    accepted(engine, amend(2, price=96))
    assert order(engine, 2).reason == "self_trade"
    assert (bids(engine), asks(engine)) == ([], [(95, 2)])


# ---- the uncross -------------------------------------------------------------------------------


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


def test_new_epoch_leaves_the_hidden_book_empty() -> None:
    engine = auction_with(buy(quantity=1, price=100))
    accepted(engine, StartEpoch(9))
    assert [book.delta for book in engine.seal().books] == []
    accepted(engine, update(status=OPEN))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.prev_seq, delta.seq, delta.bids) == (0, 1, [(100, 1)])


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
        assert all_of(AuctionIndicated, [each.state.books[SYMBOL].indicated]) == []
    assert twin.state_hash() == engine.state_hash()
