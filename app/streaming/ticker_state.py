"""Statistics of the last 24 hours and the ticker made of them. No I/O.

The window moves in whole minutes: 1,440 minute bars including the current one, seeded with the
database's aggregates and then fed with every trade. Sums are exact; the extremes are looked up
again only when the bar that held one leaves the window.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.enums import InstrumentStatus
from app.domain.instrument import Instrument
from app.domain.prices import mark_of
from app.protocol import schemas
from app.protocol.shapes import average_price_text, notional_text, price_text, quantity_text, timestamp_text
from app.streaming.channel_state import BookState, TradePrint

MINUTE_NS = 60_000_000_000
WINDOW_MINUTES = 24 * 60


@dataclass(slots=True)
class MinuteBar:
    """Trades of one minute; `minute` counts from the Unix epoch, prices are ticks, volume lots."""

    minute: int
    open: int
    high: int
    low: int
    volume: int
    turnover: int
    """Sum of price times quantity, in ticks times lots."""


class RollingDay:
    """Open, high, low, volume and turnover of the window."""

    __slots__ = ("_bars", "high", "low", "turnover", "volume")

    def __init__(self, bars: Iterable[MinuteBar]) -> None:
        self._bars = deque(bars)
        self.volume = sum(bar.volume for bar in self._bars)
        self.turnover = sum(bar.turnover for bar in self._bars)
        self.high: int | None = None
        self.low: int | None = None
        self._look_up_extremes()

    @property
    def open(self) -> int | None:
        """Return the price of the first trade in the window."""
        return self._bars[0].open if self._bars else None

    def add(self, trade: TradePrint) -> None:
        """Count one trade, not older than the last one counted."""
        price, quantity = trade.price, trade.quantity
        minute = trade.timestamp_ns // MINUTE_NS
        bar = self._bars[-1] if self._bars else None
        if bar is None or bar.minute < minute:
            self._bars.append(MinuteBar(minute, price, price, price, quantity, price * quantity))
        else:
            bar.high = max(bar.high, price)
            bar.low = min(bar.low, price)
            bar.volume += quantity
            bar.turnover += price * quantity
        self.volume += quantity
        self.turnover += price * quantity
        self.high = price if self.high is None else max(self.high, price)
        self.low = price if self.low is None else min(self.low, price)

    def advance(self, now_ns: int) -> bool:
        """Let go of the minutes that have left the window; says whether anything changed."""
        oldest = now_ns // MINUTE_NS - WINDOW_MINUTES + 1
        held_extreme = False
        gone = 0
        while self._bars and self._bars[0].minute < oldest:
            bar = self._bars.popleft()
            self.volume -= bar.volume
            self.turnover -= bar.turnover
            held_extreme = held_extreme or bar.high == self.high or bar.low == self.low
            gone += 1
        if held_extreme:
            self._look_up_extremes()
        return gone > 0

    def _look_up_extremes(self) -> None:
        self.high = max((bar.high for bar in self._bars), default=None)
        self.low = min((bar.low for bar in self._bars), default=None)


def mark_price(book: BookState, last: TradePrint | None, external: int | None) -> int | None:
    """Return the mark price in ticks as the engine has it, None without anything to make one of."""
    bid, ask = book.bids.best(), book.asks.best()
    mid = (bid[0] + ask[0]) // 2 if bid is not None and ask is not None else None
    return mark_of([price for price in (last.price if last else None, mid, external) if price is not None])


def ticker_shape(
    instrument: Instrument, book: BookState, day: RollingDay, last: TradePrint | None, *, mark: int | None = None
) -> schemas.Ticker:
    """Return the ticker; members without a value are null, those of an auction outside of one."""

    def price(value: int | None) -> str | None:
        return None if value is None else price_text(value, instrument)

    def quantity(value: int | None) -> str | None:
        return None if value is None else quantity_text(value, instrument)

    bid, bid_quantity = book.bids.best() or (None, None)
    ask, ask_quantity = book.asks.best() or (None, None)
    auction = book.auction if instrument.status is InstrumentStatus.AUCTION else None
    crossing, crossed, surplus = auction or (None, None, None)
    turnover = day.turnover * instrument.notional_unit
    return schemas.Ticker(
        symbol=instrument.symbol,
        status=instrument.status,
        bid=price(bid),
        bid_quantity=quantity(bid_quantity),
        ask=price(ask),
        ask_quantity=quantity(ask_quantity),
        last=price(last.price if last else None),
        last_quantity=quantity(last.quantity if last else None),
        open_24h=price(day.open),
        high_24h=price(day.high),
        low_24h=price(day.low),
        volume_24h=quantity_text(day.volume, instrument),
        quote_volume_24h=notional_text(turnover, instrument),
        vwap_24h=average_price_text(turnover, day.volume, instrument),
        change_24h=price(last.price - day.open if last and day.open is not None else None),
        mark_price=price(mark),
        # A price of 0 says that nothing crosses.
        indicative_price=price(crossing or None),
        indicative_quantity=quantity(crossed),
        indicative_surplus=quantity(surplus),
        seq=book.seq,
        ts=timestamp_text(max(book.timestamp_ns, last.timestamp_ns if last else 0)),
    )
