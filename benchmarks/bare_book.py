"""The engine's book by itself, as a yardstick: the same orders and cancels, no risk, ledger, events or answers.

What an engine run costs beyond this is what an exchange does around its book.
"""

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, Side
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.instrument import Instrument
from app.engine.book import Book
from app.engine.state import Account, Order
from benchmarks.workloads import BASE, BATCH_COMMANDS, QUOTE, SYMBOL, Step

_INSTRUMENT = Instrument(SYMBOL, BASE, QUOTE, "1", "1", 0, 0, 1, 1)
_ACCOUNT = Account(FIRST_ACCOUNT_ID, "bare")
ANY_PRICE = {True: 2**62, False: 0}
"""Limit of a market order, by whether it buys."""


def prepared(steps: list[Step]) -> list[tuple[Step, PlaceOrder]]:
    """Return the steps with the terms that their orders need."""
    sides = {True: Side.BUY, False: Side.SELL}
    return [
        (
            step,
            PlaceOrder(
                FIRST_ACCOUNT_ID,
                SYMBOL,
                sides[step.is_buy],
                OrderType.LIMIT,
                step.quantity,
                step.price,
            ),
        )
        for step in steps
    ]


class BareBook:
    """One book and the orders in it."""

    def __init__(self) -> None:
        self.book = Book(_INSTRUMENT)
        self.trades = 0
        self.traded_quantity = 0
        self._orders: dict[int, Order] = {}

    def run(self, rows: list[tuple[Step, PlaceOrder]]) -> None:
        """Execute prepared steps."""
        book = self.book
        orders = self._orders
        published = book.bids.published, book.asks.published
        for count, (step, terms) in enumerate(rows):
            kind, number = step.kind, step.order
            if kind != "place":
                order = orders[number]
                if order.level is not None:
                    (book.bids if order.is_buy else book.asks).remove(order)
            if kind != "cancel":
                price = step.price or ANY_PRICE[step.is_buy]
                order = orders[number] = Order(number, terms, _ACCOUNT, book, price)
                self._match(order)
                if order.remaining and step.price:
                    (book.bids if order.is_buy else book.asks).add(order)
            if count % BATCH_COMMANDS == 0:
                # The book notes what it would publish; nobody asks for it here.
                for side in published:
                    side.clear()

    def _match(self, taker: Order) -> None:
        is_buy, price = taker.is_buy, taker.price
        opposite = self.book.asks if is_buy else self.book.bids
        while taker.remaining:
            level = opposite.best
            if level is None or (level.price > price if is_buy else level.price < price):
                return
            maker = level.head
            if maker is None:
                raise AssertionError(f"expected orders at {level.price}")
            quantity = min(taker.remaining, maker.remaining)
            if quantity == maker.remaining:
                opposite.remove(maker)
            else:
                opposite.reduce(maker, quantity)
            maker.remaining -= quantity
            taker.remaining -= quantity
            self.trades += 1
            self.traded_quantity += quantity
