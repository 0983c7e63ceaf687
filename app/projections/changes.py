"""What a run of journal rows changes in the core tables: pure, and grouped for bulk statements.

Facts (events, fills, trades) are all kept, in order. Of states (orders, balances, instruments) only the
newest counts, because nothing reads the tables between the rows of one transaction.
"""

from collections.abc import Iterable

import msgspec

from app.domain.events import (
    AccountOpened,
    AccountUpdated,
    AssetCreated,
    BalanceChanged,
    InstrumentListed,
    LimitsSet,
    OrderEvent,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    PrivateEvent,
    SystemEvent,
    TradeExecuted,
)
from app.protocol.records import decode_batch, decode_book, decode_private, decode_system
from app.storage.journal import JournalRow

_raw_events = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Changes:
    """The changes of some consecutive rows."""

    def __init__(self) -> None:
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
        self.trades: list[tuple[TradeExecuted, int]] = []
        """Trade, time of its batch."""
        self.assets: list[AssetCreated] = []
        self.instruments: dict[str, InstrumentListed] = {}
        """Newest definition by symbol."""
        self.accounts: list[tuple[AccountOpened, int]] = []
        """New account, time of its batch."""
        self.account_updates: dict[int, AccountUpdated] = {}
        """Newest status and restraints by account."""
        self.limits: dict[str, LimitsSet] = {}
        """Newest limits by tier; the empty text is the exchange."""

    def add(self, row: JournalRow) -> None:
        """Add the events of the next row."""
        record = decode_batch(row.body)
        at_ns = record.timestamp_ns
        for account_id, blob in record.accounts:
            for event, encoded in zip(decode_private(blob), _raw_events.decode(blob), strict=True):
                self._add_private(account_id, event, bytes(encoded), at_ns)
        for _, blob in record.books:
            self.trades.extend((trade, at_ns) for trade in decode_book(blob).trades)
        for fact in decode_system(record.system):
            self._add_system(fact, at_ns)

    def _add_private(self, account_id: int, event: PrivateEvent, encoded: bytes, at_ns: int) -> None:
        self.events.append((account_id, event, encoded, at_ns))
        self.account_seqs[account_id] = event.account_seq
        if isinstance(event, OrderEvent):
            self.orders[event.order.order_id] = event.order
            if isinstance(event, OrderPartiallyFilled | OrderFilled):
                self.fills.append((event, at_ns))
        elif isinstance(event, BalanceChanged):
            self.balances[account_id, event.asset] = event

    def _add_system(self, fact: SystemEvent, at_ns: int) -> None:
        match fact:
            case AccountOpened():
                self.accounts.append((fact, at_ns))
            case AccountUpdated():
                self.account_updates[fact.account_id] = fact
            case LimitsSet():
                self.limits[fact.tier or ""] = fact
            case AssetCreated():
                self.assets.append(fact)
            case InstrumentListed():
                self.instruments[fact.instrument.symbol] = fact


def changes_of(rows: Iterable[JournalRow]) -> Changes:
    """Return what consecutive rows change."""
    changes = Changes()
    for row in rows:
        changes.add(row)
    return changes
