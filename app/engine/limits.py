"""Limits by level, resolved for an account, and what is counted against those that limit a rate.

A limit may be set for the exchange, for a tier of accounts and for an account; the tightest that is
set holds. What a rate is made of is counted as long as a limit of a rate holds for the account; messages by
symbol and the orders that a duplicate would repeat, as long as their own limit does. What was counted stays: a
limit that is set later, or again, starts from there.
"""

from typing import NamedTuple

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, Side
from app.domain.limits import LIMIT_MAX, LIMITS
from app.engine.state import Account, State

RECENT_ORDERS_MAX = 1_000
"""Distinct orders of an account that are remembered as what a duplicate would repeat."""
NO_LIMIT = 10 * LIMIT_MAX
"""Stands for a limit that is not set: nothing reaches it."""
COUNTED = (
    "message_rate",
    "symbol_message_rate",
    "rejection_rate",
    "order_trade_ratio",
    "duplicate_window_ns",
    "execution_rate",
)
"""Limits that need counts."""


# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_LIMIT = OrderType.LIMIT
_BUY = Side.BUY

Likeness = tuple[str, bool, OrderType | None, int | None, int]
"""Symbol, whether it buys, type if it is no limit order, price and quantity."""


class Trip(NamedTuple):
    """How an account came to be throttled: the limit, and its prints in that second."""

    limit: int
    prints: int


class Gate:
    """The limits that hold for an account; NO_LIMIT where none is set."""

    __slots__ = (*LIMITS, "counts_symbols", "is_counted", "is_plain", "remembers_orders", "values", "version")

    message_rate: int
    symbol_message_rate: int
    rejection_rate: int
    order_trade_ratio: int
    duplicate_window_ns: int
    execution_rate: int
    open_orders: int
    symbol_open_orders: int
    order_notional: int
    open_notional: int
    daily_notional: int
    position_notional: int
    daily_loss: int

    def __init__(self, values: dict[str, int], version: int) -> None:
        self.values = values
        """Limits that are set."""
        self.version = version
        """Of the levels that they were taken from."""
        for name in LIMITS:
            setattr(self, name, values.get(name, NO_LIMIT))
        self.is_counted = any(name in values for name in COUNTED)
        self.counts_symbols = "symbol_message_rate" in values
        self.remembers_orders = "duplicate_window_ns" in values
        self.is_plain = not values.keys() - {"open_orders"}
        """Whether at most the number of open orders is limited."""


class Counts:
    """What an account did in this second and today, as far as a limit asks."""

    __slots__ = (
        "accepted",
        "day",
        "executions",
        "likeness",
        "messages",
        "recent",
        "rejections",
        "second",
        "symbols",
    )

    def __init__(self) -> None:
        self.second = -1
        """Second of command time that the next four are of."""
        self.messages = 0
        self.symbols: dict[str, int] = {}
        """Messages by symbol."""
        self.rejections = 0
        self.executions = 0
        """Prints that the account took."""
        self.day = -1
        """UTC day that `accepted` is of."""
        self.accepted = 0
        """Orders and amends."""
        self.recent: dict[Likeness, int] = {}
        """When an order without client_order_id was accepted last, by what it was; the oldest first."""
        self.likeness: Likeness = ("", False, None, None, 0)
        """Of the last order that admission compared with those: it is asked for again when that is accepted."""

    def begin_second(self, second: int) -> None:
        """Let another second be this one."""
        self.second = second
        self.messages = self.rejections = self.executions = 0
        self.symbols.clear()

    def message(self, symbol: str, gate: Gate) -> None:
        """Count a message of this second."""
        self.messages += 1
        if gate.counts_symbols:
            self.symbols[symbol] = self.symbols.get(symbol, 0) + 1

    def take(self, terms: PlaceOrder, symbol: str, gate: Gate, state: State) -> None:
        """Count the message of an order that admission has just looked at, and that it was accepted."""
        self.messages += 1
        if gate.counts_symbols:
            self.symbols[symbol] = self.symbols.get(symbol, 0) + 1
        if self.day != state.day:
            self.day, self.accepted = state.day, 0
        self.accepted += 1
        if gate.remembers_orders and terms.client_order_id is None:
            self._remember(self.likeness, state.timestamp_ns)

    def accept(self, terms: PlaceOrder | None, gate: Gate, state: State) -> None:
        """Count an accepted order, or an amend (None)."""
        if self.day != state.day:
            self.day, self.accepted = state.day, 0
        self.accepted += 1
        if gate.remembers_orders and terms is not None and terms.client_order_id is None:
            self._remember(likeness(terms), state.timestamp_ns)

    def _remember(self, key: Likeness, timestamp_ns: int) -> None:
        recent = self.recent
        recent.pop(key, None)
        recent[key] = timestamp_ns
        if len(recent) > RECENT_ORDERS_MAX:
            del recent[next(iter(recent))]


def likeness(terms: PlaceOrder) -> Likeness:
    """Return what makes two orders of an account look like one that was sent twice."""
    order_type = terms.type
    # Enum members hash in Python: no key that plain orders make holds one. Admission makes the key of those itself.
    return terms.symbol, terms.side is _BUY, None if order_type is _LIMIT else order_type, terms.price, terms.quantity


def holding(state: State, account: Account) -> dict[str, tuple[int, str]]:
    """Return the tightest of each limit that is set for an account, and its level; of equal ones the account's own."""
    tier = {} if account.tier is None else state.tier_limits[account.tier]
    levels = (("account", account.limits), ("tier", tier), ("exchange", state.exchange_limits))
    found: dict[str, tuple[int, str]] = {}
    for name, info in LIMITS.items():
        for level, limits in levels:
            value = limits.get(name)
            if value is None:
                continue
            held = found.get(name)
            if held is None or (value > held[0] if info.tightest_is_largest else value < held[0]):
                found[name] = value, level
    return found


def resolve(state: State, account: Account) -> Gate:
    """Return the limits that hold for an account, taken from the levels anew."""
    values = {name: value for name, (value, _) in holding(state, account).items()}
    gate = account.gate = Gate(values, state.limits_version)
    if gate.is_counted and account.counts is None:
        account.counts = Counts()
    return gate


def gate_of(state: State, account: Account) -> Gate:
    """Return the limits that hold for an account."""
    gate = account.gate
    return gate if gate is not None and gate.version == state.limits_version else resolve(state, account)


def counts_of(state: State, account: Account) -> Counts | None:
    """Return the account's counts of this second, or None if nothing is counted for it."""
    if not gate_of(state, account).is_counted:
        return None
    counts = account.counts
    assert counts is not None, f"account {account.account_id} has limits of rates and no counts"
    if counts.second != state.second:
        counts.begin_second(state.second)
    return counts
