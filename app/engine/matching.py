"""Price-time matching of one incoming order against one book.

Makers are visited best price first, then oldest first; a trade happens at the maker's price.
The incoming order is already accepted and holds its funds. Called by orders.py only.
"""

from app.domain.enums import Liquidity, OrderReason, OrderStatus, SelfTradePrevention, TimeInForce
from app.domain.events import OrderAmended, OrderCanceled, OrderExpired, TradeExecuted, TradePrevented
from app.engine.book import Book, PriceLevel
from app.engine.ledger import Ledger, trade_rates
from app.engine.recorder import Recorder
from app.engine.state import CLOSED_ORDERS_MAX, Order, State
from app.engine.timers import EXPIRY

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
_STP_CANCEL_NEWEST = SelfTradePrevention.CANCEL_NEWEST
_STP_CANCEL_OLDEST = SelfTradePrevention.CANCEL_OLDEST
_STP_DECREMENT = SelfTradePrevention.DECREMENT
_DAY = TimeInForce.DAY


class Matcher:
    """Executes trades and ends orders."""

    __slots__ = ("_ledger", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder

    def match(self, taker: Order) -> None:
        """Trade the order as far as its price reaches; it may end by self-trade prevention or the sweep limit."""
        opposite = taker.book.asks if taker.is_buy else taker.book.bids
        operations = 0
        while taker.remaining:
            level = opposite.best
            if level is None or not reaches(taker, level):
                return
            if operations == COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                return
            operations += 1
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {taker.book.instrument.symbol}"
            if maker.account is taker.account:
                self._prevent(taker, maker)
            else:
                self._trade(taker, maker)

    def _trade(self, taker: Order, maker: Order) -> None:
        book = taker.book
        quantity = min(taker.remaining, maker.remaining)
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
        ledger = self._ledger
        maker_rate, taker_rate = trade_rates(maker, taker)
        fee = ledger.settle(maker, notional, quantity, maker_rate)
        self._recorder.fill(maker, trade, fee, _MAKER)
        fee = ledger.settle(taker, notional, quantity, taker_rate)
        self._recorder.fill(taker, trade, fee, _TAKER)
        if not maker.remaining:
            self._forget(maker)
        if not taker.remaining:
            self._forget(taker)

    def _apply(self, order: Order, quantity: int) -> None:
        order.filled += quantity
        order.remaining -= quantity
        order.status = _PARTIALLY_FILLED if order.remaining else _FILLED

    def _prevent(self, taker: Order, maker: Order) -> None:
        mode = taker.terms.stp
        quantity = min(taker.remaining, maker.remaining)
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
        if order.level is not None:
            (order.book.bids if order.is_buy else order.book.asks).reduce(order, quantity)
        order.remaining -= quantity
        order.quantity -= quantity
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
        extras = order.extras
        if extras is not None and extras.due_ns is not None:
            state.timers.disarm(extras.due_ns, EXPIRY, order.order_id)
            extras.due_ns = None
        state.closed.append(order)
        if len(state.closed) > CLOSED_ORDERS_MAX:
            oldest = state.closed.popleft()
            del state.orders[oldest.order_id]
            client_order_id = oldest.terms.client_order_id
            if client_order_id is not None:
                del oldest.account.client_ids[client_order_id]


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
        order = level.head
        while order is not None:
            if order.account is taker.account or operations == COMMAND_ORDER_OPERATIONS_MAX:
                return False
            operations += 1
            wanted -= order.remaining
            if wanted <= 0:
                return True
            order = order.behind
    return False
