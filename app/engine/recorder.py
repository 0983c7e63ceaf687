"""Collects the events of a command and of the batch, grouped the way readers want them.

Each event is stated once: in the command's list, and in its account's (or the shard's) list
of the batch. Giving the next account_seq belongs here, so no module can forget it.
"""

from app.domain.enums import Liquidity, OrderStatus, RejectReason
from app.domain.events import (
    Event,
    Fill,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    PrivateEvent,
    Rejection,
    SystemEvent,
    TradeExecuted,
)
from app.engine.book import Book
from app.engine.state import Account, Order, State

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_TAKER = Liquidity.TAKER
_FILLED = OrderStatus.FILLED


class Recorder:
    """Events of the command being applied, and who has events since the last seal."""

    __slots__ = ("accounts", "books", "events", "fills", "moved", "moved_to", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Event] = []
        self.fills: list[Fill] = []
        """Fills of the incoming order of this command."""
        self.moved: Order | None = None
        """Order of this command's last order event, and what that event says of it."""
        self.moved_to: OrderState | None = None
        self.accounts: dict[int, Account] = {}
        """Accounts with pending events."""
        self.books: dict[str, Book] = {}
        """Books that a command touched since the last seal."""

    def start(self) -> None:
        """Forget the previous command's events; the batch's stay."""
        self.events = []
        self.fills = []
        self.moved = None

    def private(self, account: Account, event: PrivateEvent) -> None:
        """Record an event of an account; its account_seq was taken with `next_seq`."""
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)

    def system(self, event: SystemEvent) -> None:
        """Record an event of the shard."""
        self.events.append(event)
        self.state.system.append(event)

    def order(self, kind: type, order: Order) -> None:
        """Record that an order moved on to its next version."""
        state = self.state
        account = order.account
        order.version += 1
        order.updated_ns = state.timestamp_ns
        order.engine_seq = state.sequence
        account.seq += 1
        self.moved, self.moved_to = order, order.snapshot()
        event = kind(account.seq, self.moved_to)
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)

    def fill(self, order: Order, trade: TradeExecuted, fee: int, liquidity: Liquidity) -> None:
        """Record one side of a trade; the order was already changed by it."""
        state = self.state
        account = order.account
        order.version += 1
        order.reason = None
        order.updated_ns = state.timestamp_ns
        order.engine_seq = state.sequence
        account.seq += 1
        fill = Fill(trade.trade_id, trade.price, trade.quantity, fee, liquidity, account.seq)
        kind = OrderFilled if order.status is _FILLED else OrderPartiallyFilled
        self.moved, self.moved_to = order, order.snapshot()
        event = kind(account.seq, self.moved_to, fill)
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)
        if liquidity is _TAKER:
            self.fills.append(fill)

    def state_of(self, order: Order) -> OrderState:
        """Return the order as it is now: what its event says when that was the command's last."""
        if order is self.moved and self.moved_to is not None:
            return self.moved_to
        return order.snapshot()

    def trade(self, book: Book, trade: TradeExecuted) -> None:
        """Record a public trade."""
        self.events.append(trade)
        book.trades.append(trade)


def refuse(
    reason: RejectReason,
    *,
    field: str | None = None,
    limit: int | None = None,
    actual: int | None = None,
    unit: str | None = None,
) -> Rejection:
    """Return a refusal with its limit and actual value as integer text."""
    return Rejection(
        reason,
        field,
        None if limit is None else str(limit),
        None if actual is None else str(actual),
        unit,
    )
