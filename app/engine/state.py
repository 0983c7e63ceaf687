"""Everything the engine remembers: accounts, balances, orders, books, counters.

Plain objects without behaviour that matters; the modules beside this one change them.
Amounts are Python integers in asset units.
"""

from __future__ import annotations

from collections import deque

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, Side
from app.domain.events import OrderState, PrivateEvent, SystemEvent
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID, FIRST_ACCOUNT_ID
from app.engine.book import Book, PriceLevel, Rates

CLOSED_ORDERS_MAX = 250_000
"""Closed orders that are remembered for idempotency; older ones are in the projection."""
ACCOUNT_OPEN_ORDERS_MAX = 5_000
"""Open orders an account may have unless the exchange's limit is changed."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_ACCOUNT_ACTIVE = AccountStatus.ACTIVE
_BUY = Side.BUY


class Balance:
    """Available and held amount of one asset; `shown_*` is what the last event said."""

    __slots__ = ("account", "asset", "available", "held", "shown_available", "shown_held", "touched")

    def __init__(self, account: Account, asset: str) -> None:
        self.account = account
        self.asset = asset
        self.available = 0
        self.held = 0
        self.shown_available = 0
        self.shown_held = 0
        self.touched = False


class Account:
    """Owner of balances and orders."""

    __slots__ = ("account_id", "balances", "client_ids", "name", "open_orders", "pending", "seq", "status")

    def __init__(self, account_id: int, name: str) -> None:
        self.account_id = account_id
        self.name = name
        self.status = _ACCOUNT_ACTIVE
        self.seq = 0
        """Last account_seq given."""
        self.balances: dict[str, Balance] = {}
        self.open_orders: dict[int, Order] = {}
        self.client_ids: dict[str, Order] = {}
        self.pending: list[PrivateEvent] = []
        """Private events since the last seal."""

    def balance(self, asset: str) -> Balance:
        """Return the balance of an asset, making an empty one when it is new."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance(self, asset)
        return balance


class Order:
    """An accepted order: what it said of itself last, and what matching and holds work with.

    `state` is immutable and replaced by each event, so the event, the answer and the order share one
    statement. Only what no event says, or what the book reads all the time, stands beside it.
    """

    __slots__ = (
        "account",
        "ahead",
        "balance",
        "behind",
        "book",
        "fee_accrued",
        "held",
        "is_buy",
        "level",
        "order_id",
        "price",
        "rates",
        "remaining",
        "state",
    )

    def __init__(self, state: OrderState, account: Account, book: Book, balance: Balance, rates: Rates) -> None:
        self.state = state
        self.order_id = state.order_id
        self.account = account
        self.book = book
        self.balance = balance
        """What the order holds from: the quote asset's for a buy, the base asset's for a sell."""
        self.rates = rates
        """As captured when it was accepted."""
        self.is_buy = state.terms.side is _BUY
        self.price = state.price
        self.remaining = state.quantity
        """Open lots; 0 once the order ended, while quantity - filled says what was left."""
        self.fee_accrued = 0
        """Sum of notional x rate, in units of 1 / RATE_SCALE."""
        self.held = 0
        self.level: PriceLevel | None = None
        self.ahead: Order | None = None
        self.behind: Order | None = None

    @property
    def terms(self) -> PlaceOrder:
        """The command that placed it."""
        return self.state.terms


class State:
    """The whole state of one shard."""

    def __init__(self) -> None:
        self.sequence = 0
        """Sequence of the last applied command."""
        self.epoch = 0
        self.timestamp_ns = 0
        self.last_order_id = 0
        self.last_account_id = FIRST_ACCOUNT_ID - 1
        self.open_orders_max: int | None = ACCOUNT_OPEN_ORDERS_MAX
        self.assets: dict[str, int] = {}
        self.books: dict[str, Book] = {}
        self.accounts: dict[int, Account] = {
            EXTERNAL_ACCOUNT_ID: Account(EXTERNAL_ACCOUNT_ID, "external"),
            FEE_ACCOUNT_ID: Account(FEE_ACCOUNT_ID, "fees"),
        }
        self.account_names: dict[str, int] = {account.name: id_ for id_, account in self.accounts.items()}
        self.orders: dict[int, Order] = {}
        """Open orders and the remembered closed ones."""
        self.closed: deque[Order] = deque()
        """Remembered closed orders, oldest first."""
        self.transfers: dict[tuple[int, str], tuple[str, str]] = {}
        """Per account and transfer_id: asset and signed amount text; kept for ever."""
        self.system: list[SystemEvent] = []
        """System events since the last seal."""
