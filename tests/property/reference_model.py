"""An independent reference model of the engine: written from docs/ENGINE.md to be plainly right, not fast.

Flat lists and linear scans. Holds are worked out from the open orders, fees from the list of fills, books from the
open orders, each time anew. It shares no code with app/engine, only the vocabulary of app/domain, and states the
same events. Its parts, each upon the next: this one for the commands of traders, reference_timers for time,
reference_lists and reference_triggers for orders that wait, reference_matching for trades, reference_checks (with
its gauges, forms and limits) for what refuses an order, reference_auction for phases and prices, reference_listing
for administration, reference_positions and reference_ledger for what is owned and published.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.domain import commands
from app.domain.commands import AmendOrder, CancelOrder, Command, PlaceBatch, PlaceOrder
from app.domain.enums import InstrumentStatus, OrderReason, OrderStatus, OrderType, Priority, RejectReason
from app.domain.events import Event, OrderAmended, OrderAmendRejected, OrderCancelRejected, OrderRejected, Rejection
from app.domain.outcomes import BatchResult, Outcome
from tests.property.reference_checks import cap_price, in_steps
from tests.property.reference_forms import AT_ONCE, CAPPED, PRICED
from tests.property.reference_listing import INTEGER_MAX, INVALID
from tests.property.reference_lists import same_terms
from tests.property.reference_records import RefAccount, RefOrder, Refused
from tests.property.reference_timers import ReferenceTimers

BATCH_MAX = 50
WAITING = (OrderStatus.UNTRIGGERED, OrderStatus.PENDING)
Answer = Outcome | Callable[[], Outcome]
"""What a command is answered; called after it, where the answer shows how orders stand then."""


UNSEEN = (RejectReason.UNKNOWN_ORDER, RejectReason.NOT_FOUND)
"""Refusals of an amend whose order the caller does not see."""


class ReferenceModel(ReferenceTimers):
    """Commands in, events out, like the engine; `outcome` answers the last command."""

    def __init__(self, *, operations_max: int = 5_000, closed_orders_max: int = 250_000) -> None:
        super().__init__()
        self.operations_max = self.timer_operations_max = self.cancels_max = operations_max
        self.closed_orders_max = closed_orders_max
        self.outcome = Outcome(0, 0)
        self._handlers: dict[type, Callable[[Any], Answer]] = {
            **self.admin_handlers(),
            commands.PlaceOrder: self.place,
            commands.CancelOrder: self.cancel,
            commands.AmendOrder: self.amend,
            commands.CancelAll: self.cancel_all,
            commands.PlaceBatch: self.place_batch,
            commands.PlaceList: self.place_list,
            commands.SetCancelAfter: self.set_cancel_after,
            commands.GuardSession: self.guard_session,
            commands.CloseSession: self.close_session,
            commands.Tick: self.tick,
        }

    def begin(self, timestamp_ns: int) -> None:
        """Open a batch."""
        self.timestamp_ns = max(self.timestamp_ns, timestamp_ns)

    def apply(self, command: Command) -> list[Event]:
        """Execute one command; returns its events."""
        self.sequence += 1
        self.events, self.taken, self.met = [], {}, 0
        answer: Answer
        try:
            answer = self._handlers[type(command)](command)
        except Refused as refused:
            if refused.stated:
                self._state_refusal(command, refused.rejection)
            answer = Outcome(0, 0, refused.rejection)
            if isinstance(command, AmendOrder) and refused.rejection.reason not in UNSEEN:
                order = self._by_id(command.order_id)
                assert order is not None
                answer.instrument = self.instruments[order.terms.symbol]
        self.serve_parents()
        self.end_of_command()
        self.compare_marks()
        outcome = answer if isinstance(answer, Outcome) else answer()
        self.outcome = self.answer(outcome)
        return self.events

    def _state_refusal(self, command: Command, rejection: Rejection) -> None:
        seq = self.sequence
        if isinstance(command, PlaceOrder):
            self.say(OrderRejected(self.next_seq(command.account_id), seq, command, rejection))
        elif isinstance(command, CancelOrder):
            account_id, ids = command.account_id, (command.order_id, command.client_order_id)
            self.say(OrderCancelRejected(self.next_seq(account_id), seq, account_id, *ids, rejection))
        elif isinstance(command, AmendOrder):
            account_id = command.account_id
            self.say(OrderAmendRejected(self.next_seq(account_id), seq, account_id, command.order_id, rejection))

    # ---- place ---------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder) -> Answer:
        """Idempotency first, then every check in order, then hold, match and rest."""
        self._account(terms.account_id)
        known = self._by_client_id(terms.account_id, terms.client_order_id)
        if known is not None:
            if not same_terms(terms, known.terms):
                raise Refused(RejectReason.CLIENT_ORDER_ID_REUSED, "client_order_id", stated=False)
            return Outcome(0, 0, order=known.state(), book=self.top(known.terms.symbol), duplicate=True)
        self._check_symbol(terms)
        order = self.admit(terms)
        self.accept(order)
        if order.status is OrderStatus.OPEN:
            self.execute(order)
        return lambda: self._answer_order(order)

    def _check_symbol(self, terms: PlaceOrder) -> None:
        if terms.symbol not in self.instruments:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol", stated=False)

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

    # ---- batches -------------------------------------------------------------------------------

    def place_batch(self, command: PlaceBatch) -> Answer:
        """Place several orders: each by itself, or all or none."""
        self._account(command.account_id)
        orders = command.orders
        names = [terms.client_order_id for terms in orders]
        if not 1 <= len(orders) <= BATCH_MAX or any(terms.account_id != command.account_id for terms in orders):
            raise Refused(INVALID, "orders")
        if None in names or len(set(names)) != len(names):
            raise Refused(INVALID, "client_order_id")
        if command.atomic:
            return self._place_together(command)
        answers = [self._place_alone(terms) for terms in orders]
        return lambda: Outcome(0, 0, results=tuple(result_of(answer) for answer in answers))

    def _place_alone(self, terms: PlaceOrder) -> Answer:
        self.met = 0
        try:
            return self.place(terms)
        except Refused as refused:
            if refused.stated:
                self._state_refusal(terms, refused.rejection)
            return Outcome(0, 0, refused.rejection)

    def _place_together(self, command: PlaceBatch) -> Answer:
        """Admit all against the state before the batch, each counting those before it; then execute in order."""
        if not all(is_plain(terms) for terms in command.orders):
            raise Refused(INVALID, "orders")
        known = [self._by_client_id(command.account_id, terms.client_order_id) for terms in command.orders]
        pairs = list(zip(known, command.orders, strict=True))
        if all(order is not None and same_terms(order.terms, terms) for order, terms in pairs):
            states = [order.state() for order in known if order is not None]
            return Outcome(0, 0, results=tuple(BatchResult(order=state, duplicate=True) for state in states))
        if any(known):
            raise Refused(RejectReason.CLIENT_ORDER_ID_REUSED, "client_order_id")
        admitted: list[RefOrder] = []
        for terms in command.orders:
            try:
                self._check_symbol(terms)
                admitted.append(self.admit(terms, earlier=admitted))
            except Refused as refused:
                if refused.stated:
                    self._state_refusal(terms, refused.rejection)
                results = [BatchResult(Rejection(INVALID, "orders")) for _ in command.orders]
                results[len(admitted)] = BatchResult(refused.rejection)
                return Outcome(0, 0, results=tuple(results))
        return self._execute_together(admitted)

    def _execute_together(self, admitted: list[RefOrder]) -> Answer:
        for order in admitted:
            self.accept(order)
        for order in admitted:
            self.met = 0
            is_halted = self.instruments[order.terms.symbol].status is InstrumentStatus.HALTED
            if self._beside(order) is not None:
                self.end(order, OrderReason.POST_ONLY)
            elif is_halted and self._reachable(order):
                # An order before it tripped the breaker.
                self.end(order, OrderReason.CIRCUIT_BREAKER)
            elif not self._in_range(order):
                self.end(order, OrderReason.SLIPPAGE_CAP)
            else:
                self.execute(order)
        return lambda: Outcome(0, 0, results=tuple(result_of(self._answer_order(order)) for order in admitted))

    # ---- cancel and amend ----------------------------------------------------------------------

    def cancel(self, command: CancelOrder) -> Answer:
        """Cancel one order by either id."""
        self._account(command.account_id)
        if command.order_id is None:
            found = self._by_client_id(command.account_id, command.client_order_id)
        else:
            found = self._by_id(command.order_id)
        order = self._open_order(found, command)
        self.end(order, OrderReason.USER)
        return self._answer_order(order)

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

    def amend(self, command: AmendOrder) -> Answer:
        """Change an order; same price, same display and not larger keeps the place in the queue."""
        self._account(command.account_id)
        order = self._open_order(self._by_id(command.order_id), command)
        version, expected = order.version, command.if_version
        if expected is not None and expected != version:
            raise Refused(RejectReason.VERSION_CONFLICT, "if_version", limit=version, actual=expected, unit="count")
        check_changeable(order, command)
        wished = wish(order, command)
        if wished.quantity <= order.filled:
            self.end(order, OrderReason.USER)
            return lambda: self._answer_order(order, Priority.LOST)
        if command.trigger_price is not None and order.terms.type in CAPPED and wished.trigger_price is not None:
            wished.price = cap_price(wished.trigger_price, self.instruments[order.terms.symbol], order.terms)
        return self._amend_to(order, wished)

    def _amend_to(self, order: RefOrder, wished: RefOrder) -> Answer:
        shows_else = wished.display_quantity != order.display_quantity
        fires_else = wished.trigger_price != order.trigger_price
        keeps = self.admit_amend(order, wished, also_moves=shows_else or fires_else)
        is_same = (wished.price, wished.quantity) == (order.price, order.quantity)
        if is_same and not shows_else and not fires_else:
            return lambda: self._answer_order(order, Priority.KEPT)
        order.price, order.quantity, order.reason = wished.price, wished.quantity, None
        order.display_quantity, order.trigger_price = wished.display_quantity, wished.trigger_price
        order.shown = min(order.shown, order.remaining)
        if fires_else:
            self.unfire(order)
            order.activated_seq = self.sequence
        self.mention(order.terms.account_id, order.hold_asset)
        self._advance(order, OrderAmended)
        if order.status in WAITING:
            keeps = not fires_else
        elif not keeps:
            order.arrival = None
            self.execute(order)
        return lambda: self._answer_order(order, Priority.KEPT if keeps else Priority.LOST)

    def _answer_order(self, order: RefOrder, priority: Priority | None = None) -> Outcome:
        fills, book = tuple(self.taken.get(order.order_id, [])), self.top(order.terms.symbol)
        return Outcome(0, 0, order=order.state(), fills=fills, book=book, priority=priority)


def result_of(answer: Answer) -> BatchResult:
    """Return the answer to one order of a batch."""
    outcome = answer if isinstance(answer, Outcome) else answer()
    return BatchResult(outcome.rejection, outcome.order, outcome.fills, outcome.duplicate)


def is_plain(terms: PlaceOrder) -> bool:
    """Return whether an atomic batch admits an order."""
    return terms.type is OrderType.LIMIT and terms.time_in_force not in AT_ONCE and not terms.reduce_only


def check_changeable(order: RefOrder, command: AmendOrder) -> None:
    """Refuse to change what an order of this kind does not have."""
    terms, in_list = order.terms, order.order_list is not None
    can_show = terms.type in PRICED and terms.time_in_force not in AT_ONCE and not in_list
    can_fire = order.status is OrderStatus.UNTRIGGERED and terms.type is not OrderType.TRAILING_STOP
    unchangeable = {
        "price": command.price is not None and terms.type not in PRICED,
        "quantity": command.quantity is not None and in_list,
        "display_quantity": command.display_quantity is not None and not can_show,
        "trigger_price": command.trigger_price is not None and not can_fire,
    }
    for field, is_wrong in unchangeable.items():
        if is_wrong:
            raise Refused(INVALID, field)


def wish(order: RefOrder, command: AmendOrder) -> RefOrder:
    """Return the order as the amend wants it."""
    tick, lot = order.instrument.tick_size, order.instrument.lot_size
    tick_error, lot_error = RejectReason.INVALID_PRICE_TICK, RejectReason.INVALID_QUANTITY_LOT
    changes: dict[str, Any] = {}
    for field, step, error in (
        ("price", tick, tick_error),
        ("quantity", lot, lot_error),
        ("display_quantity", lot, lot_error),
        ("trigger_price", tick, tick_error),
    ):
        number, current = getattr(command, field), getattr(order, field)
        changes[field] = in_steps(number, getattr(command, f"{field}_scale"), step, current)
        if number is not None and changes[field] is None:
            raise Refused(error, field)
    if command.display_quantity is not None and not 1 <= (changes["display_quantity"] or 0) <= INTEGER_MAX:
        raise Refused(INVALID, "display_quantity")
    if command.trigger_price is not None and not 1 <= (changes["trigger_price"] or 0) <= INTEGER_MAX:
        raise Refused(INVALID, "trigger_price")
    return replace(order, fills=list(order.fills), **changes)
