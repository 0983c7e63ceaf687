"""A client's own order book, kept by the rule of PROTOCOL.md and nothing else."""

from typing import Any


class GapSeen(Exception):
    """A delta does not continue the book."""


class ClientBook:
    """Levels by price text; `seq` is None until the book was seeded."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.seq: int | None = None
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.applied = 0

    def seed(self, snapshot: dict[str, Any]) -> None:
        """Start from a snapshot, of REST or of the stream."""
        self.epoch, self.seq = snapshot["epoch"], snapshot["seq"]
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])

    def apply(self, delta: dict[str, Any]) -> None:
        """Apply a delta by the rule. Raises GapSeen."""
        assert self.seq is not None
        if delta["epoch"] != self.epoch or delta["prev_seq"] > self.seq:
            raise GapSeen(f"at {self.epoch}/{self.seq}: {delta['epoch']}/{delta['prev_seq']}")
        if delta["seq"] <= self.seq:
            return
        for levels, changes in ((self.bids, delta["bids"]), (self.asks, delta["asks"])):
            for price, quantity in changes:
                if quantity == "0":
                    del levels[price]
                else:
                    levels[price] = quantity
        self.seq = delta["seq"]
        self.applied += 1

    def state(self) -> tuple[int | None, int | None, list[list[str]], list[list[str]]]:
        """Return epoch, seq, bids and asks the way a snapshot shows them."""
        bids = [list(level) for level in sorted(self.bids.items(), key=lambda level: -float(level[0]))]
        asks = [list(level) for level in sorted(self.asks.items(), key=lambda level: float(level[0]))]
        return self.epoch, self.seq, bids, asks
