"""What the reference model remembers: accounts and orders as plain records, everything else derived on demand."""

from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, ListKind, OrderReason, OrderStatus, RejectReason, Side, TimeInForce
from app.domain.events import OrderState, Rejection
from app.domain.instrument import RATE_SCALE, Instrument

DAY_NS = 86_400 * 10**9


class Refused(Exception):
    """A command is declined; `stated` says whether the account gets an event about it."""

    def __init__(
        self,
        reason: RejectReason,
        field: str | None = None,
        *,
        limit: int | None = None,
        actual: int | None = None,
        unit: str | None = None,
        stated: bool = True,
    ) -> None:
        super().__init__(reason)
        texts = [None if number is None else str(number) for number in (limit, actual)]
        self.rejection = Rejection(reason, field, texts[0], texts[1], unit)
        self.stated = stated


class PastFill(NamedTuple):
    """One fill of an order: quote units, lots, and the rate it was charged at."""

    notional: int
    quantity: int
    rate: int


@dataclass(eq=False)
class RefAccount:
    """An account; its balances are derived from what it owns and what its orders hold."""

    account_id: int
    name: str
    status: AccountStatus = AccountStatus.ACTIVE
    seq: int = 0


@dataclass(eq=False)
class RefOrder:
    """An accepted order. Filled quantity, notional and fees are sums over its fills."""

    order_id: int
    terms: PlaceOrder
    instrument: Instrument
    """As it was when the order was accepted: its rates are captured."""
    price: int
    quantity: int
    created_ns: int
    status: OrderStatus = OrderStatus.OPEN
    version: int = 0
    fills: list[PastFill] = field(default_factory=list)
    reason: OrderReason | None = None
    updated_ns: int = 0
    engine_seq: int = 0
    arrival: int | None = None
    """When it joined its level's queue; None while it is not in the book."""
    display_quantity: int | None = None
    """Of an iceberg: the most it shows."""
    shown: int = 0
    """Of a resting iceberg: what is left of the part it shows."""
    trigger_price: int | None = None
    watermark: int | None = None
    """Best price that a trailing stop has seen."""
    activated_seq: int = 0
    """Command that made the trigger as it is; only prints of later ones fire it."""
    order_list: "RefList | None" = None
    granted: int = 0
    """Of a child: lots of its parent that it already follows."""

    @property
    def is_buy(self) -> bool:
        return self.terms.side is Side.BUY

    @property
    def filled(self) -> int:
        # Asked for all the time, and of orders that mostly have no fills.
        return sum(fill.quantity for fill in self.fills) if self.fills else 0

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled if self.fills else self.quantity

    @property
    def due_ns(self) -> int | None:
        """When it expires: as asked, or at the next close of the session after it was accepted."""
        if self.terms.time_in_force is not TimeInForce.DAY:
            return self.terms.expire_ns
        close = self.created_ns // DAY_NS * DAY_NS + self.instrument.session_close_ns
        return close if close > self.created_ns else close + DAY_NS

    @property
    def money_left(self) -> int:
        """What a market buy by quote_quantity may still spend."""
        assert self.terms.quote_quantity is not None
        return self.terms.quote_quantity - self.notional - self.fees

    @property
    def notional(self) -> int:
        return sum(fill.notional for fill in self.fills)

    @property
    def fees(self) -> int:
        """Charged so far: the sum of notional times rate, rounded up once."""
        return rounded_up(self.accrued)

    @property
    def accrued(self) -> int:
        return sum(fill.notional * fill.rate for fill in self.fills)

    @property
    def hold_asset(self) -> str:
        return self.instrument.quote if self.is_buy else self.instrument.base

    @property
    def hold(self) -> int:
        """What its open part can still cost: base units, or quote units with the highest fee."""
        if self.terms.quote_quantity is not None:
            return self.money_left
        if not self.is_buy:
            return self.remaining * self.instrument.lot_units
        notional = self.remaining * self.price * self.instrument.notional_unit
        highest = max(0, self.instrument.maker_fee, self.instrument.taker_fee)
        return notional + rounded_up(self.accrued + notional * highest) - self.fees

    def state(self) -> OrderState:
        return OrderState(
            self.order_id,
            self.terms,
            self.status,
            self.version,
            self.price,
            self.quantity,
            self.filled,
            self.notional,
            self.fees,
            self.reason,
            self.created_ns,
            self.updated_ns,
            self.engine_seq,
            self.display_quantity,
            self.trigger_price,
            None if self.order_list is None else self.order_list.order_list_id,
        )


@dataclass(eq=False)
class RefList:
    """Orders that depend on each other, in the order they were given."""

    order_list_id: int
    kind: ListKind
    orders: list[RefOrder] = field(default_factory=list)

    @property
    def parent(self) -> RefOrder | None:
        return None if self.kind is ListKind.OCO else self.orders[0]

    @property
    def children(self) -> list[RefOrder]:
        return [] if self.kind is ListKind.OCO else self.orders[1:]

    def peer_of(self, order_id: int) -> RefOrder | None:
        """Return the other one of two orders of which only one may trade."""
        pair = {ListKind.OCO: self.orders, ListKind.BRACKET: self.orders[1:]}.get(self.kind, [])
        if order_id not in [order.order_id for order in pair]:
            return None
        return next(order for order in pair if order.order_id != order_id)


def rounded_up(accrued: int) -> int:
    """Return a sum of notional times rate in quote units, rounded towards the house."""
    return (accrued + RATE_SCALE - 1) // RATE_SCALE
