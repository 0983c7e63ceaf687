"""Price-time matching of one incoming order against one book.

Makers are visited best price first, then oldest first; a trade happens at the maker's price.
The incoming order is already accepted and holds its funds. Called by whoever brings orders to a book or ends them.
"""

import msgspec

from app.domain.enums import InstrumentStatus, Liquidity, OrderReason, OrderStatus, SelfTradePrevention, TimeInForce
from app.domain.events import OrderAmended, OrderCanceled, OrderExpired, TradeExecuted, TradePrevented
from app.domain.instrument import RATE_SCALE
from app.engine.book import BookSide
from app.engine.ledger import Ledger, trade_rates
from app.engine.limits import Trip, counts_of
from app.engine.links import Links
from app.engine.owner import crossed_of_owner, one_owner
from app.engine.phases import Phases
from app.engine.recorder import Recorder
from app.engine.spending import affordable, is_spent
from app.engine.state import CLOSED_ORDERS_MAX, Account, Order, State
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
_ENDED = (_FILLED, _CANCELED)
_STP_CANCEL_NEWEST = SelfTradePrevention.CANCEL_NEWEST
_STP_CANCEL_OLDEST = SelfTradePrevention.CANCEL_OLDEST
_STP_DECREMENT = SelfTradePrevention.DECREMENT
_DAY = TimeInForce.DAY


