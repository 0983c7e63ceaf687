"""What the reference model measures of an order: its numbers, and its counts and sums against the limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.commands import PlaceOrder
from app.domain.enums import RejectReason, Side
from app.domain.limits import LIMITS
from tests.property.reference_limits import ReferenceLimits
from tests.property.reference_listing import INTEGER_MAX, INVALID
from tests.property.reference_records import RefOrder, Refused, rounded_up

RATIO_FREE = 100
"""Orders of a day that the order-to-trade ratio does not look at."""


class Verdict(NamedTuple):
    """What one check says; `limit` and `actual` are None where there is no number."""

    passed: bool
    reason: RejectReason
    field: str | None = None
    limit: int | None = None
    actual: int | None = None
    unit: str | None = None

    @property
    def refusal(self) -> Refused:
        return Refused(self.reason, self.field, limit=self.limit, actual=self.actual, unit=self.unit)


@dataclass
class Candidate:
    """An order, or an amended one, on its way through the checks."""

    terms: PlaceOrder
    order: RefOrder
    """As it would be accepted; its price is not known before the form is sound."""
    replaces: RefOrder | None = None
    """The order as it was, of an amend."""
    earlier: Sequence[RefOrder] = ()
    """Orders of the same atomic batch that passed before."""
    together: int = 1
    """How many orders the open order limits count for it: those of its list."""

    @property
    def account_id(self) -> int:
        return self.terms.account_id

    @property
    def lots(self) -> int:
        return self.order.remaining

    @property
    def notional(self) -> int:
        if self.terms.quote_quantity is not None:
            return self.terms.quote_quantity
        return self.order.price * self.lots * self.order.instrument.notional_unit


class ReferenceGauges(ReferenceLimits):
    """Measures an order; each method returns verdicts, of which the first failure counts."""

    # ---- counts --------------------------------------------------------------------------------

    def _against(self, c: Candidate, name: str, actual: int) -> list[Verdict]:
        """Return the verdict of a limit that must not be passed; none if it is not set."""
        limit, info = self.limit(c.account_id, name), LIMITS[name]
        if limit is None:
            return []
        unit = c.order.instrument.quote if info.unit == "quote" else info.unit
        return [Verdict(actual <= limit, info.reason, None, limit, actual, unit)]

    def _throttle(self, c: Candidate) -> list[Verdict]:
        trip = self.settings_of(c.account_id).trip
        if trip is None:
            return []
        return [Verdict(False, RejectReason.EXECUTION_THROTTLED, None, trip.limit, trip.prints, "count")]

    def _rates(self, c: Candidate) -> list[Verdict]:
        here = self.in_second(self.symbol_messages, c.account_id, c.terms.symbol)
        return [
            *self._against(c, "message_rate", self.in_second(self.messages, c.account_id) + 1),
            *self._against(c, "symbol_message_rate", here + 1),
            *self._against(c, "rejection_rate", self.in_second(self.refusals, c.account_id)),
        ]

    def _ratio(self, c: Candidate) -> list[Verdict]:
        ratio, sent = self.limit(c.account_id, "order_trade_ratio"), self.accepted_today(c.account_id)
        if ratio is None:
            return []
        most = ratio * max(1, self.prints_today(c.account_id))
        passed = sent < RATIO_FREE or sent + 1 <= most
        return [Verdict(passed, RejectReason.ORDER_TRADE_RATIO, None, most, sent + 1, "count")]

    def _duplicate(self, c: Candidate) -> list[Verdict]:
        window, terms = self.limit(c.account_id, "duplicate_window_ns"), c.terms
        key = terms.symbol, terms.side, terms.type, terms.price, terms.quantity
        accepted_ns = self.accepted_at(c.account_id, key)
        if window is None or terms.client_order_id is not None or accepted_ns is None:
            return []
        age = self.timestamp_ns - accepted_ns
        return [Verdict(age >= window, RejectReason.DUPLICATE_ORDER, None, window, age, "ns")]

    # ---- numbers -------------------------------------------------------------------------------

    def _quantity(self, c: Candidate) -> list[Verdict]:
        if c.terms.quote_quantity is not None:
            return self._one_lot(c)
        instrument, quantity, price = self.instruments[c.terms.symbol], c.order.quantity, c.order.price
        reason, most = RejectReason.QUANTITY_OUT_OF_RANGE, INTEGER_MAX // instrument.lot_units
        return [
            Verdict(1 <= quantity <= INTEGER_MAX, reason, "quantity", INTEGER_MAX, quantity, "lots"),
            Verdict(1 <= price <= INTEGER_MAX, INVALID, "price", INTEGER_MAX, price, "ticks"),
            *within(quantity, instrument.min_quantity, instrument.max_quantity, (reason, "quantity", "lots")),
            *within(quantity, None, most, (reason, "quantity", "lots")),
        ]

    def _one_lot(self, c: Candidate) -> list[Verdict]:
        """The money of a market buy must suffice for one lot at the best price."""
        money, instrument = c.terms.quote_quantity, self.instruments[c.terms.symbol]
        assert money is not None
        notional = self.best(c.terms.symbol, Side.SELL)[0] * instrument.notional_unit
        cost = notional + rounded_up(notional * min(c.order.instrument.taker_fee, instrument.taker_fee))
        unit, reason = instrument.quote, RejectReason.NOTIONAL_OUT_OF_RANGE
        return [
            Verdict(1 <= money <= INTEGER_MAX, reason, "quote_quantity", INTEGER_MAX, money, unit),
            *within(money, instrument.min_notional, instrument.max_notional, (reason, "quote_quantity", unit)),
            Verdict(money >= cost, RejectReason.QUANTITY_OUT_OF_RANGE, "quote_quantity", cost, money, unit),
        ]

    def _notional(self, c: Candidate) -> list[Verdict]:
        if c.terms.quote_quantity is not None:
            return []
        instrument = self.instruments[c.terms.symbol]
        notional = c.order.price * c.order.quantity * instrument.notional_unit
        what = RejectReason.NOTIONAL_OUT_OF_RANGE, None, instrument.quote
        return [
            *within(notional, None, INTEGER_MAX, what),
            *within(notional, instrument.min_notional, instrument.max_notional, what),
        ]

    def _sums(self, c: Candidate) -> list[Verdict]:
        """No sum that travels as an integer may pass 64 bits: what the order may trade, and its level."""
        order, instrument, symbol, side = c.order, c.order.instrument, c.terms.symbol, c.terms.side
        most = max(order.price, self.best(symbol, Side.BUY)[0]) if side is Side.SELL else order.price
        total = order.notional + most * order.remaining * instrument.notional_unit
        others = [o for o in self.open if o.order_id != order.order_id and o.arrival is not None]
        level = [o for o in others if (o.terms.symbol, o.terms.side, o.price) == (symbol, side, order.price)]
        lots = sum(self.shown_of(o) for o in level) + order.remaining
        quantity = RejectReason.QUANTITY_OUT_OF_RANGE
        return [
            Verdict(
                total <= INTEGER_MAX, RejectReason.NOTIONAL_OUT_OF_RANGE, None, INTEGER_MAX, total, instrument.quote
            ),
            Verdict(not level or lots <= INTEGER_MAX, quantity, "quantity", INTEGER_MAX, lots, "lots"),
        ]

    # ---- limits --------------------------------------------------------------------------------

    def _live(self, c: Candidate) -> list[RefOrder]:
        """Return the account's other live orders, those of the same batch included."""
        ours = [o for o in self.open if o.terms.account_id == c.account_id and o.order_id != c.order.order_id]
        return [*ours, *c.earlier]

    def _open_orders(self, c: Candidate) -> list[Verdict]:
        live = self._live(c)
        here = sum(1 for o in live if o.terms.symbol == c.terms.symbol)
        return [
            *self._against(c, "open_orders", len(live) + c.together),
            *self._against(c, "symbol_open_orders", here + c.together),
        ]

    def _order_notional(self, c: Candidate) -> list[Verdict]:
        return self._against(c, "order_notional", c.notional)

    def _open_with(self, c: Candidate) -> int:
        live = [o for o in self._live(c) if o.instrument.quote == c.order.instrument.quote]
        return sum(o.remaining * o.price * o.instrument.notional_unit for o in live) + c.notional

    def _open_notional(self, c: Candidate) -> list[Verdict]:
        return self._against(c, "open_notional", self._open_with(c))

    def _daily_notional(self, c: Candidate) -> list[Verdict]:
        traded = self.traded_today(c.account_id, c.order.instrument.quote)
        return self._against(c, "daily_notional", traded + self._open_with(c))

    def _position_notional(self, c: Candidate) -> list[Verdict]:
        symbol, side = c.terms.symbol, c.terms.side
        net = self.position(c.account_id, symbol).net
        waiting = sum(o.remaining for o in self._live(c) if (o.terms.symbol, o.terms.side) == (symbol, side))
        after = net + (c.lots + waiting) * (1 if side is Side.BUY else -1)
        if abs(after) <= abs(net):
            return []
        price = self.reference_price(symbol) or c.order.price
        return self._against(c, "position_notional", abs(after) * price * c.order.instrument.notional_unit)

    def _daily_loss(self, c: Candidate) -> list[Verdict]:
        if c.terms.reduce_only:
            return []
        return self._against(c, "daily_loss", -self.profit_today(c.account_id, c.order.instrument.quote))


def within(value: int, low: int | None, high: int | None, what: tuple[RejectReason, str | None, str]) -> list[Verdict]:
    """Return the verdicts on a value that has bounds; `what` is the reason, the field and the unit."""
    reason, field, unit = what
    verdicts = []
    if low is not None:
        verdicts.append(Verdict(value >= low, reason, field, low, value, unit))
    if high is not None:
        verdicts.append(Verdict(value <= high, reason, field, high, value, unit))
    return verdicts
