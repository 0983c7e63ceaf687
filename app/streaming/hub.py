"""The replica's live state: follows the feed and hands every batch to markets, accounts and sessions.

One per replica process, on its event loop. A batch's blobs are decoded only if somebody uses the
symbol or watches the account. Implements `protocol.ports.MarketData`; its catalog implements
`ports.Instruments`. `start` before serving, `drain` before the sockets close, `stop` at the end.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from app.domain.events import EpochStarted, InstrumentListed, ReferenceSet
from app.errors import ApiError, StartupError
from app.protocol import schemas
from app.protocol.channels import PublicChannel, PublicKind
from app.protocol.messages import BookOptions, Status, encode_frame
from app.protocol.modes import ExchangeStatus
from app.protocol.ports import BookSource, Bus
from app.protocol.records import BatchRecord, decode_private, decode_system, encode
from app.protocol.shapes import timestamp_text
from app.streaming.catalog import Catalog
from app.streaming.fanout import LiveChannel
from app.streaming.feed import Feed
from app.streaming.market import Market, MarketContext
from app.streaming.private import PrivateStream
from app.streaming.private_frames import EventFrames
from app.streaming.sources import AccountEvent, Sources, rows_between
from app.streaming.status_channel import StatusChannel
from app.tasks import end_all
from app.waiting import SequenceWaits

GENESIS_EPOCH = 1
"""The epoch before the first has begun: its stream is the one that the first leader will write."""
MIN_SEQ_WAIT_S = 2.0
RETRY_AFTER_MS = 250
TICK_S = 1.0
"""Period of heartbeats and of everything that only time changes."""
TICK_SLICE_SESSIONS = 200
"""Heartbeats queued before other tasks get their turn."""
CATALOG_RETRY_S = 0.2
START_TIMEOUT_S = 10.0

_NO_SYSTEM_EVENTS = encode([])
_log = logging.getLogger(__name__)


class Beat(NamedTuple):
    """What all heartbeats of one tick share."""

    ts: str
    engine_seq: int
    lag_ms: int


class Member(Protocol):
    """A session, as the hub knows it."""

    def beat(self, beat: Beat) -> None:
        """Queue a heartbeat and look at what time brings."""

    def put_status(self, text: str) -> None:
        """Queue a rendered status frame."""

    def shut_down(self) -> None:
        """Say goodbye and close."""


class Hub:
    """Implements `ports.MarketData`, and what sessions need to join channels."""

    def __init__(
        self,
        *,
        open_bus: Callable[[int], Bus],
        sources: Sources,
        book_source: BookSource,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.sources = sources
        self.instruments = Catalog()
        self.is_draining = False
        self._now_ns = now_ns
        self._feed = Feed(open_bus=open_bus, sources=sources, sink=self)
        self._context = MarketContext(
            book_source=book_source,
            sources=sources,
            instruments=self.instruments,
            applied_seq=self.applied_seq,
            now_ns=now_ns,
        )
        self._markets: dict[str, Market] = {}
        self._accounts: dict[int, set[PrivateStream]] = {}
        self._members: set[Member] = set()
        self._all_left = asyncio.Event()
        self._waits = SequenceWaits()
        self._lag_ms = 0
        self._stale_text: str | None = None
        self._status = StatusChannel(now_ns)
        self.tasks: tuple[asyncio.Task[None], ...] = ()
        """What runs from `start` to `stop`: without any of it the replica shows a state that stands still."""
        self._reseeding: asyncio.Task[None] | None = None

    # ---- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the catalog, take the journal's head as position and follow. Raises StartupError."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self._feed.start_at(await self.sources.journal_head())
                await self._seed_catalog_in_time()
        except Exception as fault:
            # Drivers have exceptions of their own; none of them is worth more than this one line.
            raise StartupError(f"journal and instruments cannot be read: {fault!r}") from fault
        self.tasks = (
            asyncio.create_task(self._feed.run(), name="feed"),
            asyncio.create_task(self._tick_for_ever(), name="tick"),
        )

    async def drain(self, *, timeout_s: float) -> None:
        """Send every session away and wait until they are gone, at most `timeout_s`."""
        self.is_draining = True
        for member in tuple(self._members):
            member.shut_down()
        self._all_left.clear()
        try:
            async with asyncio.timeout(timeout_s):
                while self._members:
                    await self._all_left.wait()
        except TimeoutError:
            _log.warning("%d sessions did not leave in time", len(self._members))

    async def stop(self) -> None:
        """End all tasks and let go of the bus."""
        tasks = [*self.tasks, *([self._reseeding] if self._reseeding else [])]
        await end_all(tasks)
        for market in self._markets.values():
            await market.stop()
        await self._feed.close()

    # ---- what the feed brings ------------------------------------------------------------------

    def apply(self, record: BatchRecord) -> None:
        """Hand one batch to everybody concerned."""
        timestamp_ns = record.timestamp_ns
        edited = self._apply_system(record) if record.system != _NO_SYSTEM_EVENTS else ()
        for symbol, blob in record.books:
            self._guarded(symbol, Market.apply, blob, timestamp_ns)
        for symbol in edited:
            # After what the batch did to its book: an auction is shown with where it stands.
            self._guarded(symbol, Market.refresh)
        if self._accounts:
            for account_id, blob in record.accounts:
                streams = self._accounts.get(account_id)
                if streams:
                    self._deliver(streams, blob, timestamp_ns)
        self._lag_ms = max(0, (self._now_ns() - timestamp_ns) // 1_000_000)
        self._waits.release(record.last_seq)

    def jump(self, applied_seq: int) -> None:
        """Start everything over from a later sequence."""
        self._waits.release(applied_seq)
        for market in self._markets.values():
            market.start_over("resync")
        for streams in self._accounts.values():
            for stream in tuple(streams):
                stream.recover()
        if self._reseeding is None or self._reseeding.done():
            self._reseeding = asyncio.create_task(self._reseed_catalog())

    def stale(self, is_stale: bool) -> None:
        """Tell every session whether this replica follows the exchange."""
        _log.warning("the replica is %s", "stale: neither bus nor journal can be read" if is_stale else "live again")
        text = encode_frame(Status(state="stale" if is_stale else "live"))
        self._stale_text = text if is_stale else None
        for member in tuple(self._members):
            member.put_status(text)

    def show_status(self, status: ExchangeStatus) -> None:
        """Tell the subscribers of `status` how the exchange is."""
        self._status.show(status)

    @property
    def is_stale(self) -> bool:
        """Say whether the feed is lost."""
        return self._stale_text is not None

    def _apply_system(self, record: BatchRecord) -> list[str]:
        """Take the system events; returns the symbols of instruments that were listed or edited."""
        changed: list[str] = []
        events = decode_system(record.system)
        self.instruments.apply(events)
        for event in events:
            if isinstance(event, EpochStarted) and event.epoch != self._feed.epoch:
                self._feed.start_epoch(event.epoch)
                for market in self._markets.values():
                    market.start_over("epoch")
            elif isinstance(event, InstrumentListed):
                changed.append(event.instrument.symbol)
            elif isinstance(event, ReferenceSet):
                self._guarded(event.symbol, Market.set_external, event.price, record.timestamp_ns)
        return changed

    def _guarded(self, symbol: str, call: Callable[..., None], *values: object) -> None:
        """Tell a market something, if the replica keeps it."""
        market = self._markets.get(symbol)
        if market is None:
            return
        try:
            call(market, *values)
        except Exception:
            # A defect in one symbol must not stop the others; its subscribers start over.
            _log.exception("a batch broke the market %s", symbol)
            market.start_over("resync")

    def _deliver(self, streams: set[PrivateStream], blob: bytes, timestamp_ns: int) -> None:
        try:
            events = [
                EventFrames(AccountEvent(event, timestamp_ns), self.instruments) for event in decode_private(blob)
            ]
        except Exception:
            # As with markets: the others go on, this account's sessions fetch what they missed.
            _log.exception("the events of an account cannot be read")
            for stream in tuple(streams):
                stream.recover()
            return
        for stream in tuple(streams):
            try:
                stream.deliver(events)
            except Exception:
                _log.exception("delivering to a session of account %d failed", stream.account_id)
                stream.recover()

    async def _seed_catalog(self) -> None:
        seed = await self.sources.catalog_seed()
        catalog = Catalog()
        catalog.seed(seed)
        position = seed.cursor
        # The feed may move on meanwhile: what it applied to the old catalog is read here as well.
        while position < (applied := self.applied_seq()):
            async for row in rows_between(self.sources.journal_rows, position, applied):
                catalog.apply(decode_system(row.system))
            position = applied
        self.instruments.replace(catalog)
        self._feed.start_epoch(max(catalog.epoch, GENESIS_EPOCH))

    async def _seed_catalog_in_time(self) -> None:
        """Seed, waiting for a projection that is too far behind to be completed from the journal."""
        while True:
            try:
                await self._seed_catalog()
                return
            except ApiError as error:
                if error.code != "not_caught_up":
                    raise
                _log.warning("the instruments are too old: %s", error.detail)
            await asyncio.sleep(CATALOG_RETRY_S)

    async def _reseed_catalog(self) -> None:
        while True:
            try:
                await self._seed_catalog()
                return
            except Exception as fault:
                # Drivers have exceptions of their own; until it works, new instruments are unknown here.
                _log.warning("the instruments cannot be read: %r", fault)
            await asyncio.sleep(CATALOG_RETRY_S)

    # ---- time ----------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except Exception:
                # One broken session or market must not silence the heartbeats of the rest.
                _log.exception("a tick failed")

    async def _tick(self) -> None:
        self._feed.check_stale()
        now_ns = self._now_ns()
        for market in tuple(self._markets.values()):
            market.advance(now_ns)
        beat = Beat(timestamp_text(now_ns), self.applied_seq(), self._lag_ms)
        for count, member in enumerate(tuple(self._members), 1):
            member.beat(beat)
            if count % TICK_SLICE_SESSIONS == 0:
                await asyncio.sleep(0)

    # ---- sessions ------------------------------------------------------------------------------

    def enter(self, member: Member) -> None:
        """Count a session in; it learns at once if this replica is stale."""
        self._members.add(member)
        if self._stale_text is not None:
            member.put_status(self._stale_text)

    def leave(self, member: Member) -> None:
        """Count a session out."""
        self._members.discard(member)
        if not self._members:
            self._all_left.set()

    def channel(self, channel: PublicChannel, options: BookOptions) -> LiveChannel:
        """Return a public channel. Raises ApiError `unknown_symbol`."""
        if channel.kind is PublicKind.STATUS:
            return self._status
        return self._market(channel.symbol).channel(channel.kind, options)

    def activate(self, symbol: str) -> None:
        """Load what a symbol's subscribers wait for."""
        self._market(symbol).activate()

    def watch_account(self, account_id: int, stream: PrivateStream) -> None:
        """Deliver the account's live events to a stream from now on."""
        self._accounts.setdefault(account_id, set()).add(stream)

    def unwatch_account(self, account_id: int, stream: PrivateStream) -> None:
        """Stop delivering."""
        streams = self._accounts.get(account_id)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._accounts[account_id]

    # ---- reads ---------------------------------------------------------------------------------

    def applied_seq(self) -> int:
        """Return the last journal sequence this replica applied."""
        return self._feed.applied_seq

    async def wait_applied(self, seq: int) -> None:
        """Return when a sequence is applied. Raises ApiError `not_caught_up` after MIN_SEQ_WAIT_S."""
        if seq > self.applied_seq() and not await self._waits.reached(seq, MIN_SEQ_WAIT_S):
            raise ApiError(
                "not_caught_up",
                "This replica has not applied that sequence yet.",
                limit=str(seq),
                actual=str(self.applied_seq()),
                retry_after_ms=RETRY_AFTER_MS,
            )

    async def book_snapshot(self, symbol: str, *, depth: int | None, min_seq: int | None) -> schemas.BookSnapshot:
        """Return the book; depth None is full. Waits at most 2 s for min_seq, then `not_caught_up`."""
        if min_seq is not None:
            await self.wait_applied(min_seq)
        market = self._market(symbol, status=404)
        book = await market.live_book()
        return schemas.BookSnapshot(
            symbol=symbol,
            epoch=book.epoch,
            seq=book.seq,
            engine_seq=book.engine_seq,
            as_of_seq=max(self.applied_seq(), book.engine_seq),
            ts=timestamp_text(book.timestamp_ns),
            bids=book.bids.pairs(book.bids.top(depth)),
            asks=book.asks.pairs(book.asks.top(depth)),
        )

    async def ticker(self, symbol: str) -> schemas.Ticker:
        """Return the current ticker."""
        return await self._market(symbol, status=404).live_ticker()

    def _market(self, symbol: str, status: int | None = None) -> Market:
        market = self._markets.get(symbol)
        if market is None:
            instrument = self.instruments.get(symbol)
            if instrument is None:
                raise ApiError("unknown_symbol", "There is no such instrument.", status=status)
            market = self._markets[symbol] = Market(instrument, self._context)
        return market
