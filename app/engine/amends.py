"""Amend: an open order with another price, quantity, display quantity or trigger price.

It keeps its place, goes to the back of the queue, or, before its trigger, waits anew.
"""

from typing import NamedTuple

import msgspec

from app.domain.commands import AmendOrder
from app.domain.decimals import Step, count_steps
from app.domain.enums import OrderReason, OrderStatus, Priority, RejectReason, TimeInForce
from app.domain.events import OrderAmended, OrderAmendRejected, Rejection
from app.domain.outcomes import Outcome
from app.engine import controls, risk
from app.engine.bounds import INTEGER_MAX
from app.engine.desk import Desk
from app.engine.limits import counts_of, gate_of
from app.engine.links import link_of
from app.engine.recorder import refuse
from app.engine.state import Account, Order

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_USER = OrderReason.USER
_PRIORITY_KEPT = Priority.KEPT
_PRIORITY_LOST = Priority.LOST
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class Wish(NamedTuple):
    """What an order is to become; display quantity and trigger price only if they change."""

    price: int
    quantity: int
    display_quantity: int | None = None
    trigger_price: int | None = None

    @property
    def reforms(self) -> bool:
        """Whether more than price and quantity changes."""
        return self.display_quantity is not None or self.trigger_price is not None


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
        if command.if_version is not None and command.if_version != order.state.version:
            rejection = refuse(
                RejectReason.VERSION_CONFLICT,
                field="if_version",
                limit=order.state.version,
                actual=command.if_version,
                unit="count",
            )
            return self._refuse_amend(command, account, rejection)
        wish, rejection = wish_of(command, order)
        if rejection is not None:
            return self._refuse_amend(command, account, rejection)
        if wish.quantity <= order.filled:
            self._matcher.cancel(order, _REASON_USER)
            return self._recorder.answer(order, _PRIORITY_LOST)
        if wish.price == order.price and wish.quantity <= order.quantity and not wish.reforms:
            counts = counts_of(self._state, account)
            if counts is not None:
                counts.message(order.book.symbol, gate_of(self._state, account))
            return self._shrink(command, order, wish.quantity)
        if order.level is None:
            return self._change_waiting(command, order, wish)
        return self._move(command, order, wish)

    def _shrink(self, command: AmendOrder, order: Order, quantity: int) -> Outcome:
        """Lower the quantity in place; no change at all is no event."""
        if quantity < order.quantity:
            rejection = risk.check_numbers(order.book.instrument, order.price, quantity)
            if rejection is not None:
                return self._refuse_amend(command, order.account, rejection)
            remaining = quantity - order.filled
            if order.level is not None:
                shown = max(order.shown - remaining, 0)
                side = order.book.bids if order.is_buy else order.book.asks
                side.reduce(order, shown, order.remaining - remaining - shown)
            order.remaining = remaining
            self._ledger.hold(order)
            self._count_accepted(order.account)
            self._recorder.order(OrderAmended, order, order.status, None, quantity)
        return self._recorder.answer(order, _PRIORITY_KEPT)

    def _move(self, command: AmendOrder, order: Order, wish: Wish) -> Outcome:
        """Give the order a new price, a larger quantity or another display quantity at the back of the queue.

        It may trade at once.
        """
        book, terms, quantity, price = order.book, order.terms, wish.quantity, wish.price
        rejection = self._check_entry(terms, order.account, book, quantity - order.filled, order)
        if rejection is None and terms.post_only is not None:
            price, rejection = self._post_only_price(book, msgspec.structs.replace(terms, price=price), price)
            if rejection is None and price == order.price and quantity <= order.quantity and not wish.reforms:
                # Repriced to where it already is: nothing that would cost it its place.
                return self._shrink(command, order, quantity)
        if rejection is None:
            rejection = risk.check_numbers(book.instrument, price, quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, quantity - order.filled, order)
        if rejection is None:
            rejection = risk.check_band(book, price)
        if rejection is None:
            rejection = self._check_exposure(order, price, quantity)
        if rejection is not None:
            return self._refuse_amend(command, order.account, rejection)
        resting = order.remaining
        rejection = self._rehold(order, price, quantity)
        if rejection is not None:
            return self._refuse_amend(command, order.account, rejection)
        side = book.bids if order.is_buy else book.asks
        # The level needs the old remaining quantity to let the order go.
        remaining, order.remaining = order.remaining, resting
        side.remove(order)
        order.remaining = remaining
        if wish.display_quantity is not None:
            order.extra().display_quantity = wish.display_quantity
        self._count_accepted(order.account)
        self._recorder.order(OrderAmended, order, order.status, None, quantity)
        self._execute(order)
        return self._recorder.answer(order, _PRIORITY_LOST)

    def _check_exposure(self, order: Order, price: int, quantity: int) -> Rejection | None:
        """Refuse what would be worth too much."""
        lots = quantity - order.filled
        attempt = controls.Attempt(order.account, order.book, order.terms, order.is_buy, price, lots, order)
        return controls.check_exposure(self._state, attempt)

    def _count_accepted(self, account: Account) -> None:
        counts = counts_of(self._state, account)
        if counts is not None:
            counts.accept(None, gate_of(self._state, account), self._state)

    def _rehold(self, order: Order, price: int, quantity: int) -> Rejection | None:
        """Give the order another price and total quantity with the hold they require, or leave it as it is."""
        before = order.price, order.remaining
        order.price, order.remaining = price, quantity - order.filled
        missing = self._ledger.hold(order)
        if not missing:
            return None
        rejection = self.insufficient(order, missing)
        order.price, order.remaining = before
        return rejection

    def _change_waiting(self, command: AmendOrder, order: Order, wish: Wish) -> Outcome:
        """Change an order that is not in the book; with another trigger price it waits anew, fired or not."""
        book, terms = order.book, order.terms
        rejection = self._check_entry(terms, order.account, book, wish.quantity - order.filled, order)
        if rejection is None:
            rejection = risk.check_numbers(book.instrument, wish.price, wish.quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, wish.price, wish.quantity, order)
        if rejection is None and terms.price is not None:
            rejection = risk.check_band(book, wish.price)
        if rejection is None:
            rejection = self._check_exposure(order, wish.price, wish.quantity)
        if rejection is None:
            rejection = self._rehold(order, wish.price, wish.quantity)
        if rejection is not None:
            return self._refuse_amend(command, order.account, rejection)
        extras = order.extra()
        if wish.display_quantity is not None:
            extras.display_quantity = wish.display_quantity
        if wish.trigger_price is not None:
            self._watch.disarm(order)
            extras.trigger_price = wish.trigger_price
            self._watch.arm(order)
        self._count_accepted(order.account)
        self._recorder.order(OrderAmended, order, order.status, None, wish.quantity)
        return self._recorder.answer(order, _PRIORITY_KEPT if wish.trigger_price is None else _PRIORITY_LOST)

    def _refuse_amend(self, command: AmendOrder, account: Account, rejection: Rejection) -> Outcome:
        self._count_rejection(account)
        account.seq += 1
        event = OrderAmendRejected(account.seq, self._state.sequence, account.account_id, command.order_id, rejection)
        self._recorder.private(account, event)
        # A replica cannot tell the numbers of the refusal without it; whose order it is not learns nothing.
        is_unknown = rejection.reason is RejectReason.UNKNOWN_ORDER
        instrument = None if is_unknown else self._state.orders[command.order_id].book.instrument
        return self._outcome(rejection=rejection, instrument=instrument)


