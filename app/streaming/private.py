"""The private channels of one session: a snapshot at N, then N+1 and so on, from any replica.

Joining buffers the account's live events, reads the projection, adds what the journal has
beyond it, and goes live with the buffer: nothing is lost in between and nothing comes twice.
Events that are older than a snapshot are folded into it. One chain per session runs over all its
private channels: `prev_account_seq` is the last account_seq sent, snapshots included.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from app.domain.events import BalanceChanged, OrderEvent, PositionChanged, PrivateEvent
from app.errors import ApiError
from app.protocol.channels import PrivateChannel
from app.protocol.messages import ResumeExpired, encode_frame
from app.protocol.ports import Instruments
from app.protocol.records import decode_private
from app.streaming.outbox import Outbox
from app.streaming.private_frames import OPEN_STATUSES, EventFrames, IsShown, figures_of, snapshot_text
from app.streaming.sources import AccountEvent, AccountSeed, Sources, rows_between

PAGE_EVENTS = 500
BUFFER_EVENTS_MAX = 50_000
"""Live events kept while a session is still being told older ones; a reader slower than that is closed."""
FUTURE_WAIT_S = 2.0
"""How long a resume from beyond this replica's knowledge waits for it to catch up."""
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 2.0

_log = logging.getLogger(__name__)


class AccountFeeds(Protocol):
    """What a private stream needs of the hub."""

    sources: Sources

    @property
    def instruments(self) -> Instruments:
        """What is needed to render."""

    def applied_seq(self) -> int:
        """Return the last journal sequence applied."""

    def watch_account(self, account_id: int, stream: "PrivateStream") -> None:
        """Deliver the account's live events from now on."""

    def unwatch_account(self, account_id: int, stream: "PrivateStream") -> None:
        """Stop delivering."""


class AccountFold:
    """Open orders, balances and positions after a snapshot and the events that follow it."""

    def __init__(self, seed: AccountSeed) -> None:
        self.account_seq = seed.account_seq
        self._orders = {state.order_id: state for state in seed.orders}
        self._positions = {figures.symbol: figures for figures in seed.positions}
        self._balances = {asset: (available, held) for asset, available, held in seed.balances}

    def apply(self, event: PrivateEvent) -> None:
        """Follow one event; a known one changes nothing. Raises ApiError when one is missing before it."""
        if event.account_seq <= self.account_seq:
            return
        if event.account_seq != self.account_seq + 1:
            raise _missing(self.account_seq, event.account_seq)
        self.account_seq = event.account_seq
        if isinstance(event, BalanceChanged):
            self._balances[event.asset] = (int(event.available), int(event.held))
        elif isinstance(event, PositionChanged):
            self._positions[event.symbol] = figures_of(event)
        elif isinstance(event, OrderEvent):
            if event.order.status in OPEN_STATUSES:
                self._orders[event.order.order_id] = event.order
            else:
                self._orders.pop(event.order.order_id, None)

    def state(self) -> AccountSeed:
        """Return where the account stands; the cursor has no meaning here."""
        balances = [(asset, *amounts) for asset, amounts in sorted(self._balances.items())]
        orders = [state for _, state in sorted(self._orders.items())]
        positions = [figures for _, figures in sorted(self._positions.items())]
        return AccountSeed(0, self.account_seq, orders, balances, positions)


class _Job:
    """Channels to bring live: by a snapshot, or by replaying what came after an account_seq."""

    __slots__ = ("after", "channels", "deadline_s", "is_started")

    def __init__(self, channels: Iterable[PrivateChannel], after: int | None, *, is_started: bool = False) -> None:
        self.channels = set(channels)
        self.after = after
        self.is_started = is_started
        """Whether the session's chain stands at, or beyond, `after` already."""
        self.deadline_s = time.monotonic() + FUTURE_WAIT_S


