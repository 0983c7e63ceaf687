"""Place and cancel: from a command to a changed book, or to a refusal that changes nothing.

Each method returns the outcome of its command; events go to the recorder on the way.
"""

import msgspec

from app.domain.commands import CancelOrder, PlaceOrder
from app.domain.enums import OrderReason, OrderStatus, OrderType, RejectReason, Side, TimeInForce
from app.domain.events import (
    OrderAccepted,
    OrderCancelRejected,
    OrderRejected,
    Rejection,
)
from app.domain.outcomes import Outcome
from app.engine import forms, risk
from app.engine.book import Book
from app.engine.desk import Desk
from app.engine.kill_switch import check_kill_switch
from app.engine.recorder import refuse
from app.engine.rehearsal import fillable
from app.engine.state import Account, Order
from app.engine.timers import EXPIRY

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_USER = OrderReason.USER
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_LIMIT = OrderType.LIMIT
_MARKET = OrderType.MARKET
_AT_WORK = (_LIMIT, _MARKET)
"""Types that wait for no price."""
_BANDED = (_LIMIT, _MARKET, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
_BUY = Side.BUY
_FOK = TimeInForce.FOK
_ENDS_BY_TIME = (TimeInForce.GTD, TimeInForce.DAY)


class OrderDesk(Desk):
    """Executes the order commands."""

    __slots__ = ()

    # ---- place -------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder) -> Outcome:
        """Place an order: check, hold, match, rest."""
        state = self._state
        account = state.accounts.get(terms.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        client_order_id = terms.client_order_id
        if client_order_id is not None:
            known = account.client_ids.get(client_order_id)
            if known is not None:
                return self._repeated(known, terms)
        book = state.books.get(terms.symbol)
        if book is None:
            return self._outcome(rejection=refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol"))
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
        return self._order_outcome(order)

    def admit(self, terms: PlaceOrder, account: Account, book: Book) -> Order | Rejection:
        """Run every check but the last one, whether the account can pay; returns the order as it would be accepted."""
        state = self._state
        price, rejection = self._check(terms, account, book)
        if rejection is not None:
            return rejection
        order = Order(state.last_order_id + 1, terms, account, book, price)
        if is_special(terms):
            self._specialize(order)
        elif terms.time_in_force is _FOK and not fillable(book, order, state.timestamp_ns):
            return refuse(RejectReason.FOK_NOT_FILLABLE)
        return order

    def _specialize(self, order: Order) -> None:
        """Give an order that waits, shows less or spends money what it needs besides its terms."""
        terms = order.terms
        extras = order.extra()
        extras.display_quantity = terms.display_quantity
        if terms.type not in _AT_WORK:
            order.status = _UNTRIGGERED
            extras.trigger_price, extras.watermark = risk.first_trigger(terms, order.book)
            extras.slippage = risk.slippage_of(order.book, terms)

    def enlist(self, order: Order) -> None:
        """Make an order that passed every check known under its ids: it counts from now on."""
        state, terms, account = self._state, order.terms, order.account
        state.last_order_id = order.order_id
        order.created_ns = state.timestamp_ns
        state.orders[order.order_id] = order
        account.open_orders[order.order_id] = order
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
        if order.terms.client_order_id is not None:
            del account.client_ids[order.terms.client_order_id]

    def accept(self, order: Order) -> None:
        """State an order that is enlisted, and let it end by time if it does."""
        if order.terms.time_in_force in _ENDS_BY_TIME:
            self._end_by_time(order)
        self._recorder.order(OrderAccepted, order)

    def _end_by_time(self, order: Order) -> None:
        """Arm the timer of a gtd or day order."""
        due = forms.end_of(order.terms, order.book.instrument, order.created_ns)
        assert due is not None, "check_form admits a gtd order only with its end"
        order.extra().due_ns = due
        self._state.timers.arm(due, EXPIRY, order.order_id)

    def _repeated(self, known: Order, terms: PlaceOrder) -> Outcome:
        """Answer a client_order_id seen before: the order as it is now, or a refusal if the body differs."""
        if not is_same(terms, known.terms):
            return self._outcome(rejection=refuse(RejectReason.CLIENT_ORDER_ID_REUSED, field="client_order_id"))
        return self._outcome(order=known.snapshot(), book=known.book.top(self._state.epoch), duplicate=True)

    def _check(self, terms: PlaceOrder, account: Account, book: Book) -> tuple[int, Rejection | None]:
        """Run the checks in order; returns the price to hold and trade at."""
        instrument = book.instrument
        rejection = check_kill_switch(self._state, account, book) if self._state.kills else None
        if rejection is None:
            rejection = risk.check_status(book, account, terms)
        if rejection is None:
            rejection = forms.check_form(terms, book, self._state.timestamp_ns)
        if rejection is not None:
            return 0, rejection
        price, rejection = self._price(terms, book)
        if rejection is None:
            if terms.quote_quantity is None:
                rejection = risk.check_numbers(instrument, price, terms.quantity)
            else:
                rejection = risk.check_money(book, terms.quote_quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, terms.quantity)
        if rejection is None and instrument.price_band is not None and terms.type in _BANDED:
            rejection = risk.check_band(book, price)
        if rejection is None:
            rejection = risk.check_open_orders(account, self._state.open_orders_max)
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
        account.seq += 1
        self._recorder.private(account, OrderRejected(account.seq, self._state.sequence, terms, rejection))
        return self._outcome(rejection=rejection)

    # ---- cancel ------------------------------------------------------------------------------

    def cancel(self, command: CancelOrder) -> Outcome:
        """Cancel one order."""
        account = self._state.accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        if command.order_id is not None:
            order = self._state.orders.get(command.order_id)
        else:
            order = account.client_ids.get(command.client_order_id or "")
        rejection = self._not_open(order, account, command.symbols)
        if rejection is not None or order is None:
            account.seq += 1
            event = OrderCancelRejected(
                account.seq,
                self._state.sequence,
                account.account_id,
                command.order_id,
                command.client_order_id,
                rejection or refuse(RejectReason.UNKNOWN_ORDER),
            )
            self._recorder.private(account, event)
            return self._outcome(rejection=event.rejection)
        self._matcher.cancel(order, _REASON_USER)
        return self._order_outcome(order)


def is_special(terms: PlaceOrder) -> bool:
    """Return whether an order waits for a price, shows less than it is, or spends money instead of buying lots."""
    return terms.type not in _AT_WORK or terms.display_quantity is not None or terms.quote_quantity is not None


def is_same(terms: PlaceOrder, known: PlaceOrder) -> bool:
    """Return whether two commands ask for the same order; from which session does not matter."""
    if terms.session_id != known.session_id:
        terms = msgspec.structs.replace(terms, session_id=known.session_id)
    return terms == known