def wish_of(command: AmendOrder, order: Order) -> tuple[Wish, Rejection | None]:
    """Return what the amend makes of the order, or why it cannot mean this one."""
    instrument = order.book.instrument
    wish = Wish(order.price, order.quantity)
    field = unchangeable_field(command, order)
    if field is not None:
        return wish, refuse(RejectReason.INVALID_REQUEST, field=field)
    if command.price is not None:
        price = in_steps(command.price, command.price_scale, instrument.tick)
        if price is None:
            return wish, refuse(RejectReason.INVALID_PRICE_TICK, field="price")
        wish = Wish(price, wish.quantity)
    if command.quantity is not None:
        quantity = in_steps(command.quantity, command.quantity_scale, instrument.lot)
        if quantity is None:
            return wish, refuse(RejectReason.INVALID_QUANTITY_LOT, field="quantity")
        wish = Wish(wish.price, quantity)
    if command.display_quantity is None and command.trigger_price is None:
        return wish, None
    return _reformed(command, order, wish)


def unchangeable_field(command: AmendOrder, order: Order) -> str | None:
    """Return the first field that is given and that an order of this kind does not have, or None."""
    terms = order.terms
    if command.price is not None and terms.price is None:
        return "price"
    in_list = link_of(order) is not None
    if command.quantity is not None and in_list:
        return "quantity"
    may_show_less = terms.price is not None and terms.time_in_force not in _AT_ONCE and not in_list
    if command.display_quantity is not None and not may_show_less:
        return "display_quantity"
    if command.trigger_price is not None and (order.status is not _UNTRIGGERED or terms.trigger_price is None):
        return "trigger_price"
    return None


def _reformed(command: AmendOrder, order: Order, wish: Wish) -> tuple[Wish, Rejection | None]:
    """Return the wish with another display quantity or trigger price, and the cap that goes with that."""
    instrument, terms, extras = order.book.instrument, order.terms, order.extras
    display, trigger = command.display_quantity, command.trigger_price
    if display is not None:
        display = in_steps(display, command.display_quantity_scale, instrument.lot)
        if display is None:
            return wish, refuse(RejectReason.INVALID_QUANTITY_LOT, field="display_quantity")
    if trigger is not None:
        trigger = in_steps(trigger, command.trigger_price_scale, instrument.tick)
        if trigger is None:
            return wish, refuse(RejectReason.INVALID_PRICE_TICK, field="trigger_price")
    if display is not None and not 0 < display <= INTEGER_MAX:
        return wish, refuse(RejectReason.INVALID_REQUEST, field="display_quantity")
    if trigger is not None and not 0 < trigger <= INTEGER_MAX:
        return wish, refuse(RejectReason.INVALID_REQUEST, field="trigger_price")
    if trigger is not None and terms.price is None:
        wish = wish._replace(price=risk.cap_price(order.book, terms, trigger, is_buy=order.is_buy))
    if extras is not None and display == extras.display_quantity:
        display = None
    if extras is not None and trigger == extras.trigger_price:
        trigger = None
    return wish._replace(display_quantity=display, trigger_price=trigger), None


def in_steps(number: int, scale: int | None, step: Step) -> int | None:
    """Return an amended number in ticks or lots; None if it is not an exact multiple."""
    return number if scale is None else count_steps(Step(number, scale), step)
