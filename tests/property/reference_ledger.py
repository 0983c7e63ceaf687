"""The ground of the reference model: state, balances derived from scratch, events, and what a batch publishes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from app.domain.enums import Side
from app.domain.events import (
    AuctionIndicated,
    BalanceChanged,
    BookDelta,
    Event,
    Fill,
    PositionChanged,
    PrivateEvent,
    SystemEvent,
    TradeExecuted,
)
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import Instrument
from app.domain.outcomes import BookTop, Outcome
from tests.property.reference_records import RefAccount, RefOrder

Levels = dict[tuple[Side, int], int]
"""Open lots by side and price."""
Amounts = tuple[int, int]
"""Available and held."""
HOUSE = (EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID)


class RefSealed(NamedTuple):
    """A batch as readers get it: by account, by book, and of the shard."""

    accounts: dict[int, list[PrivateEvent]]
    books: dict[str, tuple[BookDelta | None, list[TradeExecuted]]]
    system: list[SystemEvent]
    auctions: Mapping[str, AuctionIndicated] = MappingProxyType({})
    """Where auctions would uncross, as far as it changed."""

    def sums(self) -> list[BalanceChanged | PositionChanged]:
        """Return what the batch as a whole came to, by account: no command states that."""
        accounts = self.accounts
        events = [event for account_id in sorted(accounts) for event in accounts[account_id]]
        return [event for event in events if isinstance(event, BalanceChanged | PositionChanged)]


class ReferenceLedger:
    """State of the model and all that is derived from it."""

    def __init__(self) -> None:
        self.sequence = 0
        self.epoch = 0
        self.timestamp_ns = 0
        self.last_order_id = 0
        self.arrivals = 0
        self.assets: dict[str, int] = {}
        self.instruments: dict[str, Instrument] = {}
        self.accounts = {1: RefAccount(1, "external"), 2: RefAccount(2, "fees")}
        self.owned: dict[tuple[int, str], int] = {}
        """Everything an account has of an asset, held or not."""
        self.open: list[RefOrder] = []
        """Oldest first."""
        self.closed: list[RefOrder] = []
        """Remembered, the one closed first first."""
        self.transfers: dict[tuple[int, str], tuple[str, int] | tuple[str, int, int]] = {}
        self.trade_ids: dict[str, int] = {}
        self.last_prices: dict[str, int] = {}
        self.book_seqs: dict[str, int] = {}
        self.events: list[Event] = []
        self.fills: list[Fill] = []
        self._published: dict[str, Levels] = {}
        self._stated: dict[tuple[int, str], Amounts] = {}
        self._mentioned: list[tuple[int, str]] = []
        self._house_mentioned: list[tuple[int, str]] = []
        self._batch: list[Event] = []
        self._tops: list[tuple[BookTop, str]] = []

    # ---- balances ------------------------------------------------------------------------------

    def held(self, account_id: int, asset: str) -> int:
        """Return what the account's open orders hold of the asset."""
        ours = [o for o in self.open if o.terms.account_id == account_id and o.hold_asset == asset]
        return sum(self.hold_of(o) for o in ours)

    def hold_of(self, order: RefOrder) -> int:
        """Return what an open order holds now."""
        return order.hold

    def shown_of(self, order: RefOrder) -> int:
        """Return the lots that an order shows in the book."""
        return order.remaining

    def available(self, account_id: int, asset: str) -> int:
        """Return what is left of what the account owns."""
        return self.owned.get((account_id, asset), 0) - self.held(account_id, asset)

    def balances(self) -> dict[tuple[int, str], Amounts]:
        """Return available and held of every balance that is not zero, worked out anew."""
        holds: dict[tuple[int, str], int] = {}
        for order in self.open:
            key = order.terms.account_id, order.hold_asset
            holds[key] = holds.get(key, 0) + self.hold_of(order)
        found = {}
        for key in self.owned.keys() | holds.keys():
            held = holds.get(key, 0)
            amounts = self.owned.get(key, 0) - held, held
            if amounts != (0, 0):
                found[key] = amounts
        return found

    def move(self, account_id: int, asset: str, amount: int) -> None:
        """Add an amount to what an account owns, and remember that it was mentioned."""
        key = account_id, asset
        self.owned[key] = self.owned.get(key, 0) + amount
        self.mention(account_id, asset)

    def mention(self, account_id: int, asset: str) -> None:
        """A balance may have changed: it is stated at the end of the batch, the house's last, if it did."""
        (self._house_mentioned if account_id in HOUSE else self._mentioned).append((account_id, asset))

    def _state_balances(self, mentioned: list[tuple[int, str]]) -> None:
        for key in sorted(set(mentioned)):
            account_id, asset = key
            amounts = self.available(account_id, asset), self.held(account_id, asset)
            if amounts != self._stated.get(key, (0, 0)):
                self._stated[key] = amounts
                texts = str(amounts[0]), str(amounts[1])
                self.say(BalanceChanged(self.next_seq(account_id), self.sequence, account_id, asset, *texts))
        mentioned.clear()

    # ---- events --------------------------------------------------------------------------------

    def next_seq(self, account_id: int) -> int:
        """Return the account's next event number."""
        account = self.accounts[account_id]
        account.seq += 1
        return account.seq

    def say(self, event: Event) -> None:
        """State an event: it belongs to the command and to the batch."""
        self.events.append(event)
        self._batch.append(event)

    def answer(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the command's sequence and time."""
        outcome.engine_seq, outcome.timestamp_ns = self.sequence, self.timestamp_ns
        return outcome

    # ---- books ---------------------------------------------------------------------------------

    def levels(self, symbol: str) -> Levels:
        """Return the open lots of a book by side and price."""
        found: Levels = {}
        for order in self.open:
            if order.terms.symbol == symbol and order.arrival is not None:
                key = order.terms.side, order.price
                found[key] = found.get(key, 0) + self.shown_of(order)
        return found

    def best(self, symbol: str, side: Side) -> tuple[int, int]:
        """Return price and lots of a side's best level, zeros if the side is empty."""
        resting = [
            each
            for each in self.open
            if each.terms.side is side and each.terms.symbol == symbol and each.arrival is not None
        ]
        if not resting:
            return 0, 0
        prices = [each.price for each in resting]
        price = max(prices) if side is Side.BUY else min(prices)
        return price, sum(self.shown_of(each) for each in resting if each.price == price)

    def public_levels(self, symbol: str) -> Levels:
        """Return the levels that are published."""
        return self.levels(symbol)

    def public_best(self, symbol: str) -> tuple[int, int, int, int]:
        """Return price and lots of the best published bid, and ask."""
        return *self.best(symbol, Side.BUY), *self.best(symbol, Side.SELL)

    def top(self, symbol: str) -> BookTop:
        """Return best bid and ask; the sequence follows when the batch is sealed."""
        top = BookTop(
            self.epoch,
            self.book_seqs.get(symbol, 0),
            *self.public_best(symbol),
        )
        self._tops.append((top, symbol))
        return top

    def seal(self) -> RefSealed:
        """Close the batch: compare each book with what was published last."""
        self.events = []
        self._state_balances(self._mentioned)
        self._state_balances(self._house_mentioned)
        sealed = RefSealed({}, {}, [])
        for event in self._batch:
            if isinstance(event, TradeExecuted):
                sealed.books.setdefault(event.symbol, (None, []))[1].append(event)
            elif isinstance(event, AuctionIndicated):
                raise AssertionError("expected to be stated by seal only")
            elif isinstance(event, PrivateEvent):
                sealed.accounts.setdefault(event.account_id, []).append(event)
            else:
                sealed.system.append(event)
        self._batch.clear()
        for symbol in self.instruments:
            delta = self._delta(symbol)
            if delta is not None:
                sealed.books[symbol] = delta, sealed.books.get(symbol, (None, []))[1]
        for top, symbol in self._tops:
            top.seq = self.book_seqs.get(symbol, 0)
        self._tops.clear()
        return sealed

    def _delta(self, symbol: str) -> BookDelta | None:
        before, now = self._published.get(symbol, {}), self.public_levels(symbol)
        changed = {key: now.get(key, 0) for key in before.keys() | now.keys() if before.get(key, 0) != now.get(key, 0)}
        self._published[symbol] = now
        if not changed:
            return None
        bids = sorted(((price, lots) for (side, price), lots in changed.items() if side is Side.BUY), reverse=True)
        asks = sorted((price, lots) for (side, price), lots in changed.items() if side is Side.SELL)
        prev_seq = self.book_seqs.get(symbol, 0)
        self.book_seqs[symbol] = prev_seq + 1
        return BookDelta(symbol, self.epoch, prev_seq, prev_seq + 1, self.sequence, bids, asks)
