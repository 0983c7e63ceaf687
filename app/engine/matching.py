"""Price-time matching of one incoming order against one book.

Makers are visited best price first, then oldest first; a trade happens at the maker's price.
The incoming order is already accepted and holds its funds. Called by orders.py only.
"""

from collections import deque
from collections.abc import Iterator

from app.domain.enums import Liquidity, OrderReason, OrderStatus, SelfTradePrevention, TimeInForce
from app.domain.events import OrderAmended, OrderCanceled, OrderExpired, TradeExecuted, TradePrevented
from app.domain.instrument import RATE_SCALE
from app.engine.book import Book, PriceLevel
from app.engine.ledger import Ledger, trade_rates
from app.engine.recorder import Recorder
from app.engine.state import CLOSED_ORDERS_MAX, Order, State
from app.engine.timers import EXPIRY
from app.engine.trigger_watch import TriggerWatch

COMMAND_ORDER_OPERATIONS_MAX = 5_000
"""Resting orders that one command may touch; a larger sweep ends there and the rest is canceled."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_MAKER = Liquidity.MAKER
_TAKER = Liquidity.TAKER
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

    __slots__ = ("_ledger", "_recorder", "_state", "_watch", "met")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder, watch: TriggerWatch) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder
        self._watch = watch
        self.met = 0
        """Resting orders that the command has met so far."""

    def match(self, taker: Order) -> None:
        """Trade the order as far as its price reaches; it may end by self-trade prevention or the sweep limit."""
        opposite = taker.book.asks if taker.is_buy else taker.book.bids
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
            else:
                shown = maker.remaining if maker.extras is None else maker.shown
                self._trade(taker, maker, min(taker.remaining, shown))
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
            taker.remaining = min(lots, maker.shown)
            taker.quantity += taker.remaining
            self._trade(taker, maker, taker.remaining)

    def _trade(self, taker: Order, maker: Order, quantity: int) -> None:
        book = taker.book
        price = maker.price
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
            side.reduce(order, min(quantity, order.shown))
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


def fillable(book: Book, taker: Order) -> bool:
    """Return whether a fill-or-kill order can be filled whole, without meeting its own account.

    Walks at most COMMAND_ORDER_OPERATIONS_MAX orders: what match could not do is not fillable.
    """
    opposite = book.asks if taker.is_buy else book.bids
    wanted = taker.remaining
    operations = 0
    for level in opposite.best_first():
        if not reaches(taker, level):
            return False
        for order, lots in _meetings(level):
            if operations >= COMMAND_ORDER_OPERATIONS_MAX or one_owner(taker, order):
                return False
            operations += 1
            wanted -= lots
            if wanted <= 0:
                return True
    return False


def _meetings(level: PriceLevel) -> Iterator[tuple[Order, int]]:
    """Yield the orders of a level with the lots they show, as a sweep meets them: icebergs again, behind all others."""
    again: deque[tuple[Order, int]] = deque()
    order = level.head
    while order is not None:
        shown = order.shown
        yield order, shown
        if shown < order.remaining:
            again.append((order, order.remaining - shown))
        order = order.behind
    while again:
        order, hidden = again.popleft()
        assert order.extras is not None
        assert order.extras.display_quantity is not None
        shown = min(order.extras.display_quantity, hidden)
        yield order, shown
        if shown < hidden:
            again.append((order, hidden - shown))
