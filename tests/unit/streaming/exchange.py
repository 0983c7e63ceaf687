"""A hand-driven exchange: it makes committed batches and is every source a replica asks.

Nothing is matched: tests say which levels, trades and events a batch has, and the exchange keeps
the numbers going (journal, book, trade and account sequences). The projection follows at once
unless `projected` is held back, the bus unless `bus` is taken away.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from app.domain.commands import PlaceOrder
from app.domain.enums import Liquidity, OrderReason, OrderStatus, OrderType, Side
from app.domain.events import (
    AssetCreated,
    AuctionIndicated,
    BalanceChanged,
    BookDelta,
    BookLevels,
    EpochStarted,
    Fill,
    InstrumentListed,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    PrivateEvent,
    SystemEvent,
    TradeExecuted,
)
from app.domain.instrument import Instrument
from app.errors import ApiError, JournalUnavailable
from app.protocol.ports import BookView, Bus, BusEntry
from app.protocol.records import (
    BatchRecord,
    BookRecord,
    decode_book,
    decode_private,
    decode_system,
    encode,
    without_commands,
)
from app.streaming.channel_state import TradePrint, trade_print
from app.streaming.private import AccountFold
from app.streaming.sources import AccountEvent, AccountSeed, CatalogSeed, MarketSeed, Sources
from app.streaming.ticker_state import MinuteBar, RollingDay
from tests.unit.streaming.breakable_bus import BreakableBus

ALICE, BOB = 1001, 1002
SYMBOL = "BTC-USD"


def instrument(symbol: str = SYMBOL) -> Instrument:
    """Return an instrument with tick 0.01 and lot 0.001 in USD of scale 5: prices and quantities differ in text."""
    base, _, quote = symbol.partition("-")
    return Instrument(symbol, base, quote or "USD", "0.01", "0.001", 8, 5, 1, 100_000)


class Book:
    """A published book as the leader keeps it."""

    def __init__(self) -> None:
        self.epoch, self.seq, self.engine_seq, self.timestamp_ns = 1, 0, 0, 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.auction: tuple[int, int, int] | None = None

    def levels(self) -> tuple[BookLevels, BookLevels]:
        """Return bids and asks, best first."""
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


class Exchange:
    """Makes batches; implements `ports.BookSource` and the sources of a replica."""

    def __init__(self, *symbols: str) -> None:
        self.rows: list[BatchRecord] = []
        self.buses: dict[int, BreakableBus] = {1: BreakableBus()}
        self.epoch = 1
        self.books: dict[str, Book] = {}
        self.projected: int | None = None
        """Journal sequence up to which the projection is; None follows at once."""
        self.page_events = 7
        """Events in one answer at most."""
        self.oldest_event = 0
        """Events at or below this account_seq are no longer kept."""
        self.journal_is_down = False
        self.journal_gate = asyncio.Event()
        """Cleared, the journal is asked in vain: it neither answers nor fails."""
        self.journal_gate.set()
        self.journal_questions = 0
        self.book_gate = asyncio.Event()
        """Cleared, a book request waits, after the answer was made."""
        self.book_gate.set()
        self.seed_gate = asyncio.Event()
        """The same for the trades of a symbol and the snapshot of an account."""
        self.seed_gate.set()
        self.seed_requests = 0
        """Seeds that were read, delivered or not."""
        self.book_requests = 0
        self.leader_is_away = False
        self._account_seqs: dict[int, int] = {}
        self._trade_ids: dict[str, int] = {}
        self._order_ids = 0
        self._start_ns = time.time_ns()
        system: list[SystemEvent] = [AssetCreated(1, asset, 8) for asset in ("BTC", "ETH", "AAPL")]
        self.commit(system=[*system, AssetCreated(1, "USD", 5)])
        for symbol in symbols or (SYMBOL,):
            self.list_instrument(symbol)

    @property
    def bus(self) -> BreakableBus:
        """Return the bus of the current epoch."""
        return self.buses[self.epoch]

    @property
    def head(self) -> int:
        """Return the journal's last sequence."""
        return self.rows[-1].last_seq if self.rows else 0

    def open_bus(self, epoch: int) -> Bus:
        """Return an epoch's bus."""
        return self.buses[epoch]

    def go_down(self) -> None:
        """Take bus and journal away; what is published now is lost to the bus."""
        self.journal_is_down = self.bus.is_down = self.bus.is_losing = True

    def come_back(self) -> None:
        """Bring both back."""
        self.journal_is_down = self.bus.is_down = self.bus.is_losing = False

    # ---- making batches ----------------------------------------------------------------------

    def list_instrument(self, symbol: str) -> None:
        """List an instrument with an empty book."""
        self.books[symbol] = Book()
        self.books[symbol].epoch = self.epoch
        self.commit(system=[InstrumentListed(self.head + 1, instrument(symbol))])

    def start_epoch(self, epoch: int) -> None:
        """Give the books a new identity."""
        self.buses[epoch] = BreakableBus()
        self.commit(system=[EpochStarted(self.head + 1, epoch)])
        self.epoch = epoch
        for book in self.books.values():
            book.epoch, book.seq = epoch, 0

    def commit(
        self,
        *,
        levels: Mapping[str, tuple[BookLevels, BookLevels]] | None = None,
        trades: Mapping[str, list[TradeExecuted]] | None = None,
        private: Mapping[int, list[PrivateEvent]] | None = None,
        system: Sequence[SystemEvent] = (),
        auctions: Mapping[str, tuple[int, int, int]] | None = None,
        commands: int = 1,
    ) -> BatchRecord:
        """Commit one batch and publish it."""
        levels, trades, auctions = levels or {}, trades or {}, auctions or {}
        first, last = self.head + 1, self.head + commands
        timestamp_ns = self._start_ns + last * 1_000
        books = []
        for symbol in dict.fromkeys([*levels, *trades, *auctions]):
            delta = self._delta(symbol, levels.get(symbol), last, timestamp_ns)
            auction = None
            if symbol in auctions:
                self.books[symbol].auction = auctions[symbol]
                auction = AuctionIndicated(symbol, last, *auctions[symbol])
            books.append((symbol, encode(BookRecord(delta, trades.get(symbol, []), auction))))
        record = BatchRecord(
            first_seq=first,
            last_seq=last,
            term=1,
            engine_version=1,
            timestamp_ns=timestamp_ns,
            commands=[b"x"] * commands,
            accounts=[(account_id, encode(events)) for account_id, events in (private or {}).items()],
            books=books,
            system=encode(list(system)),
        )
        self.rows.append(record)
        self.publish(record)
        return record

    def publish(self, record: BatchRecord) -> None:
        """Put a batch on the bus."""
        entry = BusEntry(record.first_seq, record.last_seq, encode(without_commands(record)))
        # The memory bus never waits: one step runs it to its end.
        publishing = self.bus.publish([entry])
        try:
            publishing.send(None)
        except StopIteration:
            return
        raise AssertionError("the memory bus waited")

    def change(self, bids: BookLevels = (), asks: BookLevels = (), *, symbol: str = SYMBOL) -> BatchRecord:  # type: ignore[assignment]  # empty
        """Commit a batch that sets these levels."""
        return self.commit(levels={symbol: (list(bids), list(asks))})

    def trade(self, price: int = 100, quantity: int = 1, *, symbol: str = SYMBOL, count: int = 1) -> BatchRecord:
        """Commit a batch with trades."""
        return self.commit(trades={symbol: [self.print(price, quantity, symbol) for _ in range(count)]})

    def print(self, price: int, quantity: int, symbol: str = SYMBOL) -> TradeExecuted:
        """Return the next trade of a symbol."""
        trade_id = self._trade_ids[symbol] = self._trade_ids.get(symbol, 0) + 1
        return TradeExecuted(symbol, trade_id, self.head + 1, price, quantity, Side.BUY, 1, 2, ALICE, BOB)

    def place(
        self, account_id: int = ALICE, *, quantity: int = 10, price: int = 100, symbol: str = SYMBOL
    ) -> OrderState:
        """Commit the acceptance of an order and the change of a balance; returns the order."""
        self._order_ids += 1
        name = f"c{self._order_ids}"
        terms = PlaceOrder(account_id, symbol, Side.BUY, OrderType.LIMIT, quantity, price, client_order_id=name)
        state = self._state(terms, self._order_ids, OrderStatus.OPEN, filled=0, version=1)
        events: list[PrivateEvent] = [
            OrderAccepted(self._next(account_id), state),
            self._balance(account_id, quantity * price),
        ]
        self.commit(private={account_id: events})
        return state

    def fill(self, order: OrderState, quantity: int) -> OrderState:
        """Commit a fill of an order and its trade."""
        terms, trade = order.terms, self.print(order.price, quantity, order.terms.symbol)
        filled = order.filled_quantity + quantity
        is_done = filled == order.quantity
        status = OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
        state = self._state(terms, order.order_id, status, filled=filled, version=order.version + 1)
        account_seq = self._next(terms.account_id)
        fill = Fill(trade.trade_id, order.price, quantity, 0, Liquidity.MAKER, account_seq)
        event = (OrderFilled if is_done else OrderPartiallyFilled)(account_seq, state, fill)
        self.commit(private={terms.account_id: [event]}, trades={terms.symbol: [trade]})
        return state

    def cancel(self, order: OrderState) -> None:
        """Commit the cancellation of an order."""
        terms = order.terms
        state = self._state(
            terms, order.order_id, OrderStatus.CANCELED, filled=order.filled_quantity, version=order.version + 1
        )
        event = OrderCanceled(self._next(terms.account_id), state)
        self.commit(private={terms.account_id: [event, self._balance(terms.account_id, 0)]})

    def _state(self, terms: PlaceOrder, order_id: int, status: OrderStatus, *, filled: int, version: int) -> OrderState:
        reason = OrderReason.USER if status is OrderStatus.CANCELED else None
        now_ns, seq = self._start_ns + self.head * 1_000, self.head + 1
        price = terms.price or 0
        done = filled * price
        return OrderState(
            order_id, terms, status, version, price, terms.quantity, filled, done, 0, reason, now_ns, now_ns, seq
        )

    def _balance(self, account_id: int, held: int) -> BalanceChanged:
        return BalanceChanged(self._next(account_id), self.head + 1, account_id, "USD", str(10**30 - held), str(held))

    def _next(self, account_id: int) -> int:
        seq = self._account_seqs[account_id] = self._account_seqs.get(account_id, 0) + 1
        return seq

    def _delta(
        self, symbol: str, levels: tuple[BookLevels, BookLevels] | None, last: int, timestamp_ns: int
    ) -> BookDelta | None:
        if levels is None:
            return None
        book = self.books[symbol]
        for side, changes in ((book.bids, levels[0]), (book.asks, levels[1])):
            for price, quantity in changes:
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        book.seq += 1
        book.engine_seq, book.timestamp_ns = last, timestamp_ns
        return BookDelta(symbol, book.epoch, book.seq - 1, book.seq, last, levels[0], levels[1])

    # ---- what a replica asks --------------------------------------------------------------------

    async def book(self, symbol: str) -> BookView:
        """Return the leader's book."""
        self.book_requests += 1
        if self.leader_is_away:
            raise ApiError("engine_unavailable", "no leader for the test")
        book = self.books[symbol]
        view = BookView(
            symbol, self.head, book.epoch, book.seq, book.timestamp_ns, *book.levels(), auction=book.auction
        )
        await asyncio.sleep(0)
        await self.book_gate.wait()
        return view

    def sources(self) -> Sources:
        """Return what a replica reads from storage."""
        return Sources(
            journal_head=self._journal_head,
            journal_rows=self._journal_rows,
            catalog_seed=self._catalog_seed,
            market_seed=self._market_seed,
            account_snapshot=self._account_snapshot,
            events_after=self._events_after,
        )

    @property
    def _cursor(self) -> int:
        return self.head if self.projected is None else self.projected

    def _projected_rows(self) -> list[BatchRecord]:
        return [row for row in self.rows if row.last_seq <= self._cursor]

    async def _journal_head(self) -> int:
        await self._journal()
        return self.head

    async def _journal_rows(self, after: int, limit: int) -> list[BatchRecord]:
        await self._journal()
        return [row for row in self.rows if row.last_seq > after][: min(limit, 100)]

    async def _journal(self) -> None:
        await asyncio.sleep(0)
        self.journal_questions += 1
        await self.journal_gate.wait()
        if self.journal_is_down:
            raise JournalUnavailable("down for the test")

    async def _catalog_seed(self) -> CatalogSeed:
        await asyncio.sleep(0)
        instruments: dict[str, Instrument] = {}
        scales: dict[str, int] = {}
        epoch = 0
        for row in self._projected_rows():
            for event in decode_system(row.system):
                if isinstance(event, InstrumentListed):
                    instruments[event.instrument.symbol] = event.instrument
                elif isinstance(event, AssetCreated):
                    scales[event.asset] = event.scale
                elif isinstance(event, EpochStarted):
                    epoch = event.epoch
        return CatalogSeed(self._cursor, list(instruments.values()), scales, epoch)

    async def _market_seed(self, symbol: str) -> MarketSeed:
        prints: list[TradePrint] = []
        for row in self._projected_rows():
            for name, blob in row.books:
                if name == symbol:
                    prints += [trade_print(trade, row.timestamp_ns) for trade in decode_book(blob).trades]
        seed = MarketSeed(self._cursor, prints[-50:], bars_of(prints))
        await asyncio.sleep(0)
        self.seed_requests += 1
        await self.seed_gate.wait()
        return seed

    async def _account_snapshot(self, account_id: int) -> AccountSeed:
        fold = AccountFold(AccountSeed(0, 0, [], []))
        for source in self._events(account_id):
            fold.apply(source.event)
        state = fold.state()._replace(cursor=self._cursor)
        await asyncio.sleep(0)
        self.seed_requests += 1
        await self.seed_gate.wait()
        return state

    async def _events_after(self, account_id: int, account_seq: int, limit: int) -> list[AccountEvent]:
        await asyncio.sleep(0)
        after = max(account_seq, self.oldest_event)
        return [source for source in self._events(account_id) if source.event.account_seq > after][
            : min(limit, self.page_events)
        ]

    def _events(self, account_id: int) -> list[AccountEvent]:
        return [
            AccountEvent(event, row.timestamp_ns)
            for row in self._projected_rows()
            for owner, blob in row.accounts
            if owner == account_id
            for event in decode_private(blob)
        ]


def bars_of(prints: Sequence[TradePrint]) -> list[MinuteBar]:
    """Return minute bars the slow way, through the state under test in its simplest use."""
    day = RollingDay([])
    for trade in prints:
        day.add(trade)
    return list(day._bars)
