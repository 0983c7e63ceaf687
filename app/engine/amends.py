"""Amend: an open order with another price or quantity, in its place or at the back of the queue."""

import msgspec

from app.domain.commands import AmendOrder
from app.domain.decimals import Step, count_steps
from app.domain.enums import OrderReason, Priority, RejectReason
from app.domain.events import OrderAmended, OrderAmendRejected, Rejection
from app.domain.outcomes import Outcome
from app.engine import risk
from app.engine.desk import Desk
from app.engine.kill_switch import check_kill_switch
from app.engine.recorder import refuse
from app.engine.state import Account, Order

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_USER = OrderReason.USER
_PRIORITY_KEPT = Priority.KEPT
_PRIORITY_LOST = Priority.LOST


class AmendDesk(Desk):
    """Executes AmendOrder."""

    __slots__ = ()

    def amend(self, command: AmendOrder) -> Outcome:
        """Change price or total quantity; a smaller quantity at the same price keeps the place in the queue."""
        account = self._state.accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        order = self._state.orders.get(command.order_id)
        rejection = self._not_open(order, account, command.symbols)
        if rejection is not None or order is None:
            return self._refuse_amend(command, account, rejection or refuse(RejectReason.UNKNOWN_ORDER))
        if command.if_version is not None and command.if_version != order.version:
            rejection = refuse(
                RejectReason.VERSION_CONFLICT,
                field="if_version",
                limit=order.version,
                actual=command.if_version,
                unit="count",
            )
            return self._refuse_amend(command, account, rejection)
        price, quantity = amended_numbers(command, order)
        if price is None:
            return self._refuse_amend(command, account, refuse(RejectReason.INVALID_PRICE_TICK, field="price"))
        if quantity is None:
            return self._refuse_amend(command, account, refuse(RejectReason.INVALID_QUANTITY_LOT, field="quantity"))
        if quantity <= order.filled:
            self._matcher.cancel(order, _REASON_USER)
            return self._order_outcome(order, _PRIORITY_LOST)
        if price == order.price and quantity <= order.quantity:
            return self._shrink(command, order, quantity)
        return self._move(command, order, price, quantity)

    def _shrink(self, command: AmendOrder, order: Order, quantity: int) -> Outcome:
        """Lower the quantity in place; no change at all is no event."""
        if quantity < order.quantity:
            instrument = order.book.instrument
            rejection = risk.check_numbers(instrument, order.price, quantity)
            if rejection is not None:
                return self._refuse_amend(command, order.account, rejection)
            less = order.quantity - quantity
            (order.book.bids if order.is_buy else order.book.asks).reduce(order, less)
            order.remaining -= less
            order.quantity = quantity
            order.reason = None
            self._ledger.hold(order)
            self._recorder.order(OrderAmended, order)
        return self._order_outcome(order, _PRIORITY_KEPT)

    def _move(self, command: AmendOrder, order: Order, price: int, quantity: int) -> Outcome:
        """Give the order a new price or a larger quantity at the back of the queue; it may trade at once."""
        book, terms = order.book, order.terms
        rejection = check_kill_switch(self._state, order.account, book)
        if rejection is None:
            rejection = risk.check_status(book.instrument, order.account, post_only=terms.post_only is not None)
        if rejection is None and terms.post_only is not None:
            price, rejection = self._post_only_price(book, msgspec.structs.replace(terms, price=price), price)
            if rejection is None and price == order.price and quantity <= order.quantity:
                # Repriced to where it already is: nothing that would cost it its place.
                return self._shrink(command, order, quantity)
        if rejection is None:
            rejection = risk.check_numbers(book.instrument, price, quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, quantity - order.filled, order)
        if rejection is None:
            rejection = risk.check_band(book, price)
        if rejection is not None:
            return self._refuse_amend(command, order.account, rejection)
        before = (order.price, order.quantity, order.remaining)
        side = book.bids if order.is_buy else book.asks
        # The level needs the old remaining quantity, the hold the new one: leave the book first.
        remaining = quantity - order.filled
        order.price, order.quantity, order.remaining = price, quantity, remaining
        missing = self._ledger.hold(order)
        if missing:
            rejection = self._insufficient(order)
            order.price, order.quantity, order.remaining = before
            return self._refuse_amend(command, order.account, rejection)
        order.remaining = before[2]
        side.remove(order)
        order.remaining = remaining
        order.reason = None
        self._recorder.order(OrderAmended, order)
        self._matcher.match(order)
        if order.remaining:
            side.add(order)
        return self._order_outcome(order, _PRIORITY_LOST)

    def _refuse_amend(self, command: AmendOrder, account: Account, rejection: Rejection) -> Outcome:
        account.seq += 1
        event = OrderAmendRejected(account.seq, self._state.sequence, account.account_id, command.order_id, rejection)
        self._recorder.private(account, event)
        return self._outcome(rejection=rejection)


def amended_numbers(command: AmendOrder, order: Order) -> tuple[int | None, int | None]:
    """Return the new price in ticks and total quantity in lots; None for one that is not an exact multiple."""
    instrument = order.book.instrument
    price: int | None = order.price if command.price is None else command.price
    quantity: int | None = order.quantity if command.quantity is None else command.quantity
    if command.price is not None and command.price_scale is not None:
        price = count_steps(Step(command.price, command.price_scale), instrument.tick)
    if command.quantity is not None and command.quantity_scale is not None:
        quantity = count_steps(Step(command.quantity, command.quantity_scale), instrument.lot)
    return price, quantity
