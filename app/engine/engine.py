"""The state machine: commands in, events out, sealed batch by batch.

    engine.begin(timestamp_ns)          time is given once per batch and never goes back
    events = engine.apply(command)      any number of times; `engine.outcome` answers the command
    sealed = engine.seal()              book deltas are formed here and nowhere else

Equal batches give equal events, deltas and state on every machine. Called by the sequencer,
by recovery and by followers only.
"""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from app.domain import commands
from app.domain.commands import Command
from app.domain.events import AuctionIndicated, BookDelta, Event, PrivateEvent, SystemEvent, TradeExecuted
from app.domain.outcomes import Outcome
from app.engine import checkpoint
from app.engine.accounts import Accounts
from app.engine.amends import AmendDesk
from app.engine.answers import catch_up
from app.engine.auctions import Auctions
from app.engine.batches import BatchDesk
from app.engine.cancel_after import DeadMansSwitches
from app.engine.children import Children
from app.engine.desk import Parts
from app.engine.fee_tiers import FeeTiers
from app.engine.instruments import Instruments
from app.engine.kill_switch import KillSwitches
from app.engine.ledger import Ledger
from app.engine.listing import Listing
from app.engine.mass_cancel import MassCancels
from app.engine.matching import Matcher
from app.engine.order_check import CheckDesk
from app.engine.order_lists import ListDesk
from app.engine.orders import OrderDesk
from app.engine.phases import Phases
from app.engine.recorder import Recorder
from app.engine.reduce_only import trim
from app.engine.sessions import Sessions
from app.engine.state import State
from app.engine.timekeeper import Timekeeper
from app.engine.timers import AUCTION_END, CANCEL_AFTER, EXPIRY, HALT_END
from app.engine.transfers import Transfers
from app.engine.trigger_queue import TriggerQueue
from app.engine.trigger_watch import TriggerWatch

ENGINE_VERSION = 2
"""Raised whenever equal commands could give other events; rows replay only under their own version."""


