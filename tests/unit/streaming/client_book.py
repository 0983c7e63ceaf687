"""A client's book by PROTOCOL.md's rule, in text: the oracle of every book test."""

import random
from collections.abc import Mapping
from typing import Any

from tests.unit.streaming.client import Client
from tests.unit.streaming.exchange import SYMBOL, Exchange

BOOK = f"orderbook:{SYMBOL}"


class ClientBook:
    """What a client knows, and how often it met a gap."""

    def __init__(self) -> None:
        self.epoch, self.seq = 0, -1
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.gaps = 0

    def take(self, frame: Mapping[str, Any]) -> None:
        """Follow a snapshot (a frame or a REST answer) or a delta."""
        if frame.get("type") == "delta":
            if frame["epoch"] != self.epoch or frame["seq"] <= self.seq:
                return
            if frame["prev_seq"] > self.seq:
                self.gaps += 1
                return
        else:
            self.epoch, self.bids, self.asks = frame["epoch"], {}, {}
        self.seq = frame["seq"]
        for side, levels in ((self.bids, frame["bids"]), (self.asks, frame["asks"])):
            for price, quantity in levels:
                if quantity == "0":
                    side.pop(price, None)
                else:
                    side[price] = quantity


def change_at_random(exchange: Exchange, chance: random.Random) -> None:
    def levels(low: int) -> list[tuple[int, int]]:
        prices = chance.sample(range(low, low + 20), chance.randint(0, 4))
        return [(price, chance.randint(0, 3)) for price in prices]

    exchange.change(levels(80), levels(101))


def truth(exchange: Exchange, symbol: str = SYMBOL) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return what a client's book must be, from integers, by its own arithmetic."""
    book = exchange.books[symbol]
    bids, asks = (
        {f"{price / 100:g}": f"{quantity / 1000:g}" for price, quantity in side.items()}
        for side in (book.bids, book.asks)
    )
    return book.seq, bids, asks


def follow(client: Client, book: ClientBook) -> None:
    for frame in client.read():
        if frame.get("channel") == BOOK:
            book.take(frame)
