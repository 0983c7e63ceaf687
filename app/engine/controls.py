"""Controls that look at an account: what it may still send, have open, turn over, hold and lose.

Called where risk.py's ordered checks have their places for them (docs/ENGINE.md gives the order). Each
returns None or a Rejection; only `check_rates` changes anything: it counts.
"""

from collections.abc import Iterator
from typing import NamedTuple

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, RejectReason
from app.domain.events import Rejection
from app.domain.limits import LIMITS
from app.engine.book import Book
from app.engine.limits import NO_LIMIT, Counts, Gate, counts_of, gate_of, likeness
from app.engine.positions import Position
from app.engine.recorder import refuse
from app.engine.state import Account, Order, State

RATIO_FREE_ORDERS = 100
"""Orders and amends of a day that the order-to-trade ratio does not look at."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REDUCE_ONLY = AccountStatus.REDUCE_ONLY


class Attempt(NamedTuple):
    """An order, or what an amend makes of one, on its way through the checks."""

    account: Account
    book: Book
    terms: PlaceOrder
    is_buy: bool
    price: int
    """Limit or cap in ticks."""
    lots: int
    """What would be open."""
    amended: Order | None = None
    together: int = 1
    """Orders that the limits of open orders count for it: those of its list."""

    @property
    def notional(self) -> int:
        """What it could trade for, in quote units."""
        if self.terms.quote_quantity is not None:
            return self.terms.quote_quantity
        return self.price * self.lots * self.book.notional_unit


class Gauge(NamedTuple):
    """A limit that is set, and what the attempt would bring it to."""

    name: str
    limit: int
    actual: int

    @property
    def is_kept(self) -> bool:
        """Whether the limit is not passed."""
        if LIMITS[self.name].tightest_is_largest:
            return self.actual >= self.limit
        return self.actual <= self.limit

    def rejection(self, book: Book) -> Rejection:
        """Return the refusal that names the limit."""
        info = LIMITS[self.name]
        unit = book.quote if info.unit == "quote" else info.unit
        return refuse(info.reason, limit=self.limit, actual=self.actual, unit=unit)


# ---- who may send, and what ------------------------------------------------------------------


def check_restricted(account: Account, book: Book) -> Rejection | None:
    """Refuse an instrument that the account is kept from."""
    if book.symbol in account.restricted:
        return refuse(RejectReason.RESTRICTED_SYMBOL, field="symbol")
    return None


def check_reduce_only(
    account: Account, book: Book, terms: PlaceOrder, lots: int, amended: Order | None
) -> Rejection | None:
    """Refuse an order that may only reduce a position, and is larger than what there is to reduce."""
    if account.status is _REDUCE_ONLY:
        if terms.quote_quantity is not None:
            return refuse(RejectReason.REDUCE_ONLY_WOULD_INCREASE, limit=0, actual=0, unit="lots")
    elif not terms.reduce_only:
        return None
    allowed = room_to_reduce(account, book, terms, amended)
    if lots > allowed:
        return refuse(RejectReason.REDUCE_ONLY_WOULD_INCREASE, limit=allowed, actual=lots, unit="lots")
    return None


def room_to_reduce(account: Account, book: Book, terms: PlaceOrder, amended: Order | None = None) -> int:
    """Return the lots that an order which may only reduce a position can have."""
    position = account.positions.get(book.symbol)
    return 0 if position is None else reducible(position, amended, is_buy=book.side(terms.side) is book.bids)


def reducible(position: Position, amended: Order | None = None, *, is_buy: bool) -> int:
    """Return the lots that one more reduce-only order may have, or `amended` instead of its own."""
    net = -position.net if is_buy else position.net
    allowed = net if net > 0 else 0
    if position.reducing is not None:
        reducing = position.reducing[is_buy]
        allowed -= reducing.lots
        if amended is not None:
            allowed += reducing.of(amended)
    return allowed


def check_throttle(account: Account) -> Rejection | None:
    """Refuse an account that took too much in one second, until an administrator releases it."""
    trip = account.trip
    if trip is None:
        return None
    return refuse(RejectReason.EXECUTION_THROTTLED, limit=trip.limit, actual=trip.prints, unit="count")


# ---- rates -----------------------------------------------------------------------------------


def rate_gauges(gate: Gate, counts: Counts, symbol: str) -> Iterator[Gauge]:
    """Yield the rates that are limited, as one more message would bring them."""
    values = gate.values
    if "message_rate" in values:
        yield Gauge("message_rate", gate.message_rate, counts.messages + 1)
    if "symbol_message_rate" in values:
        yield Gauge("symbol_message_rate", gate.symbol_message_rate, counts.symbols.get(symbol, 0) + 1)
    if "rejection_rate" in values:
        yield Gauge("rejection_rate", gate.rejection_rate, counts.rejections)


def check_rates(state: State, account: Account, book: Book) -> Rejection | None:
    """Refuse one message too many in this second, and count it."""
    counts = counts_of(state, account)
    if counts is None:
        return None
    gate, symbol = gate_of(state, account), book.symbol
    rejection = None
    if (
        counts.messages >= gate.message_rate
        or counts.rejections > gate.rejection_rate
        or counts.symbols.get(symbol, 0) >= gate.symbol_message_rate
    ):
        rejection = _first(rate_gauges(gate, counts, symbol), book)
    counts.message(symbol, gate)
    return rejection


def ratio_gauge(state: State, account: Account) -> Gauge | None:
    """Return orders and amends of today, against what the prints of today allow; None if that is not limited."""
    counts = counts_of(state, account)
    gate = account.gate
    if counts is None or gate is None or "order_trade_ratio" not in gate.values:
        return None
    sent = (counts.accepted if counts.day == state.day else 0) + 1
    prints = sum(each.prints for each in account.turnovers.values() if each.day == state.day)
    most = gate.order_trade_ratio * max(prints, 1)
    return Gauge("order_trade_ratio", most, sent)


def check_ratio(state: State, account: Account, book: Book) -> Rejection | None:
    """Refuse one order too many for the few prints they bring."""
    counts, gate = account.counts, gate_of(state, account)
    if counts is None or counts.accepted < RATIO_FREE_ORDERS or counts.accepted < gate.order_trade_ratio:
        return None
    gauge = ratio_gauge(state, account)
    if gauge is None or gauge.actual <= RATIO_FREE_ORDERS or gauge.is_kept:
        return None
    return gauge.rejection(book)


def duplicate_gauge(state: State, account: Account, terms: PlaceOrder) -> Gauge | None:
    """Return how old the last order like this one is, if orders sent twice are refused and there is one."""
    counts = counts_of(state, account)
    gate = account.gate
    if counts is None or gate is None or "duplicate_window_ns" not in gate.values or terms.client_order_id is not None:
        return None
    accepted_ns = counts.recent.get(likeness(terms))
    if accepted_ns is None:
        return None
    return Gauge("duplicate_window_ns", gate.duplicate_window_ns, state.timestamp_ns - accepted_ns)


def check_duplicate(state: State, account: Account, book: Book, terms: PlaceOrder) -> Rejection | None:
    """Refuse an order that looks like one just accepted, and has no id that says otherwise."""
    gauge = duplicate_gauge(state, account, terms)
    return None if gauge is None or gauge.is_kept else gauge.rejection(book)


# ---- open orders, money and positions --------------------------------------------------------


def check_open_orders(state: State, attempt: Attempt) -> Rejection | None:
    """Refuse one open order more than a limit."""
    gate = gate_of(state, attempt.account)
    if gate.is_plain and len(attempt.account.open_orders) + attempt.together <= gate.open_orders:
        return None
    return _first(open_order_gauges(gate, attempt), attempt.book)


def check_exposure(state: State, attempt: Attempt) -> Rejection | None:
    """Refuse what would be worth too much: alone, open, today, as a position, or after today's loss."""
    gate = gate_of(state, attempt.account)
    if gate.is_plain or _keeps_exposure(state, gate, attempt):
        return None
    return _first(exposure_gauges(state, gate, attempt), attempt.book)


