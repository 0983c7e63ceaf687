"""Price-time matching of one incoming order against one book.

Makers are visited best price first, then oldest first; a trade happens at the maker's price.
The incoming order is already accepted and holds its funds. Called by orders.py only.
"""

from app.domain.enums import InstrumentStatus, Liquidity, OrderReason, OrderStatus, SelfTradePrevention, TimeInForce
from app.domain.events import OrderAmended, OrderCanceled, OrderExpired, TradeExecuted, TradePrevented
from app.domain.instrument import RATE_SCALE
from app.engine.book import PriceLevel
from app.engine.ledger import Ledger, trade_rates
from app.engine.phases import Phases
from app.engine.recorder import Recorder
from app.engine.state import CLOSED_ORDERS_MAX, Order, State
from app.engine.timers import EXPIRY
from app.engine.trigger_watch import TriggerWatch

COMMAND_ORDER_OPERATIONS_MAX = 5_000
"""Resting orders that one command may touch; a larger sweep ends there and the rest is canceled."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_AUCTION = InstrumentStatus.AUCTION
_MAKER = Liquidity.MAKER
_TAKER = Liquidity.TAKER
_REASON_CIRCUIT_BREAKER = OrderReason.CIRCUIT_BREAKER
_REASON_DAY_END = OrderReason.DAY_END
_REASON_GTD = OrderReason.GTD
_REASON_SELF_TRADE = OrderReason.SELF_TRADE
_REASON_SWEEP_LIMIT = OrderReason.SWEEP_LIMIT
_CANCELED = OrderStatus.CANCELED
_EXPIRED = OrderStatus.EXPIRED
_FILLED = OrderStatus.FILLED
_PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED
_ENDED = (_FILLED, _CANCELED)
_STP_CANCEL_NEWEST = SelfTradePrevention.CANCEL_NEWEST
_STP_CANCEL_OLDEST = SelfTradePrevention.CANCEL_OLDEST
_STP_DECREMENT = SelfTradePrevention.DECREMENT
_DAY = TimeInForce.DAY


class Matcher:
    """Executes trades and ends orders."""

    __slots__ = ("_ledger", "_phases", "_recorder", "_state", "_watch", "met")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder, watch: TriggerWatch, phases: Phases) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder
        self._watch = watch
        self._phases = phases
        self.met = 0
        """Resting orders that the command has met so far."""

    def match(self, taker: Order) -> None:
        """Trade the order as far as its price reaches.

        It may end by self-trade prevention, the breaker or the sweep limit; in an auction it only meets its owner's.
        """
        book = taker.book
        if book.is_veiled and book.instrument.status is _AUCTION:
            self._gather(taker)
            return
        opposite = book.asks if taker.is_buy else book.bids
        met = self.met
        while taker.remaining:
            level = opposite.best
            if level is None or not reaches(taker, level):
                break
            if met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                break
            met += 1
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {taker.book.instrument.symbol}"
            if one_owner(taker, maker):
                self._prevent(taker, maker, min(taker.remaining, maker.remaining))
            elif book.trail is not None and self._trips(taker, level.price):
                break
            else:
                shown = maker.remaining if maker.extras is None else maker.shown
                self._trade(taker, maker, min(taker.remaining, shown), level.price)
        self.met = met

    def spend(self, taker: Order) -> None:
        """Trade a market buy by quote_quantity: at each price as many lots as its money still buys."""
        asks = taker.book.asks
        while taker.status not in _ENDED:
            level = asks.best
            if level is None or not reaches(taker, level):
                break
            if self.met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                break
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {taker.book.instrument.symbol}"
            lots = affordable(taker, level.price)
            if not lots:
                break
            self.met += 1
            if one_owner(taker, maker):
                self._prevent(taker, maker, min(lots, maker.remaining))
                continue
            if taker.book.trail is not None and self._trips(taker, level.price):
                break
            taker.remaining = min(lots, maker.shown)
            taker.quantity += taker.remaining
            self._trade(taker, maker, taker.remaining, level.price)

    def cross(self, later: Order, earlier: Order, price: int) -> None:
        """Print a trade of two resting orders at an auction's price; the later one takes."""
        quantity = min(later.shown, earlier.shown)
        side = later.book.bids if later.is_buy else later.book.asks
        if quantity == later.remaining:
            side.remove(later)
        else:
            side.reduce(later, quantity)
        self._trade(later, earlier, quantity, price)
        if later.remaining and not later.shown:
            side.refill(later)

    def _gather(self, order: Order) -> None:
        """Let an order that enters an auction meet those of its owner that it crosses, best price first."""
        for other in self._crossed_of_owner(order):
            if not order.remaining:
                return
            if self.met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(order, _REASON_SWEEP_LIMIT)
                return
            # What ended one may have ended another.
            if other.level is not None:
                self.met += 1
                self._prevent(order, other, min(order.remaining, other.remaining))

    def _crossed_of_owner(self, taker: Order) -> list[Order]:
        """Return the resting orders of the taker's owner that its price reaches, in price-time order."""
        book, group = taker.book, taker.account.stp_group
        accounts = [taker.account]
        if group is not None:
            accounts = [account for account in self._state.accounts.values() if account.stp_group == group]
        found: dict[int, list[Order]] = {}
        for account in accounts:
            for order in account.open_orders.values():
                level = order.level
                if level is None or order.book is not book or order.is_buy is taker.is_buy:
                    continue
                if reaches(taker, level):
                    found.setdefault(order.price, []).append(order)
        ordered: list[Order] = []
        for price in sorted(found, reverse=not taker.is_buy):
            orders = found[price]
            ordered += orders if len(orders) == 1 else _in_queue(orders)
        return ordered

    def _trips(self, taker: Order, price: int) -> bool:
        """Halt the instrument instead of a print that is too far from the price of a while ago."""
        book, timestamp_ns = taker.book, self._state.timestamp_ns
        assert book.trail is not None
        if book.trail.admits(price, book.trail.base(timestamp_ns)):
            return False
        self.close(taker, _REASON_CIRCUIT_BREAKER)
        self._phases.halt(book)
        return True

    def _trade(self, taker: Order, maker: Order, quantity: int, price: int) -> None:
        book = taker.book
        notional = price * quantity * book.instrument.notional_unit
        side = book.bids if maker.is_buy else book.asks
        if quantity == maker.remaining:
            side.remove(maker)
        else:
            side.reduce(maker, quantity)
        self._apply(maker, quantity)
        self._apply(taker, quantity)
        book.trade_id += 1
        book.last_price = price
        trade = TradeExecuted(
            book.instrument.symbol,
            book.trade_id,
            self._state.sequence,
            price,
            quantity,
            taker.terms.side,
            maker.order_id,
            taker.order_id,
            maker.account.account_id,
            taker.account.account_id,
        )
        self._recorder.trade(book, trade)
        if book.trail is not None:
            book.trail.record(price, self._state.timestamp_ns)
        if book.triggers is not None:
            self._watch.printed(book, price)
        ledger = self._ledger
        maker_rate, taker_rate = trade_rates(maker, taker)
        fee = ledger.settle(maker, notional, quantity, maker_rate)
        self._recorder.fill(maker, trade, fee, _MAKER)
        fee = ledger.settle(taker, notional, quantity, taker_rate)
        if taker.extras is not None and taker.terms.quote_quantity is not None:
            if is_spent(taker):
                ledger.release(taker)
            else:
                taker.status = _PARTIALLY_FILLED
        self._recorder.fill(taker, trade, fee, _TAKER)
        if not maker.remaining:
            self._forget(maker)
        elif maker.extras is not None and not maker.shown:
            side.refill(maker)
        if taker.status is _FILLED:
            self._forget(taker)

    def _apply(self, order: Order, quantity: int) -> None:
        order.filled += quantity
        order.remaining -= quantity
        order.status = _PARTIALLY_FILLED if order.remaining else _FILLED

    def _prevent(self, taker: Order, maker: Order, quantity: int) -> None:
        mode = taker.terms.stp
        account = taker.account
        account.seq += 1
        self._recorder.private(
            account,
            TradePrevented(
                account.seq,
                self._state.sequence,
                account.account_id,
                taker.terms.symbol,
                taker.order_id,
                maker.order_id,
                maker.price,
                quantity,
                mode,
                None if maker.account is account else maker.account.account_id,
            ),
        )
        if mode is _STP_DECREMENT:
            self._decrement(maker, quantity)
            self._decrement(taker, quantity)
            return
        if mode is not _STP_CANCEL_NEWEST:
            self.cancel(maker, _REASON_SELF_TRADE)
        if mode is not _STP_CANCEL_OLDEST:
            self.close(taker, _REASON_SELF_TRADE)

    def _decrement(self, order: Order, quantity: int) -> None:
        """Lower an order by what it would have traded with itself; nothing left cancels it."""
        if quantity == order.remaining:
            self.cancel(order, _REASON_SELF_TRADE)
            return
        order.quantity -= quantity
        if order.level is None:
            order.remaining -= quantity
        else:
            side = order.book.bids if order.is_buy else order.book.asks
            shown = min(quantity, order.shown)
            side.reduce(order, shown, quantity - shown)
            order.remaining -= quantity
            if not order.shown:
                side.refill(order)
        self._ledger.hold(order)
        order.reason = _REASON_SELF_TRADE
        self._recorder.order(OrderAmended, order)

    def cancel(self, order: Order, reason: OrderReason) -> None:
        """End an open order, resting or not."""
        if order.level is not None:
            (order.book.bids if order.is_buy else order.book.asks).remove(order)
        self.close(order, reason)

    def close(self, order: Order, reason: OrderReason) -> None:
        """End an order that is not in the book: state the cancel, release its hold."""
        self._end(order, _CANCELED, reason, OrderCanceled)

    def expire(self, order_id: int) -> None:
        """End an open order whose timer came due."""
        order = self._state.orders[order_id]
        assert order.extras is not None, f"order {order_id} expires without a time"
        order.extras.due_ns = None
        if order.level is not None:
            (order.book.bids if order.is_buy else order.book.asks).remove(order)
            self._recorder.books[order.terms.symbol] = order.book
        self._end(order, _EXPIRED, _REASON_DAY_END if order.terms.time_in_force is _DAY else _REASON_GTD, OrderExpired)

    def _end(self, order: Order, status: OrderStatus, reason: OrderReason, kind: type) -> None:
        order.status = status
        order.reason = reason
        order.remaining = 0
        self._ledger.release(order)
        self._recorder.order(kind, order)
        self._forget(order)

    def _forget(self, order: Order) -> None:
        """Move an ended order to the remembered ones; the oldest of those makes room."""
        state = self._state
        del order.account.open_orders[order.order_id]
        if order.extras is not None:
            self._disarm(order)
        state.closed.append(order)
        if len(state.closed) > CLOSED_ORDERS_MAX:
            oldest = state.closed.popleft()
            del state.orders[oldest.order_id]
            client_order_id = oldest.terms.client_order_id
            if client_order_id is not None:
                del oldest.account.client_ids[client_order_id]

    def _disarm(self, order: Order) -> None:
        """Let nothing wait for an ended order."""
        extras = order.extras
        assert extras is not None
        if extras.due_ns is not None:
            self._state.timers.disarm(extras.due_ns, EXPIRY, order.order_id)
            extras.due_ns = None
        if extras.trigger_price is not None:
            self._watch.disarm(order)


