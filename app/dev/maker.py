"""A demo market maker: a ladder of resting orders on both sides of each fair price.

Orders stand on a fixed grid of prices. When the fair price moves, only those that left the ladder are
canceled and only empty places are filled, so books move as real ones do and few messages are sent.
What is open is learned from the private `orders` channel, which begins with a snapshot: a bot that
comes back takes over what it left behind.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from app.dev.bot import TERMINAL, Bot, Traded, plain
from app.dev.client import REPLY_TIMEOUT_S, RequestRefused, StreamSession
from app.dev.credentials import Credentials

LEVELS = 8
"""Orders on each side of each book."""
QUOTE_EVERY_S = 0.5
GAP = 2e-4
"""Distance between levels, as a fraction of the price."""
LEAN_GAPS = 3.0
"""How many levels the ladder shifts against a full inventory."""
FORGET_AFTER = 10_000
"""Ended orders that are remembered, so that a late answer does not bring one back."""


class Requests(Protocol):
    """The part of a session that quoting needs."""

    def begin(self, action: str, **members: Any) -> Awaitable[dict[str, Any]]:
        """Send an action; the result is its reply."""


Place = tuple[str, str, str]
"""Symbol, side and price text: where an order of the ladder stands."""


class Maker(Bot):
    """Quotes every instrument."""

    def __init__(
        self, name: str, urls: Sequence[str], credentials: Credentials, books: Sequence[Traded], *, offset: float
    ) -> None:
        """`offset` moves the first level away from the fair price, in gaps, so that two makers differ."""
        super().__init__(name, urls, credentials, first_url=0)
        self._books = books
        self._offset = offset
        self.orders: dict[str, dict[str, Any]] = {}
        """Open orders by id, as last heard of."""
        self.ended: dict[str, None] = {}
        """Ids of ended orders, oldest first."""
        self._random = random.Random(name)  # noqa: S311  # a demo, not a secret

    async def trade(self, session: StreamSession) -> None:
        """Keep the ladders where they belong."""
        self.orders.clear()
        await session.subscribe("orders", "balances")
        loop = asyncio.get_running_loop()
        while True:
            for book in self._books:
                await self.quote(session, book, loop.time())
            await asyncio.sleep(QUOTE_EVERY_S * self._random.uniform(0.8, 1.2))

    def on_frame(self, frame: dict[str, Any]) -> None:
        """Follow the account's orders."""
        if frame.get("channel") != "orders":
            return
        for order in [frame["order"]] if "order" in frame else frame.get("orders", []):
            self._note(order)

    def _note(self, order: Mapping[str, Any]) -> None:
        """Take what a frame or an answer says of an order, unless something newer is known."""
        number = order["order_id"]
        if number is None or number in self.ended:
            return
        if order["status"] in TERMINAL:
            self.orders.pop(number, None)
            self.ended[number] = None
            if len(self.ended) > FORGET_AFTER:
                self.ended.pop(next(iter(self.ended)))
        elif order["version"] >= self.orders.get(number, order)["version"]:
            self.orders[number] = dict(order)

    async def quote(self, session: Requests, book: Traded, now_s: float) -> None:
        """Cancel what left the ladder of one instrument and fill its empty places. Raises ConnectionError."""
        wanted = dict.fromkeys(self.ladder(book, now_s))
        leaving = []
        for number, order in self.orders.items():
            if order["symbol"] == book.symbol:
                place = (order["symbol"], order["side"], order["price"])
                # Taken out of what is wanted, so a second order at one place leaves too.
                if place in wanted:
                    del wanted[place]
                else:
                    leaving.append(number)
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            # Cancels first: the new orders may need the room they leave.
            await asyncio.gather(*(self._cancel(session, number) for number in leaving))
            await asyncio.gather(*(self._place(session, book, place) for place in wanted))

    async def _cancel(self, session: Requests, number: str) -> None:
        try:
            self._note((await session.begin("order.cancel", order_id=number))["order"])
        except RequestRefused:
            # Filled a moment ago: its event is on the way, or was missed with a lost session.
            self.orders.pop(number, None)

    async def _place(self, session: Requests, book: Traded, place: Place) -> None:
        # A refusal is no fault: a price that would take by now is wanted no longer in the next round.
        with contextlib.suppress(RequestRefused):
            self._note((await session.begin("order.place", order=self._order(book, place)))["order"])

    def ladder(self, book: Traded, now_s: float) -> Iterator[Place]:
        """Yield the places where orders should stand, from the inside out."""
        fair = book.fair.at(now_s) / book.tick_size
        gap = max(1, round(fair * GAP))
        # Too much inventory lowers both sides: it is sold sooner and bought later.
        center = fair / gap - LEAN_GAPS * self.lean(book)
        below = math.floor(center - self._offset)
        above = math.ceil(center + self._offset)
        for level in range(LEVELS):
            for side, step in (("buy", below - level), ("sell", above + level)):
                yield book.symbol, side, plain(step * gap * book.tick_size, book.price_digits)

    def _order(self, book: Traded, place: Place) -> dict[str, Any]:
        symbol, side, price = place
        quantity = max(book.usual_quantity * self._random.uniform(1.0, 6.0), book.min_quantity)
        return {
            "symbol": symbol,
            "side": side,
            "type": "limit",
            "price": price,
            "quantity": plain(quantity, book.quantity_digits),
            "post_only": "reject",
        }
