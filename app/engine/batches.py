"""Batches: several orders of one account in one command, each by itself, or all of them or none.

An atomic batch first checks and holds for every order, each counting those before it, and only then
lets them meet the book in their order. What changed the book meanwhile may cancel one of them, not refuse it.
"""

from app.domain.commands import PlaceBatch, PlaceOrder
from app.domain.enums import InstrumentStatus, OrderReason, OrderType, RejectReason, TimeInForce
from app.domain.events import Rejection
from app.domain.outcomes import BatchResult, Outcome
from app.engine import risk
from app.engine.answers import catch_up
from app.engine.desk import Desk, Parts
from app.engine.orders import OrderDesk, is_same
from app.engine.recorder import refuse
from app.engine.state import Account, Order

BATCH_ORDERS_MAX = 50
"""Orders of one batch."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_HALTED = InstrumentStatus.HALTED
_LIMIT = OrderType.LIMIT
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_REASON_CIRCUIT_BREAKER = OrderReason.CIRCUIT_BREAKER
_REASON_POST_ONLY = OrderReason.POST_ONLY
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP


class BatchDesk(Desk):
    """Executes PlaceBatch."""

    __slots__ = ("_desk",)

    def __init__(self, parts: Parts, desk: OrderDesk) -> None:
        super().__init__(parts)
        self._desk = desk

    def place(self, command: PlaceBatch) -> Outcome:
        """Place the orders of a batch."""
        account = self._state.accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        orders = command.orders
        names = {terms.client_order_id for terms in orders}
        if not 0 < len(orders) <= BATCH_ORDERS_MAX or any(each.account_id != account.account_id for each in orders):
            return self._outcome(rejection=refuse(RejectReason.INVALID_REQUEST, field="orders"))
        if None in names or len(names) < len(orders):
            return self._outcome(rejection=refuse(RejectReason.INVALID_REQUEST, field="client_order_id"))
        if command.atomic:
            outcome = self._place_together(account, orders)
        else:
            outcome = self._outcome(results=tuple([self._place_alone(terms) for terms in orders]))
        catch_up(outcome, self._recorder.events)
        return outcome

    def _place_alone(self, terms: PlaceOrder) -> BatchResult:
        """Place one order as if it came by itself; what it took is found in its events."""
        self._matcher.met = 0
        outcome = self._desk.place(terms)
        return BatchResult(outcome.rejection, outcome.order, duplicate=outcome.duplicate)

    # ---- all or none -------------------------------------------------------------------------

    def _place_together(self, account: Account, orders: tuple[PlaceOrder, ...]) -> Outcome:
        if not all(map(may_join, orders)):
            return self._outcome(rejection=refuse(RejectReason.INVALID_REQUEST, field="orders"))
        known = [account.client_ids.get(terms.client_order_id or "") for terms in orders]
        repeated = [
            order
            for order, terms in zip(known, orders, strict=True)
            if order is not None and is_same(terms, order.terms)
        ]
        if len(repeated) == len(orders):
            results = [BatchResult(order=each.snapshot(), duplicate=True) for each in repeated]
            return self._outcome(results=tuple(results))
        if any(known):
            return self._outcome(rejection=refuse(RejectReason.CLIENT_ORDER_ID_REUSED, field="client_order_id"))
        admitted: list[Order] = []
        for terms in orders:
            order = self._admit(account, terms)
            if isinstance(order, Rejection):
                for earlier in reversed(admitted):
                    self._desk.strike(earlier)
                results = [BatchResult(refuse(RejectReason.INVALID_REQUEST, field="orders")) for _ in orders]
                results[len(admitted)] = BatchResult(order)
                return self._outcome(results=tuple(results))
            admitted.append(order)
        return self._execute_together(admitted)

    def _admit(self, account: Account, terms: PlaceOrder) -> Order | Rejection:
        """Check an order, hold for it and let it count for those after it; or state why not."""
        book = self._state.books.get(terms.symbol)
        if book is None:
            return refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol")
        order = self._desk.admit(terms, account, book)
        if isinstance(order, Order):
            missing = self._ledger.hold(order)
            if not missing:
                self._desk.enlist(order)
                return order
            order = self.insufficient(order, missing)
        self._desk.reject(terms, account, order)
        return order

    def _execute_together(self, admitted: list[Order]) -> Outcome:
        for order in admitted:
            self._desk.accept(order)
        outcome = self._outcome(results=tuple([BatchResult(order=order.snapshot()) for order in admitted]))
        for order in admitted:
            self._recorder.books[order.terms.symbol] = order.book
            self._matcher.met = 0
            reason = self._obstacle(order)
            if reason is None:
                self._execute(order)
            else:
                self._matcher.cancel(order, reason)
        return outcome

    def _obstacle(self, order: Order) -> OrderReason | None:
        """Return why the book, as earlier orders of the batch left it, takes an order no more; or None."""
        book, terms = order.book, order.terms
        if self._would_take(order):
            if terms.post_only is not None:
                return _REASON_POST_ONLY
            if book.instrument.status is _HALTED:
                return _REASON_CIRCUIT_BREAKER
        if risk.check_sums(book, terms.side, order.price, order.remaining, order) is not None:
            return _REASON_SLIPPAGE_CAP
        return None


def may_join(terms: PlaceOrder) -> bool:
    """Return whether an atomic batch admits an order: one that rests, and needs no position."""
    return terms.type is _LIMIT and terms.time_in_force not in _AT_ONCE and not terms.reduce_only
