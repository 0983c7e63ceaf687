"""Two yardsticks for the same steps: the engine's book by itself, and a book of plain dicts that knows nothing of it.

`BareBook` is app/engine's book with the shortest matching loop: no risk, ledger, events or answers. What an engine
run costs beyond it is what an exchange does around its book. `PlainBook` is what CPython can do at all: lists for
orders, dicts for levels, sorted prices.
"""

from typing import Any

from sortedcontainers import SortedDict

from app.domain.instrument import Instrument
from app.engine.book import Book, PriceLevel
from benchmarks.workloads import BASE, BATCH_COMMANDS, QUOTE, SYMBOL, Step

_INSTRUMENT = Instrument(SYMBOL, BASE, QUOTE, "1", "1", 0, 0, 1, 1)
ANY_PRICE = {True: 2**62, False: 0}
"""Limit of a market order, by whether it buys."""


class Resting:
    """All that a book reads of an order."""

    __slots__ = ("ahead", "behind", "level", "price", "remaining")

    extras = None
    """No iceberg among them."""

    def __init__(self, price: int, remaining: int) -> None:
        self.price = price
        self.remaining = remaining
        self.level: PriceLevel | None = None
        self.ahead: Resting | None = None
        self.behind: Resting | None = None


class BareBook:
    """One book of the engine's and the orders in it."""

    def __init__(self) -> None:
        self.book = Book(_INSTRUMENT)
        self.trades = 0
        self.traded_quantity = 0
        self._orders: dict[int, Any] = {}

    def run(self, steps: list[Step]) -> None:
        """Execute steps."""
        book = self.book
        orders = self._orders
        published = book.bids.published, book.asks.published
        for count, (kind, number, is_buy, price, quantity) in enumerate(steps):
            if kind != "place" and orders[number].level is not None:
                (book.bids if is_buy else book.asks).remove(orders[number])
            if kind != "cancel":
                order: Any = Resting(price or ANY_PRICE[is_buy], quantity)
                orders[number] = order
                self._match(order, is_buy)
                if order.remaining and price:
                    (book.bids if is_buy else book.asks).add(order)
            if count % BATCH_COMMANDS == 0:
                # The book notes what it would publish; nobody asks for it here.
                for side in published:
                    side.clear()

    def _match(self, taker: Resting, is_buy: bool) -> None:
        price = taker.price
        opposite = self.book.asks if is_buy else self.book.bids
        while taker.remaining:
            level = opposite.best
            if level is None or (level.price > price if is_buy else level.price < price):
                return
            maker = level.head
            if maker is None:
                raise AssertionError(f"expected orders at {level.price}")
            quantity = taker.remaining
            if quantity < maker.remaining:
                opposite.reduce(maker, quantity)
            else:
                quantity = maker.remaining
                opposite.remove(maker)
            maker.remaining -= quantity
            taker.remaining -= quantity
            self.trades += 1
            self.traded_quantity += quantity


class PlainBook:
    """Price levels as dicts of [price, remaining] lists; prices negated for bids, so that the first is the best."""

    def __init__(self) -> None:
        self.trades = 0
        self.traded_quantity = 0
        self._sides: dict[bool, Any] = {True: SortedDict(), False: SortedDict()}
        self._orders: dict[int, list[int]] = {}

    def run(self, steps: list[Step]) -> None:
        """Execute steps."""
        for kind, number, is_buy, price, quantity in steps:
            if kind != "place":
                self._cancel(number, is_buy)
            if kind != "cancel":
                self._place(number, is_buy, price or ANY_PRICE[is_buy], quantity, rests=price > 0)

    def _cancel(self, number: int, is_buy: bool) -> None:
        order = self._orders.pop(number, None)
        if order is not None:
            side, key = self._sides[is_buy], order[0]
            level = side[key]
            del level[number]
            if not level:
                del side[key]

    def _place(self, number: int, is_buy: bool, price: int, quantity: int, *, rests: bool) -> None:
        opposite, orders = self._sides[not is_buy], self._orders
        limit = price if is_buy else -price
        while quantity and opposite:
            key, level = opposite.peekitem(0)
            if key > limit:
                break
            # A copy, so that filled orders can leave while it is walked.
            for maker, order in level.copy().items():
                traded = order[1] if order[1] <= quantity else quantity
                self.trades += 1
                self.traded_quantity += traded
                quantity -= traded
                order[1] -= traded
                if not order[1]:
                    del level[maker], orders[maker]
                if not quantity:
                    break
            if not level:
                del opposite[key]
        if quantity and rests:
            side, key = self._sides[is_buy], -limit
            level = side.get(key)
            if level is None:
                level = side[key] = {}
            level[number] = orders[number] = [key, quantity]
