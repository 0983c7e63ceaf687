"""What a replica's streams read from storage: asynchronous callables that `bootstrap` supplies.

A cursor is the journal sequence up to which an answer is complete. Any exception of a source
means that it cannot answer now; the stages try again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.events import OrderState, PrivateEvent
from app.domain.instrument import Instrument
from app.errors import ApiError
from app.protocol.holdings import PositionFigures
from app.protocol.records import BatchRecord
from app.streaming.channel_state import TradePrint
from app.streaming.ticker_state import MinuteBar

HEAL_ROWS_MAX = 10_000
"""Further behind than this a stage starts over from a newer state instead of catching up."""
HEAL_PAGE_ROWS = 500


class CatalogSeed(NamedTuple):
    """Instruments, decimal places of assets and the epoch, as projected."""

    cursor: int
    instruments: list[Instrument]
    asset_scales: dict[str, int]
    epoch: int = 0
    """The newest one, 0 before the first has begun."""


class MarketSeed(NamedTuple):
    """One symbol's newest trades, oldest first, and minute bars of its last 24 hours, oldest first."""

    cursor: int
    trades: list[TradePrint]
    bars: list[MinuteBar]


class AccountSeed(NamedTuple):
    """One account in one repeatable read: its last event, open orders, (asset, available, held), and positions."""

    cursor: int
    account_seq: int
    orders: list[OrderState]
    balances: Sequence[tuple[str, int, int]]
    positions: Sequence[PositionFigures] = ()


class AccountEvent(NamedTuple):
    """One private event with the time of its batch."""

    event: PrivateEvent
    timestamp_ns: int


JournalRows = Callable[[int, int], Awaitable[list[BatchRecord]]]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """All sources of one replica."""

    journal_head: Callable[[], Awaitable[int]]
    """Last sequence of the journal."""
    journal_rows: JournalRows
    """(after, limit): rows after a sequence, oldest first."""
    catalog_seed: Callable[[], Awaitable[CatalogSeed]]
    market_seed: Callable[[str], Awaitable[MarketSeed]]
    """(symbol)"""
    account_snapshot: Callable[[int], Awaitable[AccountSeed]]
    """(account_id)"""
    events_after: Callable[[int, int, int], Awaitable[list[AccountEvent]]]
    """(account_id, account_seq, limit): the account's events after one of them, oldest first."""


async def rows_between(journal_rows: JournalRows, after: int, upto: int) -> AsyncIterator[BatchRecord]:
    """Yield the journal rows in (after, upto], oldest first.

    Raises ApiError `not_caught_up` if they are more than HEAL_ROWS_MAX or the journal does not reach `upto`.
    """
    seen = 0
    while after < upto:
        page = await journal_rows(after, HEAL_PAGE_ROWS)
        seen += len(page)
        if not page or seen > HEAL_ROWS_MAX:
            raise ApiError("not_caught_up", f"Expected journal rows up to {upto}, had {after}.", retry_after_ms=1000)
        for row in page:
            if row.first_seq > upto:
                return
            yield row
            after = row.last_seq
