"""An independent reference model of the engine: written from docs/ENGINE.md to be plainly right, not fast.

Flat lists and linear scans. Holds are worked out from the open orders, fees from the list of fills, books from the
open orders, each time anew. It shares no code with app/engine, only the vocabulary of app/domain, and states the
same events. Its parts: this one for orders, reference_checks for what refuses them, reference_listing for
administration, reference_ledger for balances, events and books.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from app.domain import commands
from app.domain.commands import AmendOrder, CancelAll, CancelOrder, Command, PlaceOrder
from app.domain.enums import (
    Liquidity,
    OrderReason,
    OrderStatus,
    OrderType,
    Priority,
    RejectReason,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.domain.events import (
    Event,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderAmendRejected,
    OrderCanceled,
    OrderCancelRejected,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    TradeExecuted,
    TradePrevented,
)
from app.domain.identity import FEE_ACCOUNT_ID
from app.domain.outcomes import Outcome
from tests.property.reference_checks import ReferenceChecks, check_form, check_numbers, in_steps
from tests.property.reference_listing import queue_place
from tests.property.reference_records import PastFill, RefAccount, RefOrder, Refused


class ReferenceModel(ReferenceChecks):
    """Commands in, events out, like the engine; `outcome` answers the last command."""

    def __init__(self, *, operations_max: int = 5_000, closed_orders_max: int = 250_000) -> None:
        super().__init__()
        self.operations_max = operations_max
        self.closed_orders_max = closed_orders_max
        self.outcome = Outcome(0, 0)
        self._handlers: dict[type, Callable[[Any], Outcome]] = {
            commands.PlaceOrder: self.place,
            commands.CancelOrder: self.cancel,
            commands.AmendOrder: self.amend,
            commands.CancelAll: self.cancel_all,
            commands.CreateAsset: self.create_asset,
            commands.CreateInstrument: self.create_instrument,
            commands.UpdateInstrument: self.update_instrument,
            commands.CreateAccount: self.create_account,
            commands.UpdateAccount: self.update_account,
            commands.Deposit: self.transfer,
            commands.Withdraw: self.transfer,
            commands.SetLimits: self.set_limits,
            commands.StartEpoch: self.start_epoch,
        }

    def begin(self, timestamp_ns: int) -> None:
        """Open a batch."""
        self.timestamp_ns = max(self.timestamp_ns, timestamp_ns)

    def apply(self, command: Command) -> list[Event]:
        """Execute one command; returns its events."""
        self.sequence += 1
        self.events, self.fills = [], []
        try:
            outcome = self._handlers[type(command)](command)
        except Refused as refused:
            if refused.stated:
                self._state_refusal(command, refused)
            outcome = Outcome(0, 0, refused.rejection)
        self.outcome = self.answer(outcome)
        return self.events

    def _state_refusal(self, command: Command, refused: Refused) -> None:
        seq, rejection = self.sequence, refused.rejection
        if isinstance(command, PlaceOrder):
            self.say(OrderRejected(self.next_seq(command.account_id), seq, command, rejection))
        elif isinstance(command, CancelOrder):
            account_id, ids = command.account_id, (command.order_id, command.client_order_id)
            self.say(OrderCancelRejected(self.next_seq(account_id), seq, account_id, *ids, rejection))
        elif isinstance(command, AmendOrder):
            account_id = command.account_id
            self.say(OrderAmendRejected(self.next_seq(account_id), seq, account_id, command.order_id, rejection))

    # ---- place ---------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder) -> Outcome:
        """Idempotency first, then every check in order, then hold, match and rest."""
        account = self._account(terms.account_id)
        known = self._by_client_id(terms.account_id, terms.client_order_id)
        if known is not None:
            if msgspec.structs.replace(terms, session_id=None) != msgspec.structs.replace(known.terms, session_id=None):
                raise Refused(RejectReason.CLIENT_ORDER_ID_REUSED, "client_order_id", stated=False)
            return Outcome(0, 0, order=known.state(), book=self.top(known.terms.symbol), duplicate=True)
        instrument = self.instruments.get(terms.symbol)
        if instrument is None:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol", stated=False)
        self.check_status(instrument, account, terms)
        check_form(terms, instrument)
        price = self.working_price(terms, instrument, terms.price)
        check_numbers(instrument, price, terms.quantity)
        order = RefOrder(self.last_order_id + 1, terms, instrument, price, terms.quantity, self.timestamp_ns)
        self.check_sums(order)
        self.check_band(terms.symbol, price)
        count = sum(1 for o in self.open if o.terms.account_id == terms.account_id)
        if self.open_orders_max is not None and count + 1 > self.open_orders_max:
            raise Refused(RejectReason.OPEN_ORDER_LIMIT, limit=self.open_orders_max, actual=count + 1, unit="count")
        if terms.time_in_force is TimeInForce.FOK and not self._fillable(order):
            raise Refused(RejectReason.FOK_NOT_FILLABLE)
        self.check_available(order, order.hold)
        self.last_order_id += 1
        self.open.append(order)
        self.mention(terms.account_id, order.hold_asset)
        self._advance(order, OrderAccepted)
        self._match(order)
        if order in self.open:
            self._rest(order)
        return self._answer_order(order)

    def _account(self, account_id: int) -> RefAccount:
        account = self.accounts.get(account_id)
        if account is None:
            raise Refused(RejectReason.NOT_FOUND, stated=False)
        return account

    def _by_client_id(self, account_id: int, client_order_id: str | None) -> RefOrder | None:
        if client_order_id is None:
            return None
        for order in self.open + self.closed:
            if (order.terms.account_id, order.terms.client_order_id) == (account_id, client_order_id):
                return order
        return None

    def _fillable(self, order: RefOrder) -> bool:
        wanted = order.quantity
        for maker in self._reachable(order)[: self.operations_max]:
            if maker.terms.account_id == order.terms.account_id:
                return False
            wanted -= maker.remaining
            if wanted <= 0:
                return True
        return False

    def _rest(self, order: RefOrder) -> None:
        terms = order.terms
        if terms.type is OrderType.MARKET:
            opposite = Side.SELL if order.is_buy else Side.BUY
            empty = self.best(terms.symbol, opposite) == (0, 0)
            self.end(order, OrderReason.NO_LIQUIDITY if empty else OrderReason.SLIPPAGE_CAP)
        elif terms.time_in_force is TimeInForce.IOC:
            self.end(order, OrderReason.IOC_REMAINDER)
        else:
            self._join(order)

    def _join(self, order: RefOrder) -> None:
        self.arrivals += 1
        order.arrival = self.arrivals

    # ---- match ---------------------------------------------------------------------------------

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

    def _match(self, taker: RefOrder) -> None:
        met = 0
        while taker in self.open and (makers := self._reachable(taker)):
            if met == self.operations_max:
                self.end(taker, OrderReason.SWEEP_LIMIT)
                return
            met += 1
            if makers[0].terms.account_id == taker.terms.account_id:
                self._prevent(taker, makers[0])
            else:
                self._trade(taker, makers[0])

    def _trade(self, taker: RefOrder, maker: RefOrder) -> None:
        symbol, instrument = taker.terms.symbol, self.instruments[taker.terms.symbol]
        quantity, price = min(taker.remaining, maker.remaining), maker.price
        notional = quantity * price * instrument.notional_unit
        number = self.trade_ids[symbol] = self.trade_ids.get(symbol, 0) + 1
        self.last_prices[symbol] = price
        ids = maker.order_id, taker.order_id, maker.terms.account_id, taker.terms.account_id
        self.say(TradeExecuted(symbol, number, self.sequence, price, quantity, taker.terms.side, *ids))
        taker_rate = min(taker.instrument.taker_fee, instrument.taker_fee)
        # A rebate is paid out of this trade's taker fee, and never exceeds it.
        maker_rate = max(min(maker.instrument.maker_fee, instrument.maker_fee), -taker_rate)
        sides = (maker, Liquidity.MAKER, maker_rate), (taker, Liquidity.TAKER, taker_rate)
        for order, liquidity, rate in sides:
            before = order.fees
            order.fills.append(PastFill(notional, quantity, rate))
            fee = order.fees - before
            owner, direction = order.terms.account_id, 1 if order.is_buy else -1
            self.move(owner, instrument.quote, -direction * notional - fee)
            self.move(owner, instrument.base, direction * quantity * instrument.lot_units)
            if fee:
                self.move(FEE_ACCOUNT_ID, instrument.quote, fee)
            done = order.remaining == 0
            order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
            order.reason = None
            self._advance(
                order, OrderFilled if done else OrderPartiallyFilled, (number, price, quantity, fee, liquidity)
            )
        for order in (maker, taker):
            if order.remaining == 0:
                self._close(order)

    def _prevent(self, taker: RefOrder, maker: RefOrder) -> None:
        mode, account_id = taker.terms.stp, taker.terms.account_id
        quantity = min(taker.remaining, maker.remaining)
        ids = taker.order_id, maker.order_id, maker.price, quantity
        self.say(TradePrevented(self.next_seq(account_id), self.sequence, account_id, taker.terms.symbol, *ids, mode))
        if mode is SelfTradePrevention.DECREMENT:
            for order in (maker, taker):
                if order.remaining == quantity:
                    self.end(order, OrderReason.SELF_TRADE)
                else:
                    order.quantity -= quantity
                    order.reason = OrderReason.SELF_TRADE
                    self.mention(account_id, order.hold_asset)
                    self._advance(order, OrderAmended)
            return
        if mode in (SelfTradePrevention.CANCEL_OLDEST, SelfTradePrevention.CANCEL_BOTH):
            self.end(maker, OrderReason.SELF_TRADE)
        if mode in (SelfTradePrevention.CANCEL_NEWEST, SelfTradePrevention.CANCEL_BOTH):
            self.end(taker, OrderReason.SELF_TRADE)

    # ---- cancel and amend ----------------------------------------------------------------------

    def cancel(self, command: CancelOrder) -> Outcome:
        """Cancel one order by either id."""
        self._account(command.account_id)
        if command.order_id is None:
            order = self._by_client_id(command.account_id, command.client_order_id)
        else:
            order = self._by_id(command.order_id)
        order = self._open_order(order, command)
        self.end(order, OrderReason.USER)
        return self._answer_order(order)

    def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all that match, oldest first."""
        self._account(command.account_id)
        chosen = [
            o
            for o in self.open
            if o.terms.account_id == command.account_id
            and command.symbol in (None, o.terms.symbol)
            and command.side in (None, o.terms.side)
            and command.label in (None, o.terms.label)
        ]
        for order in chosen:
            self.end(order, OrderReason.CANCEL_ALL)
        return Outcome(0, 0, orders=tuple(order.state() for order in chosen))

    def _by_id(self, order_id: int) -> RefOrder | None:
        return next((o for o in self.open + self.closed if o.order_id == order_id), None)

    def _open_order(self, order: RefOrder | None, command: CancelOrder | AmendOrder) -> RefOrder:
        if order is None or order.terms.account_id != command.account_id:
            raise Refused(RejectReason.UNKNOWN_ORDER)
        if command.symbols is not None and order.terms.symbol not in command.symbols:
            raise Refused(RejectReason.UNKNOWN_ORDER)
        if order not in self.open:
            raise Refused(RejectReason.ORDER_NOT_OPEN)
        return order

    def amend(self, command: AmendOrder) -> Outcome:
        """Change price or total quantity; same price and not larger keeps the place in the queue."""
        self._account(command.account_id)
        order = self._open_order(self._by_id(command.order_id), command)
        version, expected = order.version, command.if_version
        if expected is not None and expected != version:
            raise Refused(RejectReason.VERSION_CONFLICT, "if_version", limit=version, actual=expected, unit="count")
        price = in_steps(command.price, command.price_scale, order.instrument.tick_size, order.price)
        if price is None:
            raise Refused(RejectReason.INVALID_PRICE_TICK, "price")
        quantity = in_steps(command.quantity, command.quantity_scale, order.instrument.lot_size, order.quantity)
        if quantity is None:
            raise Refused(RejectReason.INVALID_QUANTITY_LOT, "quantity")
        if quantity <= order.filled:
            self.end(order, OrderReason.USER)
            return self._answer_order(order, Priority.LOST)
        return self._amend_to(order, price, quantity)

    def _amend_to(self, order: RefOrder, price: int, quantity: int) -> Outcome:
        terms, instrument = order.terms, self.instruments[order.terms.symbol]
        if price != order.price or quantity > order.quantity:
            self.check_status(instrument, self.accounts[terms.account_id], terms)
            price = self.working_price(terms, instrument, price)
        keeps = price == order.price and quantity <= order.quantity
        if keeps and quantity == order.quantity:
            return self._answer_order(order, Priority.KEPT)
        check_numbers(instrument, price, quantity)
        wished = RefOrder(order.order_id, terms, order.instrument, price, quantity, 0, fills=order.fills)
        if not keeps:
            self.check_sums(wished)
            self.check_band(terms.symbol, price)
            self.check_available(wished, wished.hold - order.hold)
        order.price, order.quantity, order.reason = price, quantity, None
        self.mention(terms.account_id, order.hold_asset)
        self._advance(order, OrderAmended)
        if keeps:
            return self._answer_order(order, Priority.KEPT)
        order.arrival = None
        self._match(order)
        if order in self.open:
            self._join(order)
        return self._answer_order(order, Priority.LOST)

    # ---- endings and answers -------------------------------------------------------------------

    def end(self, order: RefOrder, reason: OrderReason) -> None:
        """Cancel what is open of an order."""
        order.status, order.reason = OrderStatus.CANCELED, reason
        self.mention(order.terms.account_id, order.hold_asset)
        self._advance(order, OrderCanceled)
        self._close(order)

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
            self.fills.append(stated)

    def _answer_order(self, order: RefOrder, priority: Priority | None = None) -> Outcome:
        return Outcome(
            0, 0, order=order.state(), fills=tuple(self.fills), book=self.top(order.terms.symbol), priority=priority
        )
