"""One symbol on this replica: its book, trades and ticker, from first use on, and their channels.

Nothing is kept of a symbol before somebody asks. Then its changes are buffered, the state is
fetched (the book from the leader, trades from the database, what the database lacks from the
journal), and what the buffer has beyond that state is applied. From there on it stays live.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.domain.events import AuctionIndicated, BookDelta
from app.domain.instrument import Instrument
from app.domain.prices import EXTERNAL_AGE_MAX_NS
from app.errors import ApiError
from app.protocol import schemas
from app.protocol.channels import PublicKind
from app.protocol.messages import BookOptions, encode_frame
from app.protocol.ports import BookSource, Instruments
from app.protocol.records import BookRecord, decode_book
from app.streaming.activation import Activation
from app.streaming.book_channels import BookChannel, BookView, book_channel
from app.streaming.channel_state import BookState, ChainStep, TradePrint, TradeTail, trade_print, trades_text
from app.streaming.fanout import FirstFrame, LiveChannel, Reason
from app.streaming.sources import Sources, rows_between
from app.streaming.ticker_state import RollingDay, mark_price, ticker_shape


@dataclass(frozen=True, kw_only=True)
class MarketContext:
    """What every market of a replica shares."""

    book_source: BookSource
    sources: Sources
    instruments: Instruments
    applied_seq: Callable[[], int]
    now_ns: Callable[[], int]


class TradesChannel(LiveChannel):
    """Trades with contiguous ids; starts with the last 50."""

    is_fact = True

    def __init__(self, market: "Market") -> None:
        super().__init__(f"trades:{market.instrument.symbol}")
        self._market = market

    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return the last trades."""
        tail = self._market.tail
        return None if tail is None else FirstFrame(self.text(tail.trades), 0)

    def text(self, trades: Iterable[TradePrint]) -> str:
        """Return a `messages.TradesFrame` as JSON."""
        return f'{{"type":"trades","channel":"{self.name}","trades":{trades_text(trades, self._market.instrument)}}}'