def one_owner(taker: Order, maker: Order) -> bool:
    """Return whether the two must not trade: orders of one account, or of accounts of one group."""
    owner, other = taker.account, maker.account
    return owner is other or (owner.stp_group is not None and owner.stp_group == other.stp_group)


def affordable(taker: Order, price: int) -> int:
    """Return the lots that a market buy by quote_quantity can pay at a price, their fee included."""
    instrument = taker.book.instrument
    money = taker.terms.quote_quantity
    assert money is not None, f"order {taker.order_id} does not spend money"
    rate = min(taker.taker_rate, instrument.taker_fee)
    # notional + ceil((accrued + notional x rate) / RATE_SCALE) - fees <= money left, solved for the notional.
    most = ((money - taker.notional) * RATE_SCALE - taker.fee_accrued) // (RATE_SCALE + rate)
    return most // (price * instrument.notional_unit)


def is_spent(taker: Order) -> bool:
    """Return whether a market buy by quote_quantity is done: nothing left, or too little for a lot that it reaches."""
    assert taker.terms.quote_quantity is not None
    if taker.terms.quote_quantity == taker.notional + taker.fees:
        return True
    level = taker.book.asks.best
    return level is not None and reaches(taker, level) and not affordable(taker, level.price)


def reaches(taker: Order, level: PriceLevel) -> bool:
    """Return whether the taker's limit admits a trade at the level."""
    return level.price <= taker.price if taker.is_buy else level.price >= taker.price


def _in_queue(orders: list[Order]) -> list[Order]:
    """Return orders of one level in the order of its queue."""
    level, ids = orders[0].level, {order.order_id for order in orders}
    assert level is not None
    ordered: list[Order] = []
    order = level.head
    while order is not None and len(ordered) < len(orders):
        if order.order_id in ids:
            ordered.append(order)
        order = order.behind
    return ordered
