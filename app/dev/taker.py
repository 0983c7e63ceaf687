"""A demo taker: small orders against the best price, at random moments, that even out its inventory over time."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from app.dev.bot import Bot, Traded, plain
from app.dev.client import RequestRefused, StreamSession
from app.dev.credentials import Credentials

ORDERS_PER_S = 9.0
"""Over all instruments: with some orders refused or unfilled, more than five trades a second remain."""
PATIENCE_S = 10.0
SIZE_SPREAD = 0.8
"""Standard deviation of the logarithm of an order's size."""
SIZE_MAX = 12.0
"""Largest order, in usual ones: a few levels deep."""
MARKET_SHARE = 0.6
"""Share of market orders; the rest are immediate-or-cancel limits at the best price."""
LEAN_WEIGHT = 0.45

_BEST = {"buy": "ask", "sell": "bid"}


class Taker(Bot):
    """Takes from every book."""

    def __init__(self, name: str, urls: Sequence[str], credentials: Credentials, books: Sequence[Traded]) -> None:
        # Another replica than the makers', so that the demo shows that all of them are one exchange.
        super().__init__(name, urls, credentials, first_url=1)
        self._books = books
        self._tickers: dict[str, dict[str, Any]] = {}
        self._random = random.Random(name)  # noqa: S311  # a demo, not a secret

    async def trade(self, session: StreamSession) -> None:
        """Send orders at random moments."""
        await session.subscribe("balances", *(f"ticker:{book.symbol}" for book in self._books))
        while True:
            order = self.next_order()
            if order is not None:
                # Refused: nothing was there to trade with any more, or too little money for once.
                with contextlib.suppress(RequestRefused):
                    async with asyncio.timeout(PATIENCE_S):
                        await session.begin("order.place", order=order)
            await asyncio.sleep(self._random.expovariate(ORDERS_PER_S))

    def on_frame(self, frame: dict[str, Any]) -> None:
        """Follow the best prices."""
        if frame.get("type") == "ticker":
            self._tickers[frame["symbol"]] = frame

    def next_order(self) -> dict[str, Any] | None:
        """Return an order for a book that has the other side, or None."""
        book = self._random.choice(self._books)
        buys = self._random.random() < 0.5 - LEAN_WEIGHT * self.lean(book)
        side = "buy" if buys else "sell"
        best = self._tickers.get(book.symbol, {}).get(_BEST[side])
        if best is None:
            return None
        size = book.usual_quantity * min(self._random.lognormvariate(0.0, SIZE_SPREAD), SIZE_MAX)
        order = {
            "symbol": book.symbol,
            "side": side,
            "quantity": plain(max(size, book.min_quantity), book.quantity_digits),
        }
        if self._random.random() < MARKET_SHARE:
            return order | {"type": "market"}
        return order | {"type": "limit", "price": best, "time_in_force": "ioc"}