class PrivateStream:
    """One session's private channels of one account."""

    def __init__(
        self,
        account_id: int,
        feeds: AccountFeeds,
        outbox: Outbox,
        *,
        is_shown: IsShown,
        on_overflow: Callable[[], None],
    ) -> None:
        self.account_id = account_id
        self.live: set[PrivateChannel] = set()
        self.position = 0
        """Last account_seq sent."""
        self._seen = 0
        """Last account_seq that came by, shown or not."""
        self._feeds = feeds
        self._outbox = outbox
        self._is_shown = is_shown
        self._on_overflow = on_overflow
        self._buffer: list[EventFrames] | None = None
        """Live events that came while older ones are fetched."""
        self._jumps = 0
        """How often events were missed: what is being fetched meanwhile is void."""
        self._jobs: deque[_Job] = deque()
        """At most four: a recovery, one that was left, a resume, and a snapshot."""
        self._worker: asyncio.Task[None] | None = None
        feeds.watch_account(account_id, self)

    @property
    def channels(self) -> set[PrivateChannel]:
        """Return what is joined, live or about to be."""
        return self.live.union(*(job.channels for job in self._jobs))

    def join(self, channels: Iterable[PrivateChannel], resume_from: int | None) -> None:
        """Bring channels live. A resume needs a stream without channels: there is one chain a session."""
        last = self._jobs[-1] if self._jobs else None
        if resume_from is None and last is not None and last.after is None:
            # A snapshot that is yet to be sent shows these as well, also while it is read.
            last.channels.update(channels)
        else:
            self._jobs.append(_Job(channels, resume_from))
        self._start()

    def leave(self, channels: Iterable[PrivateChannel]) -> None:
        """Show these channels no more."""
        gone = set(channels)
        self.live -= gone
        for job in tuple(self._jobs):
            job.channels -= gone
            if not job.channels and job is not self._jobs[0]:
                # The first may be under way; it ends by itself.
                self._jobs.remove(job)

    def close(self) -> None:
        """End the stream."""
        self._feeds.unwatch_account(self.account_id, self)
        if self._worker is not None:
            self._worker.cancel()
        self._jobs.clear()
        self.live.clear()

    def deliver(self, events: Sequence[EventFrames]) -> None:
        """Take the account's events of one batch."""
        if self._buffer is not None:
            if len(self._buffer) > BUFFER_EVENTS_MAX:
                self._on_overflow()
                return
            self._buffer.extend(events)
        if not self.live:
            return
        for event in events:
            if event.account_seq > self._seen + 1:
                self.recover()
                return
            self._show(event, self.live)

    def recover(self) -> None:
        """Fetch what the feed did not bring, before anything newer is shown."""
        self._jumps += 1
        if self.live:
            self._jobs.appendleft(_Job(self.live, self._seen, is_started=True))
            self.live = set()
            self._start()

    def _show(self, event: EventFrames, channels: set[PrivateChannel]) -> None:
        if event.account_seq <= self._seen:
            return
        if event.account_seq != self._seen + 1:
            raise _missing(self._seen, event.account_seq)
        self._seen = event.account_seq
        shown = [channel for channel in event.channels if channel in channels]
        if shown and self._is_shown(event.symbol):
            for channel in shown:
                self._outbox.put_fact(event.text(channel, self.position))
            self.position = event.account_seq

    def _start(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        pause_s = RETRY_FIRST_S
        while self._jobs:
            job = self._jobs[0]
            try:
                is_done = not job.channels or await self._bring_live(job)
            except Exception as fault:
                # Whatever a driver or a lagging projection says, the next attempt may succeed.
                _log.warning("the private stream of account %d is delayed: %r", self.account_id, fault)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
                continue
            finally:
                self._buffer = None
            if is_done and job in self._jobs:
                self._jobs.remove(job)
            pause_s = RETRY_FIRST_S

    async def _bring_live(self, job: _Job) -> bool:
        return await (self._snapshot(job) if job.after is None else self._replay(job, job.after))

    async def _snapshot(self, job: _Job) -> bool:
        """Send snapshots of the job's channels and go live; False if a recovery came first."""
        buffer, jumps, applied = self._begin()
        seed = await self._feeds.sources.account_snapshot(self.account_id)
        fold = AccountFold(seed)
        for source in await self._unprojected(seed.cursor, applied):
            fold.apply(source.event)
        for event in buffer:
            fold.apply(event.event)
        self._refuse_if_missed(jumps)
        if self._jobs[0] is not job:
            return False
        if self.live and fold.account_seq != self._seen:
            # Channels that are live already must have been shown everything that is in the snapshot.
            raise _missing(self._seen, fold.account_seq)
        state, instruments = fold.state(), self._feeds.instruments
        for text in [snapshot_text(channel, state, instruments, self._is_shown) for channel in sorted(job.channels)]:
            self._outbox.put_fact(text)
        self.position = self._seen = fold.account_seq
        self.live |= job.channels
        return True

    async def _replay(self, job: _Job, after: int) -> bool:
        """Show the job's channels what came after an event and go live; False if a snapshot must do instead."""
        buffer, jumps, applied = self._begin()
        if not job.is_started:
            job.is_started = True
            self._seen = self.position = after
        seed = await self._feeds.sources.account_snapshot(self.account_id)
        while self._seen < seed.account_seq:
            page = await self._feeds.sources.events_after(self.account_id, self._seen, PAGE_EVENTS)
            if not page or page[0].event.account_seq != self._seen + 1:
                return self._expire(job, page[0].event.account_seq if page else seed.account_seq + 1)
            await self._show_all(self._frames(page), job)
        unprojected = await self._unprojected(seed.cursor, applied)
        await self._show_all(self._frames(unprojected), job)
        last = max([seed.account_seq, *(source.event.account_seq for source in unprojected)])
        while buffer:
            page_of_buffer, buffer[:PAGE_EVENTS] = buffer[:PAGE_EVENTS], []
            last = max(last, page_of_buffer[-1].account_seq)
            await self._show_all(page_of_buffer, job)
        self._refuse_if_missed(jumps)
        if after > last:
            # Another replica may have told the client more than this one knows yet.
            if time.monotonic() < job.deadline_s:
                raise _missing(last, after)
            return self._expire(job, last + 1)
        self.live |= job.channels
        return True

    def _begin(self) -> tuple[list[EventFrames], int, int]:
        """Return the buffer, the jumps so far, and the sequence after which the buffer has everything."""
        self._buffer = []
        return self._buffer, self._jumps, self._feeds.applied_seq()

    def _refuse_if_missed(self, jumps: int) -> None:
        if jumps != self._jumps:
            raise ApiError("not_caught_up", "The feed jumped while older events were fetched.")

    def _expire(self, job: _Job, oldest: int) -> bool:
        self._outbox.put_fact(encode_frame(ResumeExpired(oldest=oldest)))
        job.after = None
        return False

    def _frames(self, sources: Iterable[AccountEvent]) -> list[EventFrames]:
        return [EventFrames(source, self._feeds.instruments) for source in sources]

    async def _show_all(self, events: Iterable[EventFrames], job: _Job) -> None:
        for event in events:
            self._show(event, job.channels)
        if not self._outbox.has_room:
            await self._outbox.room()

    async def _unprojected(self, cursor: int, applied: int) -> list[AccountEvent]:
        """Return the account's events that the journal has beyond the projection."""
        found: list[AccountEvent] = []
        async for row in rows_between(self._feeds.sources.journal_rows, cursor, applied):
            for account_id, blob in row.accounts:
                if account_id == self.account_id:
                    found += [AccountEvent(event, row.timestamp_ns) for event in decode_private(blob)]
        return found


def _missing(after: int, before: int) -> ApiError:
    return ApiError("not_caught_up", f"Events between {after} and {before} are missing.")
