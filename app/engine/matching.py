"""Price-time matching of one incoming order against one book.

Makers are visited best price first, then oldest first; a trade happens at the maker's price.
The incoming order is already accepted and holds its funds. Called by orders.py only.
"""

from app.domain.enums import Liquidity, OrderReason, OrderStatus, SelfTradePrevention
from app.domain.events import Fill, OrderAmended, OrderCanceled, TradeExecuted, TradePrevented
from app.domain.instrument import RATE_SCALE
from app.engine.book import Book, BookSide
from app.engine.ledger import Ledger, trade_rates
from app.engine.recorder import Recorder
from app.engine.state import CLOSED_ORDERS_MAX, Account, Order, State

COMMAND_ORDER_OPERATIONS_MAX = 5_000
"""Resting orders that one command may touch; a larger sweep ends there and the rest is canceled."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_MAKER = Liquidity.MAKER
_TAKER = Liquidity.TAKER
_REASON_SELF_TRADE = OrderReason.SELF_TRADE
_REASON_SWEEP_LIMIT = OrderReason.SWEEP_LIMIT
_CANCELED = OrderStatus.CANCELED
_STP_CANCEL_NEWEST = SelfTradePrevention.CANCEL_NEWEST
_STP_CANCEL_OLDEST = SelfTradePrevention.CANCEL_OLDEST
_STP_DECREMENT = SelfTradePrevention.DECREMENT


class Matcher:
    """Executes trades and ends orders."""

    __slots__ = ("_ledger", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder

    def match(self, taker: Order) -> tuple[Fill, ...]:
        """Trade the order as far as its price reaches; it may end by self-trade prevention or the sweep limit."""
        book, is_buy, limit = taker.book, taker.is_buy, taker.price
        opposite = book.asks if is_buy else book.bids
        fills: list[Fill] = []
        operations = 0
        while taker.remaining:
            level = opposite.best
            if level is None or (level.price > limit if is_buy else level.price < limit):
                break
            if operations == COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                break
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {book.symbol}"
            if maker.account is taker.account:
                operations += 1
                self._prevent(taker, maker)
            else:
                before = len(fills)
                self._sweep(taker, opposite, COMMAND_ORDER_OPERATIONS_MAX - operations, fills)
                operations += len(fills) - before
        if not fills:
            return ()
        book.move_last_price(fills[-1].price)
        return tuple(fills)

    def _sweep(self, taker: Order, opposite: BookSide, operations: int, fills: list[Fill]) -> None:
        """Trade with one maker after the other until something else than a trade is next.

        The taker's money moves once, at the end: between its own trades nobody looks at it.
        """
        book, before, is_buy, limit = taker.book, taker.state, taker.is_buy, taker.price
        unit, symbol, trades = book.notional_unit, book.symbol, book.trades
        account, settle, fill = taker.account, self._ledger.settle, self._recorder.fill
        events, sequence, open_quantity = self._recorder.events, self._state.sequence, taker.remaining
        level = opposite.best
        while operations and level is not None and (level.price <= limit if is_buy else level.price >= limit):
            maker = level.head
            if maker is None or maker.account is account:
                break
            operations -= 1
            price, quantity, resting = level.price, taker.remaining, maker.remaining
            if quantity < resting:
                opposite.reduce(maker, quantity)
            else:
                quantity = resting
                opposite.remove(maker)
            maker.remaining = resting - quantity
            taker.remaining -= quantity
            book.trade_id = trade_id = book.trade_id + 1
            owner, maker_id = maker.account.account_id, maker.order_id
            trade = TradeExecuted(
                symbol, trade_id, sequence, price, quantity, before.terms.side,
                maker_id, taker.order_id, owner, account.account_id,
            )  # fmt: skip
            events.append(trade)
            trades.append(trade)
            notional = price * quantity * unit
            maker_rate, taker_rate = trade_rates(maker, taker)
            # A fee is what the whole order owes so far, rounded up, less what it was charged.
            maker.fee_accrued = accrued = maker.fee_accrued + notional * maker_rate
            fee = -(-accrued // RATE_SCALE) - maker.state.fees
            fill(maker, trade, notional, fee, _MAKER)
            settle(maker, notional, quantity, fee)
            taker.fee_accrued = accrued = taker.fee_accrued + notional * taker_rate
            fee = -(-accrued // RATE_SCALE) - taker.state.fees
            fills.append(fill(taker, trade, notional, fee, _TAKER))
            if not maker.remaining:
                self._forget(maker)
            if not taker.remaining:
                self._forget(taker)
                break
            level = opposite.best
        after = taker.state
        settle(taker, after.notional - before.notional, open_quantity - taker.remaining, after.fees - before.fees)

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
        self._ledger.hold(order)
        before = order.state
        self._recorder.order(OrderAmended, order, before.status, _REASON_SELF_TRADE, before.quantity - quantity)

    def cancel(self, order: Order, reason: OrderReason) -> None:
        """End an open order, resting or not."""
        if order.level is not None:
            (order.book.bids if order.is_buy else order.book.asks).remove(order)
        self.close(order, reason)

    def close(self, order: Order, reason: OrderReason) -> None:
        """End an order that is not in the book: state the cancel, release its hold."""
        order.remaining = 0
        self._ledger.release(order)
        self._recorder.order(OrderCanceled, order, _CANCELED, reason, order.state.quantity)
        self._forget(order)

    def _forget(self, order: Order) -> None:
        """Move an ended order to the remembered ones; the oldest of those makes room."""
        state = self._state
        del order.account.open_orders[order.order_id]
        state.closed.append(order)
        if len(state.closed) > CLOSED_ORDERS_MAX:
            oldest = state.closed.popleft()
            del state.orders[oldest.order_id]
            client_order_id = oldest.terms.client_order_id
            if client_order_id is not None:
                del oldest.account.client_ids[client_order_id]


def fillable(book: Book, account: Account, quantity: int, limit: int, *, is_buy: bool) -> bool:
    """Return whether a fill-or-kill order can be filled whole, without meeting its own account.

    Walks at most COMMAND_ORDER_OPERATIONS_MAX orders: what match could not do is not fillable.
    """
    operations = 0
    for level in (book.asks if is_buy else book.bids).best_first():
        if level.price > limit if is_buy else level.price < limit:
            return False
        order = level.head
        while order is not None:
            if order.account is account or operations == COMMAND_ORDER_OPERATIONS_MAX:
                return False
            operations += 1
            quantity -= order.remaining
            if quantity <= 0:
                return True
            order = order.behind
    return False
