"""Place and cancel: from a command to a changed book, or to a refusal that changes nothing.

Each method returns the outcome of its command; events go to the recorder on the way.
"""

import msgspec
from msgspec.structs import force_setattr

from app.domain.commands import CancelOrder, PlaceOrder
from app.domain.enums import OrderReason, OrderStatus, OrderType, RejectReason, Side, TimeInForce
from app.domain.events import OrderCancelRejected, OrderRejected, OrderState, Rejection
from app.domain.instrument import RATE_SCALE
from app.domain.outcomes import Outcome
from app.engine import controls, forms, risk
from app.engine.admission import admits_plainly
from app.engine.book import Book, Rates
from app.engine.desk import Desk, Parts, insufficient
from app.engine.fee_tiers import captured
from app.engine.limits import counts_of, gate_of
from app.engine.positions import Position
from app.engine.recorder import refuse
from app.engine.rehearsal import fillable
from app.engine.state import Account, Order
from app.engine.timers import EXPIRY

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_IOC_REMAINDER = OrderReason.IOC_REMAINDER
_REASON_USER = OrderReason.USER
_OPEN = OrderStatus.OPEN
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_LIMIT = OrderType.LIMIT
_MARKET = OrderType.MARKET
_AT_WORK = (_LIMIT, _MARKET)
"""Types that wait for no price."""
BANDED_TYPES = (_LIMIT, _MARKET, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
"""Types whose price must lie in the band; caps of the others start from a trigger."""
_BUY = Side.BUY
_FOK = TimeInForce.FOK
_GTC = TimeInForce.GTC
_ENDS_BY_TIME = (TimeInForce.GTD, TimeInForce.DAY)


class OrderDesk(Desk):
    """Executes the order commands."""

    __slots__ = ("_accounts", "_books", "_orders")

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._accounts = parts.state.accounts
        self._books = parts.state.books
        self._orders = parts.state.orders

    # ---- place -------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder) -> Outcome:
        """Place an order: check, hold, match, rest."""
        # A subscript costs half of what `get` does, and nearly always finds what it looks for.
        try:
            account = self._accounts[terms.account_id]
        except KeyError:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        client_order_id = terms.client_order_id
        if client_order_id is not None:
            known = account.client_ids.get(client_order_id)
            if known is not None:
                return self._repeated(known, terms)
        try:
            book = self._books[terms.symbol]
        except KeyError:
            return self._outcome(rejection=refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol"))
        position = admits_plainly(terms, account, book, self._state)
        if position is not None:
            return self._place_plain(terms, position)
        order = self.admit(terms, account, book)
        if isinstance(order, Rejection):
            return self.reject(terms, account, order)
        missing = self._ledger.hold(order)
        if missing:
            return self.reject(terms, account, self.insufficient(order, missing))
        self.enlist(order)
        self.accept(order)
        if order.status is _UNTRIGGERED:
            self._watch.arm(order)
        else:
            self._execute(order)
        return self._recorder.answer(order)

    def _place_plain(self, terms: PlaceOrder, position: Position) -> Outcome:
        """Hold what a plain order needs that passed every other check, then match and rest it.

        What place does in parts for every kind of order, written out for the one that nearly all are.
        """
        state, price, quantity, is_buy = self._state, terms.price, terms.quantity, terms.side is _BUY
        assert price is not None, "only orders with a price are plain"
        account, book = position.account, position.book
        gate = account.gate
        assert gate is not None, "its limits were looked at"
        counts = account.counts if gate.is_counted else None
        rates = captured(position, state.day) if book.tiers else book.rates
        notional = price * quantity * book.notional_unit
        if is_buy:
            balance, own, opposite = position.quote, book.bids, book.asks
            # As Ledger.required_hold has it, for an order that did not trade yet.
            required = notional - (-notional * rates.highest // RATE_SCALE)
        else:
            balance, own, opposite = position.base, book.asks, book.bids
            required = quantity * book.lot_units
        if required > balance.available:
            if counts is not None:
                counts.message(book.symbol, gate)
            return self.reject(terms, account, insufficient(balance, required))
        order_id, now = state.last_order_id + 1, state.timestamp_ns
        state.last_order_id = order_id
        shown = OrderState(
            order_id, terms, _OPEN, 1, price, quantity, 0, 0, 0, None, now, now, state.sequence
        )  # fmt: skip
        order = Order(shown, position, rates)
        self._ledger.open(order, balance, required)
        self._orders[order_id] = account.open_orders[order_id] = order
        # As Position.enter has it.
        position.open_orders += 1
        position.turnover.open_notional += notional
        if is_buy:
            position.buying += quantity
        else:
            position.selling += quantity
        if counts is not None:
            counts.take(terms, book.symbol, gate, state)
        if terms.client_order_id is not None:
            account.client_ids[terms.client_order_id] = order
        recorder = self._recorder
        recorder.accepted(account, shown)
        best = opposite.best
        if best is not None and (best.price <= price if is_buy else best.price >= price):
            self._matcher.match(order)
        if order.remaining:
            if terms.time_in_force is _GTC:
                own.add(order)
                # A resting order keeps its command, of which every decoding makes new copies: 80 bytes.
                force_setattr(terms, "symbol", book.symbol)
                force_setattr(terms, "account_id", account.account_id)
            else:
                self._matcher.close(order, _REASON_IOC_REMAINDER)
        return recorder.answer(order)

    def admit(self, terms: PlaceOrder, account: Account, book: Book, together: int = 1) -> Order | Rejection:
        """Run every check but the last one, whether the account can pay; returns the order as it would be accepted.

        `together` is how many orders the limits of open orders count for it.
        """
        price, rejection = self._check(terms, account, book, together)
        if rejection is not None:
            return rejection
        order = self._draft(terms, account, book, price)
        if order.extras is None and terms.time_in_force is _FOK and not fillable(book, order, self._state.timestamp_ns):
            return refuse(RejectReason.FOK_NOT_FILLABLE)
        return order

    def _draft(self, terms: PlaceOrder, account: Account, book: Book, price: int) -> Order:
        """Return an order as it would be accepted next."""
        state = self._state
        order_id, now = state.last_order_id + 1, state.timestamp_ns
        shown = OrderState(
            order_id, terms, _OPEN, 1, price, terms.quantity, 0, 0, 0, None, now, now, state.sequence
        )  # fmt: skip
        position = account.position(book)
        order = Order(shown, position, self._rates(position))
        if is_special(terms):
            self._specialize(order)
        return order

    def _specialize(self, order: Order) -> None:
        """Give an order that waits, shows less or spends money what it needs besides its terms."""
        terms = order.terms
        extras = order.extra()
        extras.display_quantity = terms.display_quantity
        status = order.state.status
        if terms.type not in _AT_WORK:
            status = _UNTRIGGERED
            extras.trigger_price, extras.watermark = risk.first_trigger(terms, order.book)
            extras.slippage = risk.slippage_of(order.book, terms)
        order.state = msgspec.structs.replace(
            order.state,
            status=status,
            display_quantity=extras.display_quantity,
            trigger_price=extras.trigger_price,
        )

    def enlist(self, order: Order) -> None:
        """Make an order that passed every check known under its ids: it counts from now on."""
        state, terms, account = self._state, order.terms, order.account
        state.last_order_id = order.order_id
        state.orders[order.order_id] = order
        account.open_orders[order.order_id] = order
        order.position.enter(order)
        if terms.client_order_id is not None:
            account.client_ids[terms.client_order_id] = order

    def strike(self, order: Order) -> None:
        """Forget the newest order, which was enlisted and not accepted, as if it had never been."""
        state, account = self._state, order.account
        assert order.order_id == state.last_order_id, f"order {order.order_id} is not the newest"
        self._ledger.release(order)
        state.last_order_id -= 1
        del state.orders[order.order_id]
        del account.open_orders[order.order_id]
        order.position.withdraw(order)
        if order.terms.client_order_id is not None:
            del account.client_ids[order.terms.client_order_id]

    def accept(self, order: Order) -> None:
        """State an order that is enlisted, and let it end by time if it does."""
        if order.terms.time_in_force in _ENDS_BY_TIME:
            self._end_by_time(order)
        counts = counts_of(self._state, order.account)
        if counts is not None:
            counts.accept(order.terms, gate_of(self._state, order.account), self._state)
        self._recorder.accepted(order.account, order.state)

    def _rates(self, position: Position) -> Rates:
        """Return the fee rates that an order captures now."""
        return captured(position, self._state.day) if position.book.tiers else position.book.rates

    def _end_by_time(self, order: Order) -> None:
        """Arm the timer of a gtd or day order."""
        due = forms.end_of(order.terms, order.book.instrument, order.state.created_ns)
        assert due is not None, "check_form admits a gtd order only with its end"
        order.extra().due_ns = due
        self._state.timers.arm(due, EXPIRY, order.order_id)

    def _repeated(self, known: Order, terms: PlaceOrder) -> Outcome:
        """Answer a client_order_id seen before: the order as it is now, or a refusal if the body differs."""
        if not is_same(terms, known.terms):
            return self._outcome(rejection=refuse(RejectReason.CLIENT_ORDER_ID_REUSED, field="client_order_id"))
        return self._outcome(order=known.snapshot(), book=self._recorder.top(known.book), duplicate=True)

    def _check(self, terms: PlaceOrder, account: Account, book: Book, together: int) -> tuple[int, Rejection | None]:
        """Run the checks in order; returns the price to hold and trade at."""
        state, instrument = self._state, book.instrument
        rejection = self._check_entry(terms, account, book, terms.quantity)
        if rejection is None:
            rejection = controls.check_duplicate(state, account, book, terms)
        if rejection is None:
            rejection = forms.check_form(terms, book, state.timestamp_ns)
        if rejection is not None:
            return 0, rejection
        price, rejection = self._price(terms, book)
        if rejection is None:
            if terms.quote_quantity is None:
                rejection = risk.check_numbers(instrument, price, terms.quantity)
            else:
                rejection = risk.check_money(book, terms.quote_quantity, self._rates(account.position(book)).taker)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, terms.quantity)
        if rejection is None and instrument.price_band is not None and terms.type in BANDED_TYPES:
            rejection = risk.check_band(book, price)
        if rejection is None:
            is_buy = terms.side is _BUY
            attempt = controls.Attempt(account, book, terms, is_buy, price, terms.quantity, together=together)
            rejection = controls.check_open_orders(state, attempt) or controls.check_exposure(state, attempt)
        return price, rejection

    def _price(self, terms: PlaceOrder, book: Book) -> tuple[int, Rejection | None]:
        """Return the order's limit: its own price, its cap, or the repriced post-only price."""
        price = terms.price
        if price is not None:
            if terms.post_only is not None and terms.type is _LIMIT:
                return self._post_only_price(book, terms, price)
            return price, None
        if terms.type is _MARKET:
            best = book.opposite(terms.side).best
            start = None if best is None else best.price
        else:
            start, _ = risk.first_trigger(terms, book)
        if start is None:
            return 0, refuse(RejectReason.NO_LIQUIDITY)
        return risk.cap_price(book, terms, start, is_buy=terms.side is _BUY), None

    def reject(self, terms: PlaceOrder, account: Account, rejection: Rejection) -> Outcome:
        """State why an order was refused."""
        self._count_rejection(account)
        account.seq += 1
        self._recorder.private(account, OrderRejected(account.seq, self._state.sequence, terms, rejection))
        return self._outcome(rejection=rejection)

    # ---- cancel ------------------------------------------------------------------------------

    def cancel(self, command: CancelOrder) -> Outcome:
        """Cancel one order."""
        try:
            account = self._accounts[command.account_id]
        except KeyError:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        if command.order_id is not None:
            order = self._orders.get(command.order_id)
        else:
            order = account.client_ids.get(command.client_order_id or "")
        if order is None or order.account is not account or not order.remaining or command.symbols is not None:
            rejection = self._not_open(order, account, command.symbols)
            if rejection is not None or order is None:
                return self._refuse_cancel(command, account, rejection or refuse(RejectReason.UNKNOWN_ORDER))
        self._matcher.cancel(order, _REASON_USER)
        return self._recorder.answer(order)

    def _refuse_cancel(self, command: CancelOrder, account: Account, rejection: Rejection) -> Outcome:
        account.seq += 1
        ids = command.order_id, command.client_order_id
        event = OrderCancelRejected(account.seq, self._state.sequence, account.account_id, *ids, rejection)
        self._recorder.private(account, event)
        return self._outcome(rejection=rejection)


def is_special(terms: PlaceOrder) -> bool:
    """Return whether an order waits for a price, shows less than it is, or spends money instead of buying lots."""
    return terms.type not in _AT_WORK or terms.display_quantity is not None or terms.quote_quantity is not None


def is_same(terms: PlaceOrder, known: PlaceOrder) -> bool:
    """Return whether two commands ask for the same order; from which session does not matter."""
    if terms.session_id != known.session_id:
        terms = msgspec.structs.replace(terms, session_id=known.session_id)
    return terms == known