class SealedBook(NamedTuple):
    """What a batch did to one book."""

    symbol: str
    delta: BookDelta | None
    trades: list[TradeExecuted]
    auction: AuctionIndicated | None = None
    """Set when the batch changed where the book's call auction would uncross."""


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
        self._watch = TriggerWatch(self.state)
        phases = Phases(self.state, self._recorder)
        matcher = self._matcher = Matcher(self.state, self._ledger, self._recorder, self._watch, phases)
        self._filled_parents = matcher.links.filled_parents
        parts = Parts(self.state, self._ledger, matcher, self._recorder, self._watch)
        desk = OrderDesk(parts)
        batches = BatchDesk(parts, desk)
        amends = AmendDesk(parts)
        children = self._children = Children(parts)
        triggers = TriggerQueue(parts, children)
        mass_cancels = MassCancels(self.state, matcher, self._recorder)
        sessions = Sessions(self.state, mass_cancels)
        switches = DeadMansSwitches(self.state, mass_cancels, self._recorder)
        auctions = self._auctions = Auctions(self.state, phases, matcher, self._recorder)
        instruments = Instruments(self.state, phases, auctions, mass_cancels, self._recorder)
        listing = Listing(self.state, self._recorder)
        accounts = Accounts(self.state, self._recorder)
        transfers = Transfers(self.state, self._ledger, self._recorder)
        on_due: dict[int, Callable[[Any], None]] = {
            EXPIRY: matcher.expire,
            CANCEL_AFTER: switches.fire,
            HALT_END: phases.end_halt,
            AUCTION_END: auctions.end,
        }
        self._timekeeper = Timekeeper(self.state, self._recorder, on_due, [mass_cancels, auctions, triggers])
        self._handlers: dict[type, Callable[[Any], Outcome]] = {
            commands.PlaceOrder: desk.place,
            commands.PlaceBatch: batches.place,
            commands.PlaceList: ListDesk(parts, desk).place,
            commands.CheckOrder: CheckDesk(parts).check,
            commands.CancelOrder: desk.cancel,
            commands.AmendOrder: amends.amend,
            commands.CancelAll: mass_cancels.cancel_all,
            commands.GuardSession: sessions.guard,
            commands.CloseSession: sessions.close,
            commands.SetCancelAfter: switches.set,
            commands.SetKillSwitch: KillSwitches(self.state, mass_cancels, self._recorder).set,
            commands.Tick: self._timekeeper.tick,
            commands.CreateAsset: listing.create_asset,
            commands.CreateInstrument: instruments.create,
            commands.UpdateInstrument: instruments.update,
            commands.SetReference: instruments.set_reference,
            commands.SetFeeTiers: FeeTiers(self.state, self._recorder).set,
            commands.CreateAccount: accounts.create,
            commands.UpdateAccount: accounts.update,
            commands.Deposit: transfers.deposit,
            commands.Withdraw: transfers.withdraw,
            commands.Transfer: transfers.between,
            commands.SetLimits: accounts.set_limits,
            commands.StartEpoch: listing.start_epoch,
        }

    @classmethod
    def restore(cls, data: bytes, expected_hash: bytes) -> "Engine":
        """Return an engine as it was when `data` was taken. Raises JournalDamaged on any difference."""
        return cls(checkpoint.load(data, expected_hash, ENGINE_VERSION))

    @property
    def next_deadline(self) -> int | None:
        """Return when a Tick is wanted, in UTC nanoseconds: 0 is at once, None is never as things stand."""
        return self._timekeeper.next_deadline

    def checkpoint(self) -> bytes:
        """Return the whole state as canonical bytes; only between batches."""
        self._require_sealed()
        return checkpoint.dump(self.state, ENGINE_VERSION)

    def checkpoint_in_steps(self) -> Generator[None, None, bytes]:
        """Yield every few milliseconds, and return what `checkpoint` does; nothing may be applied meanwhile."""
        self._require_sealed()
        return checkpoint.dump_in_steps(self.state, ENGINE_VERSION)

    def _require_sealed(self) -> None:
        assert not self._recorder.accounts and not self._recorder.books, "expected a sealed batch"

    def state_hash(self) -> bytes:
        """Return the hash of the whole state; costs as much as a checkpoint."""
        return checkpoint.state_hash(self.checkpoint())

    def begin(self, timestamp_ns: int) -> None:
        """Open a batch at a time in UTC nanoseconds; an earlier time than the last one counts as that one."""
        state = self.state
        state.set_time(max(timestamp_ns, state.timestamp_ns))
        if self._recorder.traded:
            self._recorder.begin_day()

    def apply(self, command: Command) -> list[Event]:
        """Execute one command and return its events; it takes the next sequence whatever comes of it."""
        state, recorder, matcher = self.state, self._recorder, self._matcher
        state.sequence += 1
        # The previous command's events go, the batch's stay.
        events = recorder.events = []
        if recorder.fills:
            recorder.fills = []
        matcher.met = 0
        self.outcome = self._handlers[type(command)](command)
        if recorder.shrunk or self._filled_parents:
            self._follow_up()
        if recorder.tripped:
            for account in recorder.tripped:
                recorder.system(account.updated(state.sequence))
            recorder.tripped.clear()
        if self._watch.arriving or state.marks:
            self._watch.close_command(events)
        return events

    def _follow_up(self) -> None:
        """Let children follow what their parents traded, then cancel what shrunk positions have no room for.

        The answer shows what that changed.
        """
        recorder, outcome = self._recorder, self.outcome
        known = len(recorder.events)
        self._children.serve_parents()
        trim(recorder.shrunk, self._matcher)
        recorder.shrunk.clear()
        later = recorder.events[known:]
        if later:
            catch_up(outcome, later)
            shown = outcome.order or (outcome.orders[0] if outcome.orders else None)
            if outcome.book is not None and shown is not None:
                outcome.book = recorder.top(self.state.books[shown.terms.symbol])

    def seal(self) -> Sealed:
        """Close the batch: state what it changed in each book, and hand over its events."""
        state = self.state
        recorder = self._recorder
        self._ledger.close_batch()
        books = []
        for symbol, book in recorder.books.items():
            delta = book.seal(state.epoch, state.sequence)
            auction = None
            if book.is_veiled or book.indicated is not None:
                auction = self._auctions.indicate(book)
            if delta is not None or book.trades or auction is not None:
                books.append(SealedBook(symbol, delta, book.trades, auction))
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
