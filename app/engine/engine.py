"""The state machine: commands in, events out, sealed batch by batch.

    engine.begin(timestamp_ns)          time is given once per batch and never goes back
    events = engine.apply(command)      any number of times; `engine.outcome` answers the command
    sealed = engine.seal()              book deltas are formed here and nowhere else

Equal batches give equal events, deltas and state on every machine. Called by the sequencer,
by recovery and by followers only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from app.domain import commands
from app.domain.commands import Command
from app.domain.events import BookDelta, Event, PrivateEvent, SystemEvent, TradeExecuted
from app.domain.outcomes import Outcome
from app.engine import checkpoint
from app.engine.ledger import Ledger
from app.engine.listing import Listing
from app.engine.matching import Matcher
from app.engine.orders import OrderDesk
from app.engine.recorder import Recorder
from app.engine.state import State

ENGINE_VERSION = 2
"""Raised whenever equal commands could give other events; rows replay only under their own version."""


class SealedBook(NamedTuple):
    """What a batch did to one book."""

    symbol: str
    delta: BookDelta | None
    trades: list[TradeExecuted]


class Sealed(NamedTuple):
    """A finished batch, grouped the way readers want it."""

    accounts: list[tuple[int, list[PrivateEvent]]]
    books: list[SealedBook]
    system: list[SystemEvent]


class Engine:
    """Matching, risk and ledger of one shard."""

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self.outcome = Outcome(0, 0)
        """Answer to the last applied command."""
        self._recorder = Recorder(self.state)
        self._ledger = Ledger(self.state, self._recorder)
        matcher = Matcher(self.state, self._ledger, self._recorder)
        desk = OrderDesk(self.state, self._ledger, matcher, self._recorder)
        listing = Listing(self.state, self._ledger, matcher, self._recorder)
        self._handlers: dict[type, Callable[[Any], Outcome]] = {
            commands.PlaceOrder: desk.place,
            commands.CancelOrder: desk.cancel,
            commands.AmendOrder: desk.amend,
            commands.CancelAll: desk.cancel_all,
            commands.CreateAsset: listing.create_asset,
            commands.CreateInstrument: listing.create_instrument,
            commands.UpdateInstrument: listing.update_instrument,
            commands.CreateAccount: listing.create_account,
            commands.UpdateAccount: listing.update_account,
            commands.Deposit: listing.deposit,
            commands.Withdraw: listing.withdraw,
            commands.SetLimits: listing.set_limits,
            commands.StartEpoch: listing.start_epoch,
        }

    @classmethod
    def restore(cls, data: bytes, expected_hash: bytes) -> "Engine":
        """Return an engine as it was when `data` was taken. Raises JournalDamaged on any difference."""
        return cls(checkpoint.load(data, expected_hash, ENGINE_VERSION))

    def checkpoint(self) -> bytes:
        """Return the whole state as canonical bytes; only between batches."""
        assert not self._recorder.accounts and not self._recorder.books, "expected a sealed batch"
        return checkpoint.dump(self.state, ENGINE_VERSION)

    def state_hash(self) -> bytes:
        """Return the hash of the whole state; costs as much as a checkpoint."""
        return checkpoint.state_hash(self.checkpoint())

    def begin(self, timestamp_ns: int) -> None:
        """Open a batch at a time in UTC nanoseconds; an earlier time than the last one counts as that one."""
        state = self.state
        state.timestamp_ns = max(timestamp_ns, state.timestamp_ns)

    def apply(self, command: Command) -> list[Event]:
        """Execute one command and return its events; it takes the next sequence whatever comes of it."""
        self.state.sequence += 1
        events: list[Event] = []
        self._recorder.events = events
        self.outcome = self._handlers[type(command)](command)
        return events

    def seal(self) -> Sealed:
        """Close the batch: state what it changed in each book, and hand over its events."""
        state = self.state
        recorder = self._recorder
        self._ledger.close_batch()
        books = []
        for symbol, book in recorder.books.items():
            delta = book.seal(state.epoch, state.sequence)
            if delta is not None or book.trades:
                books.append(SealedBook(symbol, delta, book.trades))
                book.trades = []
        for book in recorder.shown:
            for top in book.tops:
                top.seq = book.seq
            book.tops.clear()
        recorder.shown.clear()
        accounts = []
        for account_id, account in recorder.accounts.items():
            accounts.append((account_id, account.pending))
            account.pending = []
        system, state.system = state.system, []
        recorder.accounts.clear()
        recorder.books.clear()
        return Sealed(accounts, books, system)
