"""A client that follows its account, and a trader who knows what it must see."""

import random
from typing import Any

from app.domain.enums import OrderStatus
from tests.unit.streaming.client import Frame
from tests.unit.streaming.exchange import ALICE, BOB, Exchange

CHANNELS = ("orders", "fills", "balances")


class Mirror:
    """A client that keeps orders and balances from snapshots and events, and checks the chain."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.orders: dict[str, Frame] = {}
        self.balances: dict[str, Frame] = {}
        self.seqs: list[int] = []
        """Every account_seq seen, in order, once."""

    def take(self, frame: Frame) -> None:
        if frame["type"] == "snapshot":
            assert self.position is None or frame["account_seq"] >= self.position
            self.position = frame["account_seq"]
            for order in frame.get("orders", ()):
                self.orders[order["order_id"]] = order
            for balance in frame.get("balances", ()):
                self.balances[balance["asset"]] = balance
        elif frame["type"] == "event":
            if frame["account_seq"] != self.position:
                assert frame["prev_account_seq"] == self.position, (frame, self.position)
                self.position = frame["account_seq"]
                self.seqs.append(frame["account_seq"])
            if frame["channel"] == "orders":
                self.orders[frame["order"]["order_id"]] = frame["order"]
            elif frame["channel"] == "balances":
                self.balances[frame["balance"]["asset"]] = frame["balance"]

    def open_orders(self) -> list[tuple[str, str, str]]:
        open_ones = [order for order in self.orders.values() if order["status"] in ("open", "partially_filled")]
        return sorted((order["order_id"], order["status"], order["filled_quantity"]) for order in open_ones)


class Trader:
    """Makes random private events and knows what must be open."""

    def __init__(self, exchange: Exchange, chance: random.Random) -> None:
        self.exchange = exchange
        self.chance = chance
        self.open: dict[int, Any] = {}

    def act(self) -> None:
        order = self.chance.choice(list(self.open.values())) if self.open else None
        match self.chance.randrange(5):
            case 0 if order is not None:
                self.exchange.cancel(order)
                del self.open[order.order_id]
            case 1 | 2 if order is not None:
                after = self.exchange.fill(order, self.chance.randint(1, order.remaining_quantity))
                self.open[order.order_id] = after
                if after.status is OrderStatus.FILLED:
                    del self.open[order.order_id]
            case 3:
                self.exchange.place(BOB)
            case _:
                placed = self.exchange.place(ALICE)
                self.open[placed.order_id] = placed

    def expected(self) -> list[tuple[str, str, str]]:
        return sorted(
            (str(order.order_id), order.status.value, f"{order.filled_quantity / 1000:g}")
            for order in self.open.values()
        )
