"""What a run of journal rows changes in the core tables: pure, and grouped for bulk statements.

Facts (events, fills, trades) are all kept, in order. Of states (orders, balances, instruments) only the
newest counts, because nothing reads the tables between the rows of one transaction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from app.domain.enums import OrderReason, SelfTradePrevention
from app.domain.events import (
    AccountOpened,
    AccountUpdated,
    AssetCreated,
    BalanceChanged,
    EpochStarted,
    FundsTransferred,
    InstrumentListed,
    LimitsSet,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    PositionChanged,
    PrivateEvent,
    SystemEvent,
    TradeExecuted,
    TradePrevented,
)
from app.domain.instrument import Instrument
from app.errors import JournalDamaged
from app.projections.audit import Act, acts_of
from app.projections.ledger_entries import Entry, fill_entries, transfer_entries
from app.protocol.records import decode_batch, decode_book, decode_private, decode_system
from app.storage.journal import JournalRow

_sequence = attrgetter("engine_seq")
_raw_events = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Changes:
    """The changes of some consecutive rows; `listed` are the instruments before them, by symbol."""

    def __init__(self, listed: Mapping[str, Instrument]) -> None:
        self._listed = dict(listed)
        self.events: list[tuple[int, PrivateEvent, bytes, int]] = []
        """Account, event, its encoding, time of its batch."""
        self.account_seqs: dict[int, int] = {}
        """Newest account_seq by account."""
        self.orders: dict[int, OrderState] = {}
        """Newest state by order id."""
        self.fills: list[tuple[OrderPartiallyFilled | OrderFilled, int]] = []
        """The order event that carries the fill, time of its batch."""
        self.balances: dict[tuple[int, str], BalanceChanged] = {}
        """Newest balances by account and asset."""
        self.positions: dict[tuple[int, str], PositionChanged] = {}
        """Newest position by account and symbol."""
        self.entries: list[Entry] = []
        """Ledger entries, in the order of the commands."""
        self.transfers: list[tuple[FundsTransferred, int]] = []
        """One side of a transfer, time of its batch."""
        self.limits: dict[str | None, LimitsSet] = {}
        """Newest limits by tier; None is the exchange's own level."""
        self.epochs: list[tuple[EpochStarted, int]] = []
        """Epoch, time of its batch."""
        self.acts: list[Act] = []
        self.trades: list[tuple[TradeExecuted, int]] = []
        """Trade, time of its batch."""
        self.assets: list[AssetCreated] = []
        self.instruments: dict[str, InstrumentListed] = {}
        """Newest definition by symbol."""
        self.accounts: list[tuple[AccountOpened, int]] = []
        """New account, time of its batch."""
        self.account_updates: dict[int, AccountUpdated] = {}
        """Newest settings by account."""
        self.ended: Counter[OrderReason] = Counter()
        """Orders that were canceled or expired, by reason."""
        self.prevented: Counter[SelfTradePrevention] = Counter()
        """Matches of one owner's orders, by mode."""

    def add(self, row: JournalRow) -> None:
        """Add the events of the next row."""
        record = decode_batch(row.body)
        at_ns = record.timestamp_ns
        entries_before, fills_before = len(self.entries), len(self.fills)
        facts = decode_system(record.system)
        for fact in facts:
            self._add_system(fact, at_ns)
        for account_id, blob in record.accounts:
            for event, encoded in zip(decode_private(blob), _raw_events.decode(blob), strict=True):
                self._add_private(account_id, event, bytes(encoded), at_ns)
        for _, blob in record.books:
            self.trades.extend((trade, at_ns) for trade in decode_book(blob).trades)
        for event, _ in self.fills[fills_before:]:
            self.entries += fill_entries(event, self._instrument(event.order.terms.symbol), at_ns)
        if len(self.entries) > entries_before:
            # A record groups its events by account; a ledger is read in the order of what happened.
            self.entries[entries_before:] = sorted(self.entries[entries_before:], key=_sequence)
        self.acts += acts_of(record, facts)

    def _add_private(self, account_id: int, event: PrivateEvent, encoded: bytes, at_ns: int) -> None:
        self.events.append((account_id, event, encoded, at_ns))
        self.account_seqs[account_id] = event.account_seq
        if isinstance(event, OrderEvent):
            self.orders[event.order.order_id] = event.order
            if isinstance(event, OrderPartiallyFilled | OrderFilled):
                self.fills.append((event, at_ns))
            elif isinstance(event, OrderCanceled | OrderExpired) and event.order.reason is not None:
                self.ended[event.order.reason] += 1
        elif isinstance(event, BalanceChanged):
            self.balances[account_id, event.asset] = event
        elif isinstance(event, PositionChanged):
            self.positions[account_id, event.symbol] = event
        elif isinstance(event, TradePrevented):
            self.prevented[event.mode] += 1

    def _add_system(self, fact: SystemEvent, at_ns: int) -> None:
        match fact:
            case AccountOpened():
                self.accounts.append((fact, at_ns))
            case AccountUpdated():
                self.account_updates[fact.account_id] = fact
            case AssetCreated():
                self.assets.append(fact)
            case InstrumentListed():
                self.instruments[fact.instrument.symbol] = fact
                self._listed[fact.instrument.symbol] = fact.instrument
            case FundsTransferred():
                self.transfers.append((fact, at_ns))
                self.entries += transfer_entries(fact, at_ns)
            case LimitsSet():
                self.limits[fact.tier] = fact
            case EpochStarted():
                self.epochs.append((fact, at_ns))

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._listed.get(symbol)
        if instrument is None:
            raise JournalDamaged(f"journal: a fill of {symbol}, which no row before it lists")
        return instrument


def changes_of(rows: Iterable[JournalRow], listed: Mapping[str, Instrument]) -> Changes:
    """Return what consecutive rows change; `listed` are the instruments before them, by symbol."""
    changes = Changes(listed)
    for row in rows:
        changes.add(row)
    return changes