def _keeps_exposure(state: State, gate: Gate, attempt: Attempt) -> bool:
    """Return whether no amount passes its limit, for a third of what the gauges cost, which say which one does."""
    account, book, notional, amended = attempt.account, attempt.book, attempt.notional, attempt.amended
    turnover = account.turnover(book.quote)
    if turnover.day != state.day:
        turnover.begin_day(state.day)
    open_notional = turnover.open_notional + notional
    if amended is not None:
        shown = amended.state
        open_notional -= (shown.quantity - shown.filled_quantity) * shown.price * book.notional_unit
    if (
        notional > gate.order_notional
        or open_notional > gate.open_notional
        or turnover.notional + open_notional > gate.daily_notional
        or -turnover.profit > gate.daily_loss
    ):
        return False
    if gate.position_notional == NO_LIMIT:
        return True
    worth = position_worth(attempt)
    return worth is None or worth <= gate.position_notional


def open_order_gauges(gate: Gate, attempt: Attempt) -> Iterator[Gauge]:
    """Yield the limited numbers of open orders."""
    if "open_orders" in gate.values:
        yield Gauge("open_orders", gate.open_orders, len(attempt.account.open_orders) + attempt.together)
    if "symbol_open_orders" in gate.values:
        position = attempt.account.positions.get(attempt.book.symbol)
        here = 0 if position is None else position.open_orders
        yield Gauge("symbol_open_orders", gate.symbol_open_orders, here + attempt.together)


