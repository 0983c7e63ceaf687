"""Everything the engine remembers: accounts, balances, orders, books, counters.

Plain objects without behaviour that matters; the modules beside this one change them.
Amounts are Python integers in asset units.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, DisconnectScope, OrderReason, OrderStatus, Side
from app.domain.events import AccountUpdated, OrderState, PrivateEvent, SystemEvent
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID, FIRST_ACCOUNT_ID
from app.domain.limits import OPEN_ORDERS_DEFAULT, RATE_WINDOW_NS
from app.engine.book import Book, FeeTier, PriceLevel, Rates
from app.engine.links import Link
from app.engine.positions import Position, Turnover
from app.engine.selection import MassCancel
from app.engine.timers import Timers
from app.engine.triggers import TrailGroup, trigger_of

if TYPE_CHECKING:
    from app.engine.limits import Counts, Gate, Trip

CLOSED_ORDERS_MAX = 250_000
"""Closed orders that are remembered for idempotency; older ones are in the projection."""
ACCOUNT_OPEN_ORDERS_MAX = OPEN_ORDERS_DEFAULT
"""Open orders an account may have unless the exchange's limit is changed."""

DAY_NS = 86_400_000_000_000

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_ACCOUNT_ACTIVE = AccountStatus.ACTIVE
_BUY = Side.BUY


class Balance:
    """Available and held amount of one asset; `shown_*` is what the last event said."""

    __slots__ = ("account", "asset", "available", "held", "rank", "shown_available", "shown_held", "touched")

    def __init__(self, account: Account, asset: str) -> None:
        self.account = account
        self.asset = asset
        self.rank = account.account_id, asset
        """Its place among the balances that a batch changed."""
        self.available = 0
        self.held = 0
        self.shown_available = 0
        self.shown_held = 0
        self.touched = False


class CancelAfter(NamedTuple):
    """An armed dead man's switch."""

    due_ns: int
    """When it fires; its timer is armed for then."""
    symbols: tuple[str, ...] | None
    """Instruments whose orders it cancels; None is all."""
    keep_protective: bool


class SessionGuard(NamedTuple):
    """What a session asked for in case that it is gone."""

    scope: DisconnectScope
    grace_ns: int


class Account:
    """Owner of balances and orders."""

    __slots__ = (
        "account_id",
        "balances",
        "cancel_after",
        "client_ids",
        "counts",
        "gate",
        "guards",
        "is_restrained",
        "killed",
        "limits",
        "name",
        "open_orders",
        "pending",
        "positions",
        "restricted",
        "seq",
        "status",
        "stp_group",
        "tier",
        "trip",
        "turnovers",
    )

    def __init__(self, account_id: int, name: str) -> None:
        self.account_id = account_id
        self.name = name
        self.status = _ACCOUNT_ACTIVE
        self.stp_group: int | None = None
        """Accounts of one group never trade with each other."""
        self.tier: str | None = None
        self.limits: dict[str, int] = {}
        """Limits of its own level."""
        self.restricted: tuple[str, ...] = ()
        """Symbols that it may not trade, in order."""
        self.trip: Trip | None = None
        """How it came to be throttled, until it is released."""
        self.is_restrained = False
        """Whether more than limits may keep its orders out; see `look_at_restraints`."""
        self.gate: Gate | None = None
        """The limits that hold for it, as resolved last."""
        self.counts: Counts | None = None
        """What it did that limits of rates ask for; None until one held."""
        self.positions: dict[str, Position] = {}
        """By symbol: every instrument that it ever had an order in."""
        self.turnovers: dict[str, Turnover] = {}
        """By quote asset."""
        self.killed = False
        """Whether its kill switch is on."""
        self.cancel_after: CancelAfter | None = None
        self.guards: dict[str, SessionGuard] = {}
        """By session."""
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

    def position(self, book: Book) -> Position:
        """Return what the account has in an instrument, making it when it is new."""
        position = self.positions.get(book.symbol)
        if position is None:
            position = self.positions[book.symbol] = Position(self, book)
        return position

    def turnover(self, quote: str) -> Turnover:
        """Return what the account traded in a quote asset, making it when it is new."""
        turnover = self.turnovers.get(quote)
        if turnover is None:
            turnover = self.turnovers[quote] = Turnover()
        return turnover

    def look_at_restraints(self) -> None:
        """Bring `is_restrained` up to date; whoever changes what it is made of calls this."""
        self.is_restrained = self.status is not _ACCOUNT_ACTIVE or bool(self.restricted) or self.trip is not None

    def updated(self, engine_seq: int) -> AccountUpdated:
        """Return the event that states everything that is set for the account."""
        return AccountUpdated(
            engine_seq,
            self.account_id,
            self.status,
            self.tier,
            {name: str(self.limits[name]) for name in sorted(self.limits)},
            self.stp_group,
            self.restricted,
            self.killed,
            self.trip is not None,
        )


class Extras:
    """What only few orders have; an order without any of it has no extras."""

    __slots__ = (
        "display_quantity",
        "due_ns",
        "link",
        "shown",
        "slippage",
        "trails_in",
        "trigger_price",
        "waits",
        "watermark",
    )

    def __init__(self) -> None:
        self.due_ns: int | None = None
        """When the order expires; its timer is armed as long as it is open."""
        self.display_quantity: int | None = None
        """Of an iceberg: the most it shows."""
        self.shown = 0
        """Of a resting iceberg: what is left of the part it shows."""
        self.slippage = 0
        """Of a trailing stop: rate between its trigger and its cap, fixed when it was accepted."""
        self.trigger_price: int | None = None
        """As it was set, or as it was when a trailing stop last stopped trailing; `trigger_of` is the current one."""
        self.watermark: int | None = None
        """Best price that a trailing stop has seen, as far as its group does not know it."""
        self.waits = False
        """Whether the order is among those that the book's prices are compared with."""
        self.trails_in: TrailGroup | None = None
        self.link: Link | None = None
        """Its place in the list that it was placed with."""


