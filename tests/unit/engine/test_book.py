"""Price levels, queues and what a book publishes at the end of a batch."""

import pytest

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderStatus, OrderType, Side
from app.domain.events import OrderState
from app.domain.instrument import Instrument
from app.domain.outcomes import BookTop
from app.engine.book import Book
from app.engine.state import Account, Order
from tests.unit.engine.builders import ALICE, BASE, QUOTE, SYMBOL

INSTRUMENT = Instrument(SYMBOL, BASE, QUOTE, "1", "1", 0, 0, 1, 1)
EPOCH, SEQUENCE = 7, 90


class Shelf:
    """One book, and orders that are put into it and taken out of it by number."""

    def __init__(self) -> None:
        self.book = Book(INSTRUMENT)
        self.orders: dict[int, Order] = {}

    def add(self, order_id: int, side: Side, price: int, quantity: int) -> None:
        terms = PlaceOrder(ALICE, SYMBOL, side, OrderType.LIMIT, quantity, price)
        state = OrderState(order_id, terms, OrderStatus.OPEN, 1, price, quantity, 0, 0, 0, None, 0, 0, 0)
        order = Order(state, Account(ALICE, "alice").position(self.book), self.book.rates)
        self.orders[order_id] = order
        self.book.side(side).add(order)

    def remove(self, order_id: int) -> None:
        order = self.orders[order_id]
        self.book.side(order.terms.side).remove(order)

    def queue(self, side: Side, price: int) -> list[int]:
        level = self.book.side(side).levels.get(price)
        order, ids = (None if level is None else level.head), []
        while order is not None:
            ids.append(order.order_id)
            order = order.behind
        return ids


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_orders_at_one_price_queue_in_the_order_they_came(shelf: Shelf) -> None:
    for order_id in (1, 2, 3):
        shelf.add(order_id, Side.BUY, 100, 5)
    assert shelf.queue(Side.BUY, 100) == [1, 2, 3]
    assert shelf.book.bids.snapshot() == [(100, 15)]


@pytest.mark.parametrize(("gone", "left"), [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])])
def test_removing_any_place_of_a_queue_keeps_the_others_in_order(shelf: Shelf, gone: int, left: list[int]) -> None:
    for order_id in (1, 2, 3):
        shelf.add(order_id, Side.SELL, 100, order_id)
    shelf.remove(gone)
    assert shelf.queue(Side.SELL, 100) == left
    assert shelf.book.asks.snapshot() == [(100, 6 - gone)]
    removed = shelf.orders[gone]
    assert (removed.level, removed.ahead, removed.behind) == (None, None, None)


def test_best_bid_is_the_highest_and_best_ask_the_lowest(shelf: Shelf) -> None:
    for order_id, price in enumerate((98, 99, 97), 1):
        shelf.add(order_id, Side.BUY, price, 1)
        shelf.add(order_id + 10, Side.SELL, price + 10, 1)
    assert shelf.book.bids.snapshot() == [(99, 1), (98, 1), (97, 1)]
    assert shelf.book.asks.snapshot() == [(107, 1), (108, 1), (109, 1)]
    assert shelf.book.top(EPOCH) == BookTop(EPOCH, 0, 99, 1, 107, 1)


def test_best_moves_on_when_its_level_empties_and_is_none_at_last(shelf: Shelf) -> None:
    shelf.add(1, Side.BUY, 99, 1)
    shelf.add(2, Side.BUY, 98, 2)
    shelf.remove(1)
    assert shelf.book.top(EPOCH) == BookTop(EPOCH, 0, 98, 2, 0, 0)
    shelf.remove(2)
    assert shelf.book.bids.best is None
    assert shelf.book.top(EPOCH) == BookTop(EPOCH, 0, 0, 0, 0, 0)


def test_level_behind_the_best_is_dropped_without_touching_the_best(shelf: Shelf) -> None:
    shelf.add(1, Side.SELL, 101, 1)
    shelf.add(2, Side.SELL, 103, 1)
    shelf.add(3, Side.SELL, 102, 1)
    shelf.remove(2)
    assert shelf.book.asks.snapshot() == [(101, 1), (102, 1)]


def test_reducing_keeps_the_place_and_lowers_the_level(shelf: Shelf) -> None:
    shelf.add(1, Side.BUY, 100, 5)
    shelf.add(2, Side.BUY, 100, 5)
    shelf.book.bids.reduce(shelf.orders[1], 4)
    assert shelf.queue(Side.BUY, 100) == [1, 2]
    assert shelf.book.bids.snapshot() == [(100, 6)]


def test_seal_states_absolute_quantities_best_first_and_zero_for_a_gone_level(shelf: Shelf) -> None:
    shelf.add(1, Side.BUY, 98, 1)
    shelf.add(2, Side.SELL, 102, 1)
    shelf.book.seal(EPOCH, SEQUENCE)
    shelf.add(3, Side.BUY, 99, 3)
    shelf.add(4, Side.BUY, 98, 4)
    shelf.remove(2)
    shelf.add(5, Side.SELL, 101, 5)
    delta = shelf.book.seal(EPOCH, SEQUENCE + 1)
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(99, 3), (98, 5)], [(101, 5), (102, 0)])
    assert (delta.symbol, delta.epoch, delta.engine_seq) == (SYMBOL, EPOCH, SEQUENCE + 1)


def test_sequences_of_deltas_form_a_chain(shelf: Shelf) -> None:
    chain = []
    for order_id in (1, 2, 3):
        shelf.add(order_id, Side.BUY, 90 + order_id, 1)
        delta = shelf.book.seal(EPOCH, SEQUENCE)
        assert delta is not None
        chain.append((delta.prev_seq, delta.seq))
    assert chain == [(0, 1), (1, 2), (2, 3)]


def test_net_zero_change_gives_no_delta_and_burns_no_sequence(shelf: Shelf) -> None:
    shelf.add(1, Side.BUY, 99, 5)
    shelf.book.seal(EPOCH, SEQUENCE)
    shelf.add(2, Side.BUY, 98, 1)
    shelf.remove(2)
    shelf.remove(1)
    shelf.add(3, Side.BUY, 99, 5)
    assert shelf.book.seal(EPOCH, SEQUENCE) is None
    assert shelf.book.seq == 1
    shelf.add(4, Side.BUY, 99, 1)
    delta = shelf.book.seal(EPOCH, SEQUENCE)
    assert delta is not None
    assert (delta.prev_seq, delta.seq, delta.bids) == (1, 2, [(99, 6)])


def test_crossed_book_is_never_published(shelf: Shelf) -> None:
    shelf.add(1, Side.BUY, 100, 1)
    shelf.add(2, Side.SELL, 100, 1)
    with pytest.raises(AssertionError, match="crossed book BTC-USD"):
        shelf.book.seal(EPOCH, SEQUENCE)


def test_reference_price_is_last_trade_then_mid_then_configured() -> None:
    book = Book(Instrument(SYMBOL, BASE, QUOTE, "1", "1", 0, 0, 1, 1, reference_price=50))
    shelf = Shelf()
    shelf.book = book
    assert book.reference_price() == 50
    shelf.add(1, Side.BUY, 60, 1)
    assert book.reference_price() == 50
    shelf.add(2, Side.SELL, 63, 1)
    assert book.reference_price() == 61
    book.move_last_price(99)
    assert book.reference_price() == 99
