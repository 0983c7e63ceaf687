"""One peer, one pass over a generated flow: prints commands per CPU-second and what it traded, as JSON.

Runs in an environment that holds only the peers: `python_driver.py NAME FLOW.csv`. It imports nothing of ours.
An amend of the flow loses its place, so every peer gets it as cancel and add.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

ANY_PRICE = {1: 10**9, 2: 1}
"""Limit of a market order for peers that have none, by side."""
PYORDERBOOK, LIGHT, AKHIL = "pyorderbook", "lightmatchingengine", "akhil4n-orderbook"
Trades = Iterator[tuple[int, int]]
"""(quantity, price) of each."""


class Pyorderbook:
    """pyorderbook: orders are objects that the book matches."""

    def __init__(self) -> None:
        from pyorderbook import Book, ask, bid  # type: ignore[import-not-found]  # the peers' own environment

        self._book, self._make = Book(), {1: bid, 2: ask}
        self._orders: dict[int, Any] = {}
        self._blotters: list[Any] = []

    def add(self, number: int, side: int, price: int, quantity: int) -> None:
        """Place a limit order."""
        order = self._orders[number] = self._make[side]("X", price, quantity)
        self._blotters.append(self._book.match(order))

    def market(self, side: int, quantity: int) -> None:
        """Place a market order."""
        self._blotters.append(self._book.match(self._make[side]("X", ANY_PRICE[side], quantity)))

    def cancel(self, number: int) -> None:
        """Cancel an order."""
        self._book.cancel(self._orders[number])

    def trades(self) -> Trades:
        """Yield all trades so far."""
        for blotter in self._blotters:
            for trade in blotter.trades:
                yield trade.fill_quantity, int(trade.fill_price)


class LightMatchingEngine:
    """lightmatchingengine: the engine makes the orders and answers with its trades."""

    def __init__(self) -> None:
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine  # type: ignore[import-not-found]  # the peers' own environment

        self._engine = LightMatchingEngine()
        self._ids: dict[int, int] = {}
        self._answers: list[Any] = []

    def add(self, number: int, side: int, price: int, quantity: int) -> None:
        """Place a limit order."""
        answer = self._engine.add_order("X", price, quantity, side)
        self._ids[number] = answer[0].order_id
        self._answers.append(answer)

    def market(self, side: int, quantity: int) -> None:
        """Place a market order."""
        self._answers.append(self._engine.add_order("X", 0, quantity, side))

    def cancel(self, number: int) -> None:
        """Cancel an order."""
        self._engine.cancel_order(self._ids[number], "X")

    def trades(self) -> Trades:
        """Yield all trades so far."""
        for order, trades in self._answers:
            # The incoming order's own entry sums up a level; the others are one per resting order.
            for trade in trades:
                if trade.order_id != order.order_id:
                    yield trade.trade_qty, int(trade.trade_price)


class AkhilOrderBook:
    """akhil4n-orderbook: decimal prices, a log of all trades."""

    def __init__(self) -> None:
        from decimal import Decimal

        import orderbook  # type: ignore[import-not-found]  # the peers' own environment

        self._module, self._decimal = orderbook, Decimal
        self._book = orderbook.OrderBook()
        self._sides = {1: orderbook.OrderSide.BID, 2: orderbook.OrderSide.ASK}
        self._ids: dict[int, Any] = {}

    def add(self, number: int, side: int, price: int, quantity: int) -> None:
        """Place a limit order."""
        order = self._module.Order(side=self._sides[side], price=self._decimal(price), original_quantity=quantity)
        self._ids[number] = order.order_id
        self._book.add_limit_order(order)

    def market(self, side: int, quantity: int) -> None:
        """Place a market order."""
        self._book.add_market_order(self._module.MarketOrder(side=self._sides[side], original_quantity=quantity))

    def cancel(self, number: int) -> None:
        """Cancel an order."""
        self._book.cancel_order(self._ids[number])

    def trades(self) -> Trades:
        """Yield all trades so far."""
        for trade in self._book.trade_log:
            yield trade.quantity_filled, int(trade.price)


PEERS: dict[str, Callable[[], Any]] = {PYORDERBOOK: Pyorderbook, LIGHT: LightMatchingEngine, AKHIL: AkhilOrderBook}


def main() -> None:
    """Play the flow into a fresh peer."""
    name, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        rows = [(kind, *(int(field) for field in rest)) for kind, *rest in (line.split(",") for line in file)]
    peer = PEERS[name]()
    add, market, cancel = peer.add, peer.market, peer.cancel
    gc.collect()
    gc.freeze()
    started = time.process_time_ns()
    for kind, number, side, price, quantity in rows:
        if kind in ("A", "X"):
            add(number, side, price, quantity)
        elif kind == "C":
            cancel(number)
        elif kind == "M":
            market(side, quantity)
        else:
            cancel(number)
            add(number, side, price, quantity)
    seconds = (time.process_time_ns() - started) / 1e9
    traded = list(peer.trades())
    facts = {
        "per_cpu_second": len(rows) / seconds,
        "trades": len(traded),
        "traded_quantity": sum(quantity for quantity, _ in traded),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