class Matcher:
    """Executes trades and ends orders."""

    __slots__ = ("_ledger", "_phases", "_recorder", "_state", "_watch", "links", "met")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder, watch: TriggerWatch, phases: Phases) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder
        self._watch = watch
        self._phases = phases
        self.links = Links(state, ledger, recorder, self.cancel)
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
        is_buy, limit = taker.is_buy, taker.price
        opposite = book.asks if is_buy else book.bids
        while taker.remaining:
            level = opposite.best
            if level is None or (level.price > limit if is_buy else level.price < limit):
                break
            if self.met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                break
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {book.symbol}"
            if one_owner(taker, maker):
                self.met += 1
                self._prevent(taker, maker, min(taker.remaining, maker.remaining))
            elif book.trail is not None:
                self.met += 1
                if self._trips(taker, level.price):
                    break
                self._trade(taker, maker, min(taker.remaining, maker.shown), level.price)
            elif maker.extras is not None:
                self.met += 1
                self._trade(taker, maker, min(taker.remaining, maker.shown), level.price)
            else:
                if taker.extras is not None and taker.extras.link is not None:
                    self.links.before_print(taker)
                met = self.met
                self._sweep(taker, opposite)
                # Two modules that disagree about who trades with whom must not go round for ever.
                assert self.met > met, f"order {taker.order_id} meets order {maker.order_id} and nothing happens"

    def _sweep(self, taker: Order, opposite: BookSide) -> None:
        """Trade with one plain maker after the other until something else than a trade is next.

        The taker's money moves once, at the end: between its own trades nobody looks at it.
        """
        book, before, is_buy, limit = taker.book, taker.state, taker.is_buy, taker.price
        unit, symbol, trades, triggers = book.notional_unit, book.symbol, book.trades, book.triggers
        account, settle, fill = taker.account, self._ledger.settle, self._recorder.fill
        group = account.stp_group
        events, fills, sequence = self._recorder.events, self._recorder.fills, self._state.sequence
        operations, open_quantity, price = COMMAND_ORDER_OPERATIONS_MAX - self.met, taker.remaining, limit
        level = opposite.best
        while operations and level is not None and (level.price <= limit if is_buy else level.price >= limit):
            maker = level.head
            if maker is None or maker.extras is not None or maker.account is account:
                break
            if group is not None and maker.account.stp_group == group:
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
            if triggers is not None:
                self._watch.printed(book, price)
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
        # Limits that changed since are resolved anew: a fired order did not pass the checks that do it.
        if account.gate is None or account.gate.is_counted or account.gate.version != self._state.limits_version:
            self._count_executions(account, COMMAND_ORDER_OPERATIONS_MAX - operations - self.met)
        self.met = COMMAND_ORDER_OPERATIONS_MAX - operations
        book.move_last_price(price)
        after = taker.state
        settle(taker, after.notional - before.notional, open_quantity - taker.remaining, after.fees - before.fees)

    def spend(self, taker: Order) -> None:
        """Trade a market buy by quote_quantity: at each price as many lots as its money still buys."""
        asks = taker.book.asks
        while taker.status not in _ENDED:
            level = asks.best
            if level is None or not taker.reaches(level.price):
                break
            if self.met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(taker, _REASON_SWEEP_LIMIT)
                break
            maker = level.head
            assert maker is not None, f"empty level {level.price} in {taker.book.symbol}"
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
            bought = taker.quantity + taker.remaining
            taker.state = msgspec.structs.replace(taker.state, quantity=bought)
            taker.position.add(taker, taker.remaining)
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
        for other in crossed_of_owner(order, self._state):
            if not order.remaining:
                return
            # What ended one may have ended another.
            if other.level is None:
                continue
            if self.met >= COMMAND_ORDER_OPERATIONS_MAX:
                self.close(order, _REASON_SWEEP_LIMIT)
                return
            self.met += 1
            self._prevent(order, other, min(order.remaining, other.remaining))

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
        """Print one trade of any two orders."""
        book, recorder, ledger = taker.book, self._recorder, self._ledger
        for order in (maker, taker):
            if order.extras is not None and order.extras.link is not None:
                self.links.before_print(order)
        notional = price * quantity * book.notional_unit
        side = book.bids if maker.is_buy else book.asks
        if quantity == maker.remaining:
            side.remove(maker)
        else:
            side.reduce(maker, quantity)
        maker.remaining -= quantity
        taker.remaining -= quantity
        book.trade_id += 1
        book.move_last_price(price)
        trade = TradeExecuted(
            book.symbol,
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
        recorder.trade(book, trade)
        if book.trail is not None:
            book.trail.record(price, self._state.timestamp_ns)
        if book.triggers is not None:
            self._watch.printed(book, price)
        maker_rate, taker_rate = trade_rates(maker, taker)
        fee = charge(maker, notional, maker_rate)
        recorder.fill(maker, trade, notional, fee, _MAKER)
        ledger.settle(maker, notional, quantity, fee)
        fee = charge(taker, notional, taker_rate)
        goes_on = taker.terms.quote_quantity is not None and not is_spent(taker, notional, fee)
        recorder.fills.append(recorder.fill(taker, trade, notional, fee, _TAKER, goes_on=goes_on))
        ledger.settle(taker, notional, quantity, fee)
        self._count_executions(taker.account, 1)
        if not maker.remaining:
            self._forget(maker)
        elif maker.extras is not None and not maker.shown:
            side.refill(maker)
        if not taker.remaining and not goes_on:
            ledger.release(taker)
            self._forget(taker)

    def _count_executions(self, account: Account, prints: int) -> None:
        """Count prints that an account took; too many in one second throttle it from the next command on."""
        counts = counts_of(self._state, account)
        if counts is None:
            return
        assert account.gate is not None
        limit, before = account.gate.execution_rate, counts.executions
        counts.executions = before + prints
        if counts.executions > limit and account.trip is None:
            account.trip = Trip(limit, max(limit, before) + 1)
            account.look_at_restraints()
            self._recorder.tripped.append(account)

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
        before = order.state
        self._recorder.order(OrderAmended, order, before.status, _REASON_SELF_TRADE, before.quantity - quantity)

    def cancel(self, order: Order, reason: OrderReason) -> None:
        """End an open order, resting or not."""
        if order.level is not None:
            (order.book.bids if order.is_buy else order.book.asks).remove(order)
        self._end(order, _CANCELED, reason, OrderCanceled)

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

    def _end(
        self, order: Order, status: OrderStatus, reason: OrderReason, kind: type[OrderCanceled | OrderExpired]
    ) -> None:
        order.remaining = 0
        self._ledger.release(order)
        self._recorder.order(kind, order, status, reason, order.state.quantity)
        self._forget(order)
        if order.extras is not None and order.extras.link is not None:
            self.links.after_end(order)

    def _forget(self, order: Order) -> None:
        """Move an ended order to the remembered ones; the oldest of those makes room."""
        state = self._state
        del order.account.open_orders[order.order_id]
        order.position.open_orders -= 1
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
        if extras.trigger_price is not None or extras.link is not None:
            self._watch.disarm(order)


def charge(order: Order, notional: int, rate: int) -> int:
    """Return the fee of a trade: what the whole order owes so far, rounded up, less what it was charged."""
    order.fee_accrued += notional * rate
    return -(-order.fee_accrued // RATE_SCALE) - order.state.fees
