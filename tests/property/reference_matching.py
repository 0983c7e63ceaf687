"""Trading in the reference model: who meets whom, what a print does to both orders, and how orders end."""

from fractions import Fraction
from typing import NamedTuple

from app.domain.enums import Liquidity, OrderReason, OrderStatus, SelfTradePrevention, Side, TimeInForce
from app.domain.events import (
    Fill,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    OrderPartiallyFilled,
    TradeExecuted,
    TradePrevented,
)
from app.domain.identity import FEE_ACCOUNT_ID
from tests.property.reference_checks import ReferenceChecks
from tests.property.reference_forms import CAPPED
from tests.property.reference_listing import WHOLE, queue_place
from tests.property.reference_records import PastFill, RefOrder, rounded_up


class Charge(NamedTuple):
    """What one side of a print pays: a rate, as maker or taker."""

    liquidity: Liquidity
    rate: int


class ReferenceMatching(ReferenceChecks):
    """Price-time priority over the flat list of open orders."""

    def __init__(self) -> None:
        super().__init__()
        self.operations_max = 5_000
        self.closed_orders_max = 250_000
        self.met = 0
        """Resting orders met so far, of those a command may meet."""
        self.taken: dict[int, list[Fill]] = {}
        """What each order took in this command."""

    # ---- what lists and triggers add -----------------------------------------------------------

    def live_peer(self, order: RefOrder) -> RefOrder | None:
        """Return the order that must end before this one may trade."""
        return None

    def before_print(self, order: RefOrder) -> None:
        """Something that the first print of an order does before it."""

    def after_fill(self, order: RefOrder) -> None:
        """Something that a print of an order causes."""

    def after_end(self, order: RefOrder) -> None:
        """Something that the end of an order causes."""

    # ---- the book ------------------------------------------------------------------------------

    def shown_of(self, order: RefOrder) -> int:
        return order.remaining if order.display_quantity is None else order.shown

    def _reachable(self, taker: RefOrder) -> list[RefOrder]:
        """Return the resting orders the taker's limit admits, in the order it meets them."""
        makers = [
            o
            for o in self.open
            if o.arrival is not None
            and o.terms.symbol == taker.terms.symbol
            and o.terms.side is not taker.terms.side
            and (o.price <= taker.price if taker.is_buy else o.price >= taker.price)
        ]
        return sorted(makers, key=queue_place)

    def _join(self, order: RefOrder) -> None:
        """Queue an order at the back of its level, an iceberg with a new part to show."""
        self.arrivals += 1
        order.arrival = self.arrivals
        if order.display_quantity is not None:
            order.shown = min(order.display_quantity, order.remaining)

    def _fillable(self, order: RefOrder) -> bool:
        """Rehearse the sweep: whether it fills before an own order, a bound, or the breaker stops it."""
        symbol, wanted, base = order.terms.symbol, order.remaining, self.breaker_base(order.terms.symbol)
        follows = all(time == self.timestamp_ns for time, _ in self.trail.get(symbol, ()))
        """Without an older price, each print is measured against the one before it."""
        queue = [(maker, self.shown_of(maker), maker.remaining) for maker in self._reachable(order)]
        for _ in range(self.operations_max):
            if not queue:
                return False
            maker, shown, left = queue.pop(0)
            queue = [entry for entry in queue if entry[0] is not self.live_peer(maker)]
            if self.one_owner(order, maker) or self.too_far(symbol, maker.price, base):
                return False
            if follows:
                base = maker.price
            lots = min(wanted, shown)
            wanted, left = wanted - lots, left - lots
            if not wanted:
                return True
            if left:
                assert maker.display_quantity is not None
                behind = [number for number, (other, *_) in enumerate(queue) if other.price == maker.price]
                place = behind[-1] + 1 if behind else 0
                queue.insert(place, (maker, min(maker.display_quantity, left), left))
        return False

    def too_far(self, symbol: str, price: int, base: int | None) -> bool:
        """Return whether the breaker keeps a print this far from a base price away."""
        move = self.instruments[symbol].breaker_move
        return base is not None and move is not None and abs(price - base) > Fraction(base * move, WHOLE)

    # ---- match ---------------------------------------------------------------------------------

    def execute(self, order: RefOrder) -> None:
        """Let an order that may trade now meet the book, and rest or end with what is left of it."""
        self._meet(order)
        if order in self.open:
            self._rest(order)

    def _meet(self, order: RefOrder) -> None:
        if self.in_auction(order.terms.symbol):
            self.meet_in_auction(order)
        else:
            self._match(order)

    def meet_in_auction(self, order: RefOrder) -> None:
        """Keep an entering order from crossing with its owner's: it would meet them at the uncross."""
        for other in self._reachable(order):
            if order not in self.open:
                return
            if other in self.open and self.one_owner(order, other):
                if self.met == self.operations_max:
                    self.end(order, OrderReason.SWEEP_LIMIT)
                    return
                self.met += 1
                self._prevent(order, other)

    def _match(self, taker: RefOrder) -> None:
        symbol = taker.terms.symbol
        while taker in self.open and (makers := self._reachable(taker)):
            maker = makers[0]
            if self.met == self.operations_max:
                self.end(taker, OrderReason.SWEEP_LIMIT)
                return
            if not self.wants(taker, maker.price, maker.remaining):
                return
            self.met += 1
            if self.one_owner(taker, maker):
                self._prevent(taker, maker)
            elif self.breaker_trips(symbol, maker.price):
                self.trip_breaker(taker)
            else:
                lots = self.wants(taker, maker.price, self.shown_of(maker))
                self._print(taker, maker, maker.price, lots)

    def wants(self, taker: RefOrder, price: int, offered: int) -> int:
        """Return the lots that a taker takes of what is offered: what it needs, or what its money buys."""
        if taker.terms.quote_quantity is None:
            return min(taker.remaining, offered)
        instrument = self.instruments[taker.terms.symbol]
        rate = min(taker.instrument.taker_fee, instrument.taker_fee)

        def cost(lots: int) -> int:
            notional = lots * price * instrument.notional_unit
            return notional + rounded_up(taker.accrued + notional * rate) - taker.fees

        fewest, most = 0, offered
        while fewest < most:
            lots = (fewest + most + 1) // 2
            if cost(lots) <= taker.money_left:
                fewest = lots
            else:
                most = lots - 1
        return fewest

    def is_spent(self, taker: RefOrder) -> bool:
        """Return whether a market buy by money is done: nothing left, or not enough for a lot that it reaches."""
        makers = [o for o in self._reachable(taker) if o.remaining]
        return not taker.money_left or bool(makers and not self.wants(taker, makers[0].price, 1))

    def cross_at(self, later: RefOrder, earlier: RefOrder, price: int, quantity: int) -> None:
        self._print(later, earlier, price, quantity)

    def _print(self, taker: RefOrder, maker: RefOrder, price: int, quantity: int) -> None:
        symbol, instrument = taker.terms.symbol, self.instruments[taker.terms.symbol]
        for order in (maker, taker):
            self.before_print(order)
        number = self.trade_ids[symbol] = self.trade_ids.get(symbol, 0) + 1
        self.last_prices[symbol] = price
        ids = maker.order_id, taker.order_id, maker.terms.account_id, taker.terms.account_id
        self.say(TradeExecuted(symbol, number, self.sequence, price, quantity, taker.terms.side, *ids))
        taker_rate = min(taker.instrument.taker_fee, instrument.taker_fee)
        # A rebate is paid out of this trade's taker fee, and never exceeds it.
        maker_rate = max(min(maker.instrument.maker_fee, instrument.maker_fee), -taker_rate)
        self._fill(maker, number, price, quantity, Charge(Liquidity.MAKER, maker_rate))
        self._fill(taker, number, price, quantity, Charge(Liquidity.TAKER, taker_rate))
        for order in (maker, taker):
            if order.status is OrderStatus.FILLED:
                self._close(order)
            elif order.arrival is not None and order.display_quantity is not None and not order.shown:
                self._join(order)

    def _fill(self, order: RefOrder, number: int, price: int, quantity: int, charge: Charge) -> None:
        instrument = self.instruments[order.terms.symbol]
        notional, before = quantity * price * instrument.notional_unit, order.fees
        order.fills.append(PastFill(notional, quantity, charge.rate))
        fee = order.fees - before
        owner, direction = order.terms.account_id, 1 if order.is_buy else -1
        self.move(owner, instrument.quote, -direction * notional - fee)
        self.move(owner, instrument.base, direction * quantity * instrument.lot_units)
        if fee:
            self.move(FEE_ACCOUNT_ID, instrument.quote, fee)
        if order.arrival is not None and order.display_quantity is not None:
            order.shown -= quantity
        if order.terms.quote_quantity is None:
            done = order.remaining == 0
        else:
            order.quantity += quantity
            done = self.is_spent(order)
        order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        order.reason = None
        kind = OrderFilled if done else OrderPartiallyFilled
        self._advance(order, kind, (number, price, quantity, fee, charge.liquidity))
        self.after_fill(order)

    def _prevent(self, taker: RefOrder, maker: RefOrder) -> None:
        mode, account_id = taker.terms.stp, taker.terms.account_id
        quantity = self.wants(taker, maker.price, maker.remaining)
        ids = taker.order_id, maker.order_id, maker.price, quantity
        other = None if maker.terms.account_id == account_id else maker.terms.account_id
        seq = self.next_seq(account_id)
        self.say(TradePrevented(seq, self.sequence, account_id, taker.terms.symbol, *ids, mode, other))
        if mode is SelfTradePrevention.DECREMENT:
            for order in (maker, taker):
                if order.remaining == quantity:
                    self.end(order, OrderReason.SELF_TRADE)
                else:
                    self._decrement(order, quantity)
            return
        if mode in (SelfTradePrevention.CANCEL_OLDEST, SelfTradePrevention.CANCEL_BOTH):
            self.end(maker, OrderReason.SELF_TRADE)
        if mode in (SelfTradePrevention.CANCEL_NEWEST, SelfTradePrevention.CANCEL_BOTH):
            self.end(taker, OrderReason.SELF_TRADE)

    def _decrement(self, order: RefOrder, quantity: int) -> None:
        """Take lots off an order, of an iceberg the shown ones first."""
        order.quantity -= quantity
        order.reason = OrderReason.SELF_TRADE
        self.mention(order.terms.account_id, order.hold_asset)
        if order.arrival is not None and order.display_quantity is not None:
            order.shown = max(0, order.shown - quantity)
            if not order.shown:
                self._join(order)
        self._advance(order, OrderAmended)

    def _rest(self, order: RefOrder) -> None:
        terms = order.terms
        if terms.type in CAPPED:
            opposite = Side.SELL if order.is_buy else Side.BUY
            empty = self.best(terms.symbol, opposite) == (0, 0)
            self.end(order, OrderReason.NO_LIQUIDITY if empty else OrderReason.SLIPPAGE_CAP)
        elif terms.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self.end(order, OrderReason.IOC_REMAINDER)
        else:
            self._join(order)

    # ---- endings and events --------------------------------------------------------------------

    def end(self, order: RefOrder, reason: OrderReason) -> None:
        """Cancel what is open of an order; one that ended already stays as it is."""
        if order in self.open:
            self._finish(order, OrderStatus.CANCELED, reason)

    def _finish(self, order: RefOrder, status: OrderStatus, reason: OrderReason, kind: type = OrderCanceled) -> None:
        order.status, order.reason = status, reason
        self.mention(order.terms.account_id, order.hold_asset)
        self._advance(order, kind)
        self._close(order)
        self.after_end(order)

    def _close(self, order: RefOrder) -> None:
        order.arrival = None
        self.open.remove(order)
        self.closed.append(order)
        del self.closed[: -self.closed_orders_max]

    def _advance(self, order: RefOrder, kind: type, fill: tuple[int, int, int, int, Liquidity] | None = None) -> None:
        """State the order's next version, with its fill if one caused it."""
        order.version += 1
        order.updated_ns, order.engine_seq = self.timestamp_ns, self.sequence
        seq = self.next_seq(order.terms.account_id)
        if fill is None:
            self.say(kind(seq, order.state()))
            return
        stated = Fill(*fill, seq)
        self.say(kind(seq, order.state(), stated))
        if stated.liquidity is Liquidity.TAKER:
            self.taken.setdefault(order.order_id, []).append(stated)
