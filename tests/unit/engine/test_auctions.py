"""Call auctions while orders gather: what is admitted, what is shown, and who meets whom at entry."""

from typing import Any

import pytest

from app.domain.commands import StartEpoch
from app.domain.enums import InstrumentStatus, OrderStatus, OrderType, SelfTradePrevention
from app.domain.events import (
    OrderAmended,
    OrderCanceled,
    TradePrevented,
)
from app.sequencer.view import PublisherView
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    FOK,
    GTC,
    IOC,
    SYMBOL,
    accepted,
    all_of,
    amend,
    asks,
    auction_with,
    bids,
    buy,
    cancel,
    engine_with,
    indicated,
    only,
    order,
    reason_of,
    sell,
    update,
)
from tests.unit.engine.list_builders import ids_of, oco

AUCTION, OPEN = InstrumentStatus.AUCTION, InstrumentStatus.OPEN


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


def test_what_another_end_took_along_is_no_step_of_an_entering_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.matching.COMMAND_ORDER_OPERATIONS_MAX", 1)
    engine = engine_with()
    first, second = ids_of(engine, oco(sell(quantity=2, price=95), sell(quantity=2, price=96)))
    accepted(engine, update(status=AUCTION))
    accepted(engine, buy(quantity=5, price=100, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert [order(engine, each).reason for each in (first, second)] == ["self_trade", "oco_peer"]
    assert bids(engine) == [(100, 5)]


def test_new_epoch_leaves_the_hidden_book_empty() -> None:
    engine = auction_with(buy(quantity=1, price=100))
    accepted(engine, StartEpoch(9))
    assert [book.delta for book in engine.seal().books] == []
    accepted(engine, update(status=OPEN))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.prev_seq, delta.seq, delta.bids) == (0, 1, [(100, 1)])


def test_view_of_the_published_books_starts_without_a_hidden_one() -> None:
    engine = auction_with(buy(quantity=1, price=100))
    view = PublisherView()
    view.load(engine.state.books, head_seq=engine.state.sequence, epoch=0, timestamp_ns=0)
    shown = view.book(SYMBOL)
    assert shown is not None
    assert (shown.bids, shown.asks) == ([], [])
    accepted(engine, update(status=OPEN))
    view.commit(engine.seal().books, head_seq=engine.state.sequence, timestamp_ns=1)
    shown = view.book(SYMBOL)
    assert shown is not None
    assert shown.bids == [(100, 1)]


def test_triggers_are_refused_and_sleep_in_an_auction() -> None:
    engine = engine_with([buy(CAROL, quantity=1, trigger_price=105, type=OrderType.STOP, time_in_force=GTC)])
    accepted(engine, sell(ALICE, quantity=1, price=106))
    accepted(engine, buy(BOB, quantity=1, price=106))
    accepted(engine, update(status=AUCTION))
    assert engine.next_deadline is None
    another = buy(CAROL, quantity=1, trigger_price=105, type=OrderType.STOP, time_in_force=GTC)
    assert reason_of(engine, another) == "instrument_not_open"