class TickerChannel(LiveChannel):
    """The ticker as it stands after each batch that changed it."""

    def __init__(self, market: "Market") -> None:
        super().__init__(f"ticker:{market.instrument.symbol}")
        self._market = market

    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return the ticker as it stands."""
        ticker = self._market.ticker_now()
        return None if ticker is None else FirstFrame(self.text(ticker), ticker.seq)

    def text(self, ticker: schemas.Ticker) -> str:
        """Return a `messages.TickerFrame` as JSON."""
        return f'{{"type":"ticker","channel":"{self.name}",{encode_frame(ticker)[1:]}'


class Market:
    """Live state and channels of one instrument."""

    def __init__(self, instrument: Instrument, context: MarketContext) -> None:
        self.instrument = instrument
        self._context = context
        self.book: BookState | None = None
        self.tail: TradeTail | None = None
        self._day = RollingDay([])
        self._jumps = 0
        """How often `start_over` was called: a load that one of them overtook is void."""
        self._shown: tuple[object, ...] = ()
        """Best levels and statistics in the last ticker frame."""
        self._external: tuple[int, int] | None = None
        """Last external reference price and its time."""
        self._auction: AuctionIndicated | None = None
        """What an auction stated while the book was fetched."""
        self._deltas: list[tuple[BookDelta, int]] | None = None
        """Deltas with their times while the book is fetched."""
        self._prints: list[TradePrint] | None = None
        """Trades while the last ones are fetched."""
        self._books: dict[BookOptions, BookChannel | BookView] = {}
        """The full book once somebody asked, and the views that are watched."""
        self._trades = TradesChannel(self)
        self._ticker = TickerChannel(self)
        symbol = instrument.symbol
        self._book_activation = Activation(f"the book of {symbol}", self._load_book, self._book_is_wanted)
        self._trades_activation = Activation(f"the trades of {symbol}", self._load_trades, self._trades_are_wanted)

    def channel(self, kind: PublicKind, options: BookOptions) -> LiveChannel:
        """Return a channel; it begins to load what it shows when `activate` is called."""
        if kind is PublicKind.TRADES:
            return self._trades
        if kind is PublicKind.TICKER:
            return self._ticker
        channel = self._books.get(options)
        if channel is None:
            channel = self._books[options] = book_channel(self.instrument.symbol, options, lambda: self.book)
            if isinstance(channel, BookView):
                channel.on_abandoned = lambda: self._forget_view(options)
        return channel

    def activate(self) -> None:
        """Load in the background what subscribers wait for."""
        if self.book is None and self._book_is_wanted():
            self._book_activation.keep_trying()
        if self.tail is None and self._trades_are_wanted():
            self._trades_activation.keep_trying()

    async def live_book(self) -> BookState:
        """Return the book, loading it first if need be. Raises ApiError when that fails."""
        while self.book is None:
            await self._book_activation.once()
        return self.book

    async def live_ticker(self) -> schemas.Ticker:
        """Return the ticker, loading what it needs first. Raises ApiError when that fails."""
        while self.tail is None:
            await self._trades_activation.once()
        await self.live_book()
        self._day.advance(self._context.now_ns())
        ticker = self.ticker_now()
        if ticker is None:
            raise ApiError("service_unavailable", "The ticker is being loaded again.", retry_after_ms=100)
        return ticker

    def ticker_now(self) -> schemas.Ticker | None:
        """Return the ticker, or None while book or trades are not loaded."""
        if self.book is None or self.tail is None:
            return None
        last = self.tail.trades[-1] if self.tail.trades else None
        # Tick and lot never change, status does.
        current = self._context.instruments.get(self.instrument.symbol) or self.instrument
        return ticker_shape(current, self.book, self._day, last, mark=self._mark(self.book, last))

    def apply(self, blob: bytes, timestamp_ns: int) -> None:
        """Follow what a batch did to this symbol."""
        if self.book is None and self.tail is None and self._deltas is None and self._prints is None:
            return
        record = decode_book(blob)
        if record.trades:
            self._apply_trades(record, timestamp_ns)
        if record.delta is not None:
            self._apply_delta(record.delta, timestamp_ns)
        if record.auction is not None:
            self._apply_auction(record.auction)
        self._publish_ticker()

    def set_external(self, price: int, timestamp_ns: int) -> None:
        """Take an external reference price in ticks."""
        self._external = price, timestamp_ns
        self._publish_ticker()

    def refresh(self) -> None:
        """Show that the instrument was edited."""
        self._publish_ticker()

    def start_over(self, reason: Reason) -> None:
        """Forget everything and load it again if somebody is subscribed: the feed jumped, or the epoch changed."""
        self.book = self.tail = None
        self._jumps += 1
        self._restart(reason, [*self._books.values(), self._trades, self._ticker])

    def advance(self, now_ns: int) -> None:
        """Let time pass without trades: the day's statistics change, and lagging views are brought up."""
        self._day.advance(now_ns)
        self._publish_ticker()
        for channel in tuple(self._books.values()):
            if isinstance(channel, BookView) and channel.members:
                channel.flush()

    async def stop(self) -> None:
        """End background loads."""
        await self._book_activation.stop()
        await self._trades_activation.stop()

    def _apply_delta(self, delta: BookDelta, timestamp_ns: int) -> None:
        if self.book is None:
            if self._deltas is not None:
                self._deltas.append((delta, timestamp_ns))
            return
        step = self.book.apply(delta, timestamp_ns)
        if step is ChainStep.GAP:
            reason: Reason = "epoch" if delta.epoch != self.book.epoch else "resync"
            self.book = None
            self._restart(reason, [*self._books.values(), self._ticker])
        elif step is ChainStep.NEXT:
            # A copy: a session that ends while it is told takes its view along.
            for channel in tuple(self._books.values()):
                channel.follow(delta)

    def _forget_view(self, options: BookOptions) -> None:
        """Drop a view that nobody watches: there are as many as clients can think of, and each costs every delta."""
        view = self._books.pop(options, None)
        if isinstance(view, BookView):
            view.stop()

    def _apply_auction(self, auction: AuctionIndicated) -> None:
        if self.book is not None:
            self.book.indicate(auction)
        elif self._deltas is not None:
            self._auction = auction

    def _mark(self, book: BookState, last: TradePrint | None) -> int | None:
        external = self._external
        if external is not None and self._context.now_ns() - external[1] >= EXTERNAL_AGE_MAX_NS:
            external = self._external = None
        return mark_price(book, last, None if external is None else external[0])

    def _apply_trades(self, record: BookRecord, timestamp_ns: int) -> None:
        prints = [trade_print(trade, timestamp_ns) for trade in record.trades]
        if self.tail is None:
            if self._prints is not None:
                self._prints += prints
            return
        step, fresh = self.tail.apply(prints)
        if step is ChainStep.GAP:
            self.tail = None
            self._restart("resync", [self._trades, self._ticker])
            return
        for trade in fresh:
            self._day.add(trade)
        if fresh and self._trades.members:
            self._trades.publish(self._trades.text(fresh))

    def _publish_ticker(self) -> None:
        """Push the ticker if it shows something new: a change deep in the book is none."""
        if not self._ticker.members or self.book is None or self.tail is None:
            return
        current = self._context.instruments.get(self.instrument.symbol)
        shown = (
            self.book.bids.best(),
            self.book.asks.best(),
            self.tail.last_id,
            self._day.volume,
            self._day.open,
            self.book.auction,
            current and current.status,
            self._mark(self.book, self.tail.trades[-1] if self.tail.trades else None),
        )
        if shown != self._shown:
            self._shown = shown
            ticker = self.ticker_now()
            if ticker is not None:
                self._ticker.publish(self._ticker.text(ticker), ticker.seq)

    def _restart(self, reason: Reason, channels: list[LiveChannel]) -> None:
        for channel in channels:
            channel.start_over(reason)
        self.activate()

    def _book_is_wanted(self) -> bool:
        return self.book is None and bool(self._ticker.members or any(c.members for c in self._books.values()))

    def _trades_are_wanted(self) -> bool:
        return self.tail is None and bool(self._ticker.members or self._trades.members)

    async def _load_book(self) -> None:
        self._deltas, self._auction, jumps = [], None, self._jumps
        try:
            view = await self._context.book_source.book(self.instrument.symbol)
            book = BookState(self.instrument, view)
            if any(book.apply(delta, timestamp_ns) is ChainStep.GAP for delta, timestamp_ns in self._deltas):
                raise ApiError("service_unavailable", "The leader's book is older than the feed.", retry_after_ms=100)
            self._refuse_if_overtaken(jumps)
        finally:
            self._deltas = None
        if self._auction is not None:
            book.indicate(self._auction)
        self.book = book
        for channel in tuple(self._books.values()):
            channel.ready()
        if self.tail is not None:
            self._ticker.ready()

    async def _load_trades(self) -> None:
        self._prints, jumps = [], self._jumps
        try:
            # Read in one step with the buffer's start: what is applied later is in the buffer.
            applied = self._context.applied_seq()
            seed = await self._context.sources.market_seed(self.instrument.symbol)
            tail, day = TradeTail(seed.trades), RollingDay(seed.bars)
            prints = await self._unprojected(seed.cursor, applied)
            step, fresh = tail.apply(prints + self._prints)
            if step is ChainStep.GAP:
                raise ApiError("service_unavailable", "Trades are missing between database and feed.")
            for trade in fresh:
                day.add(trade)
            self._refuse_if_overtaken(jumps)
        finally:
            self._prints = None
        self.tail, self._day = tail, day
        self._trades.ready()
        if self.book is not None:
            self._ticker.ready()

    def _refuse_if_overtaken(self, jumps: int) -> None:
        if jumps != self._jumps:
            raise ApiError("service_unavailable", "The feed jumped while this was loaded.", retry_after_ms=100)

    async def _unprojected(self, cursor: int, applied: int) -> list[TradePrint]:
        prints: list[TradePrint] = []
        async for row in rows_between(self._context.sources.journal_rows, cursor, applied):
            for symbol, blob in row.books:
                if symbol == self.instrument.symbol:
                    prints += [trade_print(trade, row.timestamp_ns) for trade in decode_book(blob).trades]
        return prints