class Order:
    """An accepted order: what it said of itself last, and what matching and holds work with.

    `state` is immutable and replaced by each event, so the event, the answer and the order share one
    statement. Only what no event says, or what the book reads all the time, stands beside it.
    """

    __slots__ = (
        "account",
        "ahead",
        "behind",
        "book",
        "extras",
        "fee_accrued",
        "held",
        "is_buy",
        "level",
        "order_id",
        "position",
        "price",
        "rates",
        "remaining",
        "state",
    )

    def __init__(self, state: OrderState, position: Position, rates: Rates) -> None:
        self.state = state
        self.order_id = state.order_id
        self.position = position
        self.account = position.account
        self.book = position.book
        self.rates = rates
        """As captured when it was accepted."""
        self.is_buy = state.terms.side is _BUY
        self.price = state.price
        self.remaining = state.quantity
        """Open lots; 0 once the order ended, while quantity - filled says what was left."""
        self.fee_accrued = 0
        """Sum of notional x rate, in units of 1 / RATE_SCALE."""
        self.held = 0
        self.extras: Extras | None = None
        self.level: PriceLevel | None = None
        self.ahead: Order | None = None
        self.behind: Order | None = None

    @property
    def balance(self) -> Balance:
        """What it holds from: the quote asset's for a buy, the base asset's for a sell."""
        return self.position.quote if self.is_buy else self.position.base

    @property
    def terms(self) -> PlaceOrder:
        """The command that placed it."""
        return self.state.terms

    @property
    def status(self) -> OrderStatus:
        """As its last event says."""
        return self.state.status

    @property
    def quantity(self) -> int:
        """Total lots, as its last event says."""
        return self.state.quantity

    @property
    def reason(self) -> OrderReason | None:
        """Why its last event happened, where events have a reason."""
        return self.state.reason

    @property
    def filled(self) -> int:
        """Lots traded so far."""
        return self.state.filled_quantity

    @property
    def shown(self) -> int:
        """Lots that the order shows in the book while it rests."""
        extras = self.extras
        return self.remaining if extras is None or extras.display_quantity is None else extras.shown

    def reaches(self, price: int) -> bool:
        """Return whether its limit admits a trade at a price."""
        return price <= self.price if self.is_buy else price >= self.price

    def show(self) -> int:
        """Begin to show a new part; returns how many lots that is."""
        extras = self.extras
        if extras is None or extras.display_quantity is None:
            return self.remaining
        extras.shown = min(extras.display_quantity, self.remaining)
        return extras.shown

    def extra(self) -> Extras:
        """Return the order's extras, making them when there are none."""
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    def snapshot(self) -> OrderState:
        """Return the order as it is now: a trailing stop's trigger moves without an event."""
        trigger_price = trigger_of(self)
        if trigger_price == self.state.trigger_price:
            return self.state
        return msgspec.structs.replace(self.state, trigger_price=trigger_price)


class SeenMark(NamedTuple):
    """A mark price, and the prices it was made of: last, best bid, best ask and (external, its time)."""

    mark_price: int | None
    made_of: tuple[int | None, int, int, tuple[int, int] | None]


UNSEEN = SeenMark(None, (None, 0, 0, None))
"""Mark price of a book that nobody looked at."""


class TransferDone(NamedTuple):
    """What a transfer_id stands for."""

    asset: str
    amount: str
    """Signed, in asset units."""
    to_account_id: int | None = None
    """Of a transfer between accounts."""


class State:
    """The whole state of one shard."""

    def __init__(self) -> None:
        self.sequence = 0
        """Sequence of the last applied command."""
        self.epoch = 0
        self.timestamp_ns = 0
        self.last_order_id = 0
        self.last_order_list_id = 0
        self.last_account_id = FIRST_ACCOUNT_ID - 1
        self.second = 0
        """Whole seconds of the time of commands."""
        self.day = 0
        """UTC day of it."""
        self.exchange_limits = {"open_orders": ACCOUNT_OPEN_ORDERS_MAX}
        self.tier_limits: dict[str, dict[str, int]] = {}
        """Limits of each tier that is known."""
        self.limits_version = 0
        """Changes of the two; an account's resolved limits are of one of them."""
        self.fee_tiers: dict[str, tuple[FeeTier, ...]] = {}
        """By quote asset, the least volume first."""
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
        self.transfers: dict[tuple[int, str], TransferDone] = {}
        """By account and transfer_id; kept for ever."""
        self.timers = Timers()
        self.uncrossing: dict[str, int] = {}
        """Symbols of auctions that are trading at their price, the oldest first, and the command that began it."""
        self.fired = 0
        """Orders that have fired so far: what fired in several books runs in this order."""
        self.firing: dict[str, Book] = {}
        """Books in which orders have fired and not run; some may have none left."""
        self.marks: dict[str, SeenMark] = {}
        """Of the books whose mark price is watched: what was last seen of it."""
        self.mass_cancels: list[MassCancel] = []
        """What Ticks still have to cancel, the oldest first."""
        self.killed = False
        """Whether the kill switch of the exchange is on."""
        self.kills = 0
        """Number of kill switches that are on, of any scope."""
        self.system: list[SystemEvent] = []
        """System events since the last seal."""

    def set_time(self, timestamp_ns: int) -> None:
        """Set the time of the commands that follow, in UTC nanoseconds."""
        self.timestamp_ns = timestamp_ns
        self.second = timestamp_ns // RATE_WINDOW_NS
        self.day = timestamp_ns // DAY_NS
