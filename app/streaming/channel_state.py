"""What a replica knows of one symbol: its published book and its last trades. No I/O.

A book starts from a whole view and follows deltas by the chain rule that PROTOCOL.md gives to
clients. Levels are turned into text once and kept until they change, so that a snapshot costs
only what changed since the last one. Called by `market.py`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from sortedcontainers import SortedDict

from app.domain.enums import Side
from app.domain.events import AuctionIndicated, BookDelta, BookLevels, TradeExecuted
from app.domain.instrument import Instrument
from app.protocol import schemas
from app.protocol.messages import encode_frame
from app.protocol.ports import BookView
from app.protocol.shapes import price_text, quantity_text, timestamp_text

TAIL_TRADES = 50
"""Trades in the first frame of a trades channel."""
CHECKSUM_LEVELS = 10


class ChainStep(Enum):
    """How a change stands to a position: already known, the next, or beyond a gap."""

    OLD = "old"
    NEXT = "next"
    GAP = "gap"


class BookSide:
    """Price levels of one side: lots by ticks."""

    __slots__ = ("_instrument", "_is_bid", "_pairs", "levels")

    def __init__(self, side: Side, instrument: Instrument, levels: BookLevels) -> None:
        self._is_bid = side is Side.BUY
        self._instrument = instrument
        self._pairs: dict[int, tuple[str, str]] = {}
        self.levels: SortedDict[int, int] = SortedDict(levels)

    def apply(self, levels: BookLevels) -> None:
        """Set absolute quantities; 0 removes the level."""
        pairs = self._pairs
        for price, quantity in levels:
            pairs.pop(price, None)
            if quantity:
                self.levels[price] = quantity
            else:
                self.levels.pop(price, None)

    def best(self) -> tuple[int, int] | None:
        """Return price and quantity of the best level, or None if the side is empty."""
        return self.levels.peekitem(-1 if self._is_bid else 0) if self.levels else None

    def prices(self) -> Iterator[int]:
        """Yield prices, best first."""
        return reversed(self.levels) if self._is_bid else iter(self.levels)

    def top(self, depth: int | None) -> BookLevels:
        """Return at most `depth` levels, best first; None is all."""
        levels = self.levels
        return [(price, levels[price]) for price in islice(self.prices(), depth)]

    def pair(self, price: int, quantity: int) -> tuple[str, str]:
        """Return a level as decimal text; that of a standing level is kept."""
        if not quantity:
            return price_text(price, self._instrument), "0"
        made = self._pairs.get(price)
        if made is None:
            made = price_text(price, self._instrument), quantity_text(quantity, self._instrument)
            self._pairs[price] = made
        return made

    def pairs(self, levels: BookLevels) -> list[tuple[str, str]]:
        """Return levels as decimal text, given as they stand now or with 0."""
        pair = self.pair
        return [pair(price, quantity) for price, quantity in levels]


class BookState:
    """One published book at `seq` of `epoch`."""

    __slots__ = (
        "_auction_seq",
        "_full",
        "asks",
        "auction",
        "bids",
        "engine_seq",
        "epoch",
        "instrument",
        "seq",
        "timestamp_ns",
    )

    def __init__(self, instrument: Instrument, view: BookView) -> None:
        self.instrument = instrument
        self.epoch = view.epoch
        self.seq = view.seq
        self.engine_seq = view.engine_seq
        self.timestamp_ns = view.timestamp_ns
        self.bids = BookSide(Side.BUY, instrument, view.bids)
        self.asks = BookSide(Side.SELL, instrument, view.asks)
        self.auction = view.auction
        """Price, quantity and surplus that a call auction stated last."""
        self._auction_seq = view.engine_seq
        self._full: tuple[int, str] | None = None

    def indicate(self, auction: AuctionIndicated) -> None:
        """Take what an auction states, unless the view that the book began with knew it already."""
        if auction.engine_seq > self._auction_seq:
            self._auction_seq = auction.engine_seq
            self.auction = auction.price, auction.quantity, auction.surplus

    def apply(self, delta: BookDelta, timestamp_ns: int) -> ChainStep:
        """Apply a delta that continues the chain; an old one and one beyond a gap change nothing."""
        if delta.epoch != self.epoch:
            # Another epoch is valid only from a whole book on; what is left of an earlier one is noise.
            return ChainStep.GAP if delta.epoch > self.epoch else ChainStep.OLD
        if delta.seq <= self.seq:
            return ChainStep.OLD
        if delta.prev_seq > self.seq:
            return ChainStep.GAP
        self.bids.apply(delta.bids)
        self.asks.apply(delta.asks)
        self.seq = delta.seq
        self.engine_seq = delta.engine_seq
        self.timestamp_ns = timestamp_ns
        return ChainStep.NEXT

    def full_text(self) -> str:
        """Return the members `"bids":[...],"asks":[...]` of the whole book; made once per seq."""
        if self._full is None or self._full[0] != self.seq:
            self._full = (self.seq, self.levels_text(self.bids.top(None), self.asks.top(None)))
        return self._full[1]

    def levels_text(self, bids: BookLevels, asks: BookLevels) -> str:
        """Return the members `"bids":[...],"asks":[...]` of some levels, given as they stand now or with 0."""
        return f'"bids":{_json_pairs(self.bids.pairs(bids))},"asks":{_json_pairs(self.asks.pairs(asks))}'


def _json_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "[" + ",".join([f'["{price}","{quantity}"]' for price, quantity in pairs]) + "]"


def checksum(bids: BookLevels, asks: BookLevels) -> int:
    """Return Kraken v2's CRC32 over the ten best levels, asks first, in integer ticks and lots."""
    levels = asks[:CHECKSUM_LEVELS] + bids[:CHECKSUM_LEVELS]
    return crc32("".join([f"{price}{quantity}" for price, quantity in levels]).encode())


class TradePrint(NamedTuple):
    """A public trade with its time."""

    trade_id: int
    price: int
    quantity: int
    taker_side: Side
    timestamp_ns: int


def trade_print(trade: TradeExecuted, timestamp_ns: int) -> TradePrint:
    """Return the public part of a trade."""
    return TradePrint(trade.trade_id, trade.price, trade.quantity, trade.taker_side, timestamp_ns)


class TradeTail:
    """The last trades of one symbol, oldest first, with contiguous ids."""

    __slots__ = ("trades",)

    def __init__(self, trades: Iterable[TradePrint]) -> None:
        self.trades: deque[TradePrint] = deque(trades, maxlen=TAIL_TRADES)

    @property
    def last_id(self) -> int:
        """Return the id of the last trade, 0 before the first."""
        return self.trades[-1].trade_id if self.trades else 0

    def apply(self, trades: Iterable[TradePrint]) -> tuple[ChainStep, list[TradePrint]]:
        """Append the trades after the last one; returns those, or GAP when one between is missing."""
        last_id = self.last_id
        fresh = [trade for trade in trades if trade.trade_id > last_id]
        if not fresh:
            return ChainStep.OLD, fresh
        if fresh[0].trade_id != last_id + 1:
            return ChainStep.GAP, []
        self.trades.extend(fresh)
        return ChainStep.NEXT, fresh


def trades_text(trades: Iterable[TradePrint], instrument: Instrument) -> str:
    """Return the JSON list of trade objects."""
    return encode_frame(
        [
            schemas.Trade(
                trade_id=str(trade.trade_id),
                symbol=instrument.symbol,
                price=price_text(trade.price, instrument),
                quantity=quantity_text(trade.quantity, instrument),
                taker_side=trade.taker_side,
                ts=timestamp_text(trade.timestamp_ns),
            )
            for trade in trades
        ]
    )
