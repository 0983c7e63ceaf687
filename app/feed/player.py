"""Plays a command set over two WebSocket sessions and collects what comes of every command.

Commands of one session are executed in the order they are sent, so they are pipelined; two sessions
have no order between them, so a change of side waits for the answers of the other side first.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from app.dev.client import JsonObject, RequestRefused, StreamSession
from app.feed.command_set import BestPrices, CommandSet, ExpectedFill, FeedCommand, SeedOrder
from app.feed.comparison import Comparison
from app.feed.market import FeedMarket

IN_FLIGHT_MAX = 64
"""Answers awaited at once: what a session admits."""
FILLS_TIMEOUT_S = 10.0
_NOT_OPEN = {"unknown_order", "order_not_open"}


class _Sent(NamedTuple):
    command: FeedCommand | None
    """None for an order of the seed, and for the delete of a replace."""
    order: int
    answer: "asyncio.Future[JsonObject]"
    places: bool


class Player:
    """One run of a command set."""

    def __init__(self, market: FeedMarket, commands: CommandSet) -> None:
        self._market = market
        self._commands = commands
        self._sessions: dict[int, StreamSession] = {}
        self._side = 1
        self._sent: deque[_Sent] = deque()
        self._names: dict[int, str] = {}
        """Client order id of each recorded order that was sent."""
        self._renewed: dict[int, int] = {}
        self._order_ids: dict[int, str] = {}
        self._orders: dict[str, int] = {}
        """Recorded order of each server order id."""
        self._totals: dict[int, int] = {}
        """Total quantity of each order, as amends state it."""
        self._takes: list[tuple[int, int, int, int]] = []
        """(trade_id, command, price, quantity) of every fill of an incoming order."""
        self._makers: dict[int, str] = {}
        """Server order id of the maker of each trade."""
        self._best = BestPrices(0, 0, 0, 0)
        self.done = 0

    def on_frame(self, frame: JsonObject) -> None:
        """Take a pushed frame: a maker's fill names the order that was met."""
        if frame.get("type") == "event" and frame.get("channel") == "fills":
            fill = frame["fill"]
            if fill["liquidity"] == "maker":
                self._makers[int(fill["trade_id"])] = fill["order_id"]

    async def join(self, buys: StreamSession, sells: StreamSession) -> None:
        """Trade over these sessions, whose frames go to `on_frame`."""
        self._sessions = {1: buys, -1: sells}
        for session in self._sessions.values():
            await session.subscribe("fills")

    async def seed(self) -> None:
        """Place the resting orders."""
        for order in self._commands.seed:
            await self._place(order, command=None)
        await self._settle(0)

    async def play(self, comparison: Comparison, progress: Callable[[int], None]) -> None:
        """Play every command, then compare."""
        for command in self._commands.commands:
            await self._play(command, comparison)
            self.done += 1
            progress(self.done)
        await self._settle(0, comparison)
        await self._wait_for_makers()
        self._compare_fills(comparison)

    async def _play(self, command: FeedCommand, comparison: Comparison) -> None:
        number, kind, order, side = command.number, command.kind, command.order, command.side
        if kind in "NI":
            time_in_force = "ioc" if kind == "I" else "gtc"
            await self._turn(side, comparison)
            await self._place(command, command=command, time_in_force=time_in_force)
        elif order not in self._names:
            comparison.unknown_orders += 1
            comparison.check_best(number, self._best)
            return
        elif kind == "X":
            await self._turn(side, comparison)
            await self._reduce(command, comparison)
        else:
            await self._turn(side, comparison)
            self._send(None if kind == "R" else command, order, "order.cancel", client_order_id=self._names[order])
            if kind == "R":
                await self._place(command, command=command)
        await self._settle(IN_FLIGHT_MAX - 2, comparison)

    async def _place(
        self, item: SeedOrder | FeedCommand, *, command: FeedCommand | None, time_in_force: str = "gtc"
    ) -> None:
        """Place an order of the seed or of a command; `command` is who the answer belongs to, if anybody."""
        order, side = item.order, item.side
        if side != self._side:
            await self._settle(0)
            self._side = side
        renewed = self._renewed[order] = self._renewed.get(order, 0) + 1
        name = self._names[order] = f"{order}.{renewed}"
        self._totals[order] = item.quantity
        body: dict[str, Any] = {
            "symbol": self._market.symbol,
            "side": "buy" if side == 1 else "sell",
            "type": "limit",
            "price": str(item.price),
            "quantity": str(item.quantity),
            "time_in_force": time_in_force,
            "client_order_id": name,
        }
        self._send(command, order, "order.place", places=True, order_body=body)
        if command is None:
            await self._settle(IN_FLIGHT_MAX - 2)

    async def _reduce(self, command: FeedCommand, comparison: Comparison) -> None:
        order = command.order
        if order not in self._order_ids:
            # Its own answer brings the id that an amend needs.
            await self._settle(0, comparison)
        order_id = self._order_ids.get(order)
        if order_id is None:
            comparison.unknown_orders += 1
            comparison.check_best(command.number, self._best)
            return
        self._totals[order] -= command.quantity
        if self._totals[order] <= 0:
            self._send(command, order, "order.cancel", client_order_id=self._names[order])
        else:
            self._send(command, order, "order.amend", order_id=order_id, quantity=str(self._totals[order]))

    async def _turn(self, side: int, comparison: Comparison) -> None:
        """Change to the other session only when everything before it is done."""
        if side != self._side:
            await self._settle(0, comparison)
            self._side = side

    def _send(
        self, command: FeedCommand | None, order: int, action: str, *, places: bool = False, **members: Any
    ) -> None:
        if "order_body" in members:
            members["order"] = members.pop("order_body")
        answer = self._sessions[self._side].begin(action, **members)
        self._sent.append(_Sent(command, order, answer, places))

    async def _settle(self, left: int, comparison: Comparison | None = None) -> None:
        """Take answers, oldest first, until at most `left` are awaited."""
        while len(self._sent) > left:
            sent = self._sent.popleft()
            try:
                frame = await sent.answer
            except RequestRefused as refused:
                if refused.code not in _NOT_OPEN or comparison is None:
                    raise
                comparison.unknown_orders += 1
                if sent.command is not None:
                    comparison.check_best(sent.command.number, self._best)
                continue
            self._take(sent, frame["order"], comparison)

    def _take(self, sent: _Sent, order: JsonObject, comparison: Comparison | None) -> None:
        book = order["book"]
        self._best = BestPrices(*(int(book[name] or 0) for name in ("ask", "ask_quantity", "bid", "bid_quantity")))
        if sent.places:
            self._order_ids[sent.order] = order["order_id"]
            self._orders[order["order_id"]] = sent.order
            if sent.command is not None:
                for fill in order["fills"]:
                    take = (int(fill["trade_id"]), sent.command.number, int(fill["price"]), int(fill["quantity"]))
                    self._takes.append(take)
        if sent.command is not None and comparison is not None:
            comparison.check_best(sent.command.number, self._best)

    async def _wait_for_makers(self) -> None:
        """Wait until the makers' own fills have come over their session."""
        deadline = asyncio.get_running_loop().time() + FILLS_TIMEOUT_S
        while any(take[0] not in self._makers for take in self._takes):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)

    def _compare_fills(self, comparison: Comparison) -> None:
        got: dict[int, list[ExpectedFill]] = {}
        for trade_id, command, price, quantity in sorted(self._takes):
            maker = self._orders.get(self._makers.get(trade_id, ""), 0)
            got.setdefault(command, []).append(ExpectedFill(maker, price, quantity))
        for feed_command in self._commands.commands:
            comparison.check_fills(feed_command.number, got.get(feed_command.number, []))