def exposure_gauges(state: State, gate: Gate, attempt: Attempt) -> Iterator[Gauge]:
    """Yield the limited amounts, in the order of their checks."""
    values, amended = gate.values, attempt.amended
    turnover = attempt.account.turnover(attempt.book.quote)
    if turnover.day != state.day:
        turnover.begin_day(state.day)
    open_notional = turnover.open_notional + attempt.notional
    if amended is not None:
        shown = amended.state
        open_notional -= (shown.quantity - shown.filled_quantity) * shown.price * attempt.book.notional_unit
    if "order_notional" in values:
        yield Gauge("order_notional", gate.order_notional, attempt.notional)
    if "open_notional" in values:
        yield Gauge("open_notional", gate.open_notional, open_notional)
    if "daily_notional" in values:
        yield Gauge("daily_notional", gate.daily_notional, turnover.notional + open_notional)
    if "position_notional" in values:
        worth = position_worth(attempt)
        if worth is not None:
            yield Gauge("position_notional", gate.position_notional, worth)
    if "daily_loss" in values and not attempt.terms.reduce_only:
        yield Gauge("daily_loss", gate.daily_loss, -turnover.profit)


def position_worth(attempt: Attempt) -> int | None:
    """Return what the position would be worth if all open orders of this side filled; None if it cannot grow."""
    book, amended = attempt.book, attempt.amended
    position = attempt.account.positions.get(book.symbol)
    net = waiting = 0
    if position is not None:
        net, waiting = position.net, position.buying if attempt.is_buy else position.selling
    if amended is not None:
        waiting -= amended.state.quantity - amended.state.filled_quantity
    lots = waiting + attempt.lots
    after = net + lots if attempt.is_buy else net - lots
    if abs(after) <= abs(net):
        return None
    reference = book.reference_price()
    return abs(after) * (attempt.price if reference is None else reference) * book.notional_unit


def _first(gauges: Iterator[Gauge], book: Book) -> Rejection | None:
    """Return the refusal of the first limit that is passed."""
    for gauge in gauges:
        if not gauge.is_kept:
            return gauge.rejection(book)
    return None
