"""Collects the events of a command and of the batch, grouped the way readers want them.

Each event is stated once: in the command's list, and in its account's (or the shard's) list
of the batch. Giving the next account_seq belongs here, so no module can forget it. The answer to a command that did
what it should with an order is made here too.
"""

from app.domain.enums import Liquidity, OrderReason, OrderStatus, Priority, RejectReason
from app.domain.events import (
    Event,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    OrderTriggered,
    PrivateEvent,
    Rejection,
    SystemEvent,
    TradeExecuted,
)
from app.domain.outcomes import BookTop, Outcome
from app.engine.book import Book
from app.engine.positions import Position
from app.engine.state import Account, Order, State
from app.engine.triggers import trigger_of

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_FILLED = OrderStatus.FILLED
_PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED


Moved = OrderTriggered | OrderAmended | OrderCanceled | OrderExpired
"""Events that move an order on by something else than a fill."""


class Recorder:
    """Events of the command being applied, and who has events since the last seal."""

    __slots__ = ("accounts", "books", "events", "fills", "shown", "shrunk", "state", "traded", "tripped")

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Event] = []
        self.fills: list[Fill] = []
        """Fills of this command's incoming orders."""
        self.accounts: dict[int, Account] = {}
        """Accounts with pending events."""
        self.books: dict[str, Book] = {}
        """Books that a command touched since the last seal."""
        self.shown: list[Book] = []
        """Books whose top an answer shows since the last seal."""
        self.traded: list[Position] = []
        """Positions with prints since the last seal."""
        self.shrunk: list[Position] = []
        """Positions with prints of this command that had reduce-only orders open before."""
        self.tripped: list[Account] = []
        """Accounts that this command throttled, the first first."""

    def private(self, account: Account, event: PrivateEvent) -> None:
        """Record an event of an account that took the next account_seq."""
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)

    def system(self, event: SystemEvent) -> None:
        """Record an event of the shard."""
        self.events.append(event)
        self.state.system.append(event)

    def trade(self, book: Book, trade: TradeExecuted) -> None:
        """Record a public trade."""
        self.events.append(trade)
        book.trades.append(trade)

    def accepted(self, account: Account, shown: OrderState) -> None:
        """State a new order's first version."""
        account.seq = account_seq = account.seq + 1
        event = OrderAccepted(account_seq, shown)
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)

    def order(
        self,
        kind: type[Moved],
        order: Order,
        status: OrderStatus,
        reason: OrderReason | None,
        quantity: int,
    ) -> None:
        """Move an order on to its next version, and state it; `order.price` is already the new one."""
        state, before, account, extras = self.state, order.state, order.account, order.extras
        now = order.state = OrderState(
            before.order_id,
            before.terms,
            status,
            before.version + 1,
            order.price,
            quantity,
            before.filled_quantity,
            before.notional,
            before.fees,
            reason,
            before.created_ns,
            state.timestamp_ns,
            state.sequence,
            None if extras is None else extras.display_quantity,
            None if extras is None else trigger_of(order),
            before.order_list_id,
        )
        # What its position counts of open orders moves along, as in Position.add.
        position, left, remaining = order.position, before.quantity - before.filled_quantity, order.remaining
        if order.is_buy:
            position.buying += remaining - left
        else:
            position.selling += remaining - left
        worth = remaining * order.price - left * before.price
        position.turnover.open_notional += worth * order.book.notional_unit
        if position.reducing is not None:
            position.count_reducing(order)
        # Written out as in `private`, here and below: each call on the way of every command shows.
        account.seq = account_seq = account.seq + 1
        event = kind(account_seq, now)
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)

    def fill(
        self,
        order: Order,
        trade: TradeExecuted,
        notional: int,
        fee: int,
        liquidity: Liquidity,
        *,
        goes_on: bool = False,
    ) -> Fill:
        """Move an order on by its side of a trade, and state it; `order.remaining` is already the new one.

        `goes_on` is for an order that is not filled though nothing remains: it spends money.
        """
        state, before, account, extras = self.state, order.state, order.account, order.extras
        quantity, is_live = trade.quantity, order.remaining or goes_on
        account.seq = account_seq = account.seq + 1
        fill = Fill(trade.trade_id, trade.price, quantity, fee, liquidity, account_seq)
        now = order.state = OrderState(
            before.order_id,
            before.terms,
            _PARTIALLY_FILLED if is_live else _FILLED,
            before.version + 1,
            before.price,
            before.quantity,
            before.filled_quantity + quantity,
            before.notional + notional,
            before.fees + fee,
            None,
            before.created_ns,
            state.timestamp_ns,
            state.sequence,
            None if extras is None else extras.display_quantity,
            None if extras is None else trigger_of(order),
            before.order_list_id,
        )
        position = order.position
        if not position.touched:
            self._touch(position)
        position.trade(order, quantity, notional, fee)
        if position.reducing is not None:
            position.count_reducing(order)
            self.shrunk.append(position)
        event = (OrderPartiallyFilled if is_live else OrderFilled)(account_seq, now, fill)
        self.events.append(event)
        pending = account.pending
        if not pending:
            self.accounts[account.account_id] = account
        pending.append(event)
        return fill

    def begin_day(self) -> None:
        """Let a UTC day begin for positions with prints, in a batch that goes on after midnight."""
        for position in self.traded:
            if position.turnover.day != self.state.day:
                position.turnover.begin_day(self.state.day)

    def _touch(self, position: Position) -> None:
        """Remember that a position has prints in this batch, and of which day."""
        position.touched = True
        self.traded.append(position)
        if position.turnover.day != self.state.day:
            position.turnover.begin_day(self.state.day)

    def answer(self, order: Order, priority: Priority | None = None) -> Outcome:
        """Return the answer to a command that did what it should with an order."""
        state, book = self.state, order.book
        self.books[book.symbol] = book
        tops, bid, ask = book.tops, book.bids.best, book.asks.best
        top = tops[-1] if tops else None
        # An unchanged top is shown again, as a batch has one sequence.
        if (
            top is None
            or bid is None
            or ask is None
            or top.bid != bid.price
            or top.ask != ask.price
            or top.bid_quantity != bid.quantity
            or top.ask_quantity != ask.quantity
            or top.epoch != state.epoch
            or book.is_veiled
        ):
            top = self.top(book)
        fills = tuple(self.fills) if self.fills else ()
        shown = order.state if order.extras is None else order.snapshot()
        return Outcome(state.sequence, state.timestamp_ns, None, shown, fills, top, False, priority)

    def top(self, book: Book) -> BookTop:
        """Return the top of the book for an answer."""
        if not book.tops:
            self.shown.append(book)
        top = book.top(self.state.epoch)
        book.tops.append(top)
        return top


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
