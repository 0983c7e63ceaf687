"""Orders of the reference model that depend on each other: pairs of which one trades, and children of a parent."""

from collections.abc import Callable, Sequence

from app.domain.commands import PlaceList, PlaceOrder
from app.domain.enums import InstrumentStatus, ListKind, OrderReason, OrderStatus, OrderType, RejectReason, Side
from app.domain.enums import TimeInForce as Tif
from app.domain.events import OrderAccepted, OrderAmended
from app.domain.outcomes import Outcome
from tests.property.reference_checks import opposite
from tests.property.reference_forms import AT_ONCE
from tests.property.reference_gauges import Candidate, Verdict
from tests.property.reference_listing import INTEGER_MAX, INVALID
from tests.property.reference_records import RefList, RefOrder, Refused
from tests.property.reference_triggers import WAITS, ReferenceTriggers

TARGETS = {OrderType.LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
STOPS = {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
SIZES = {ListKind.OCO: {2}, ListKind.OTO: {2, 3}, ListKind.BRACKET: {3}}
NO_CASCADE = {OrderReason.OCO_PEER, OrderReason.PARENT_ENDED}
"""Endings that come from the other orders of a list."""


class ReferenceLists(ReferenceTriggers):
    """What one order of a list does to the others, looked up in the list each time."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[RefList] = []
        self._children: list[PlaceOrder] = []
        """Terms of the children of the list that is being checked."""
        self._filled_parents: list[RefList] = []

    # ---- who depends on whom -------------------------------------------------------------------

    def live_peer(self, order: RefOrder) -> RefOrder | None:
        """Return the order that must end before this one may trade."""
        peer = None if order.order_list is None else order.order_list.peer_of(order.order_id)
        return peer if peer in self.open else None

    def hold_of(self, order: RefOrder) -> int:
        """Return what an order holds: a pending child nothing, of a pair the one that needs more, or the first."""
        if order.status is OrderStatus.PENDING:
            return 0
        peer = self.live_peer(order)
        if peer is None or peer.status is OrderStatus.PENDING:
            return order.hold
        first = order.order_id < peer.order_id
        holds = order.hold >= peer.hold if first else order.hold > peer.hold
        return order.hold if holds else 0

    def needed(self, candidate: Candidate) -> int:
        if any(candidate.terms is terms for terms in self._children):
            return 0
        before = candidate.replaces
        if before is None:
            return candidate.order.hold
        if before.status is OrderStatus.PENDING:
            return 0
        peer = self.live_peer(before)
        other = 0 if peer is None or peer.status is OrderStatus.PENDING else peer.hold
        return max(candidate.order.hold, other) - max(before.hold, other)

    def _post_only(self, c: Candidate) -> list[Verdict]:
        is_pending = c.replaces is not None and c.replaces.status is OrderStatus.PENDING
        if is_pending or any(c.terms is terms for terms in self._children):
            return []
        return super()._post_only(c)

    def before_print(self, order: RefOrder) -> None:
        super().before_print(order)
        peer = self.live_peer(order)
        if peer is not None:
            self.end(peer, OrderReason.OCO_PEER)

    def after_fill(self, order: RefOrder) -> None:
        super().after_fill(order)
        found = order.order_list
        if found is not None and order is found.parent and found not in self._filled_parents:
            self._filled_parents.append(found)

    def after_end(self, order: RefOrder) -> None:
        super().after_end(order)
        found = order.order_list
        if found is None:
            return
        peer = self.live_peer(order)
        if peer is not None and order.reason not in NO_CASCADE:
            self.end(peer, OrderReason.OCO_PEER)
        if order is found.parent and not order.filled:
            for child in found.children:
                self.end(child, OrderReason.PARENT_ENDED)

    # ---- children ------------------------------------------------------------------------------

    def serve_parents(self) -> None:
        """Let children follow what their parents filled, in the order in which those filled first."""
        while self._filled_parents:
            for child in self._filled_parents.pop(0).children:
                self.serve(child)

    def serve(self, child: RefOrder) -> None:
        """Let a child follow its parent; one that may trade waits in the queue while it cannot."""
        assert child.order_list is not None
        assert child.order_list.parent is not None
        filled = child.order_list.parent.filled
        if child not in self.open or filled <= child.granted:
            return
        trades = child.terms.type is OrderType.LIMIT or child.arrival is not None
        is_open = self.instruments[child.terms.symbol].status is InstrumentStatus.OPEN
        is_late = self.met >= self.operations_max and child.status is not OrderStatus.UNTRIGGERED
        if (trades and not is_open) or is_late:
            if child not in self.fired:
                self.fired.append(child)
            return
        if child.status is not OrderStatus.UNTRIGGERED:
            self.unfire(child)
        if child.status is OrderStatus.PENDING:
            self._start(child, filled)
        else:
            self._grow(child, filled)

    def _start(self, child: RefOrder, filled: int) -> None:
        """Activate a pending child for what its parent filled."""
        waits = child.terms.type in WAITS

        def change() -> None:
            child.granted = child.quantity = filled
            if waits:
                self.arm(child)
            child.status = OrderStatus.UNTRIGGERED if waits else OrderStatus.OPEN

        if not self._affords(child, change):
            return
        self.activate(child, child.status)
        if not waits and child in self.open:
            self._enter_book(child)

    def _enter_book(self, order: RefOrder) -> None:
        """Execute an order, unless what came before it left nothing that could be stated of it."""
        if self._in_range(order):
            self.execute(order)
        else:
            self.end(order, OrderReason.SLIPPAGE_CAP)

    def _grow(self, child: RefOrder, filled: int) -> None:
        def change() -> None:
            child.granted = child.quantity = filled

        if not self._affords(child, change):
            return
        rested = child.arrival is not None
        child.arrival, child.reason = None, None
        self.mention(child.terms.account_id, child.hold_asset)
        self._advance(child, OrderAmended)
        if rested:
            self._enter_book(child)

    def _affords(self, child: RefOrder, change: Callable[[], None]) -> bool:
        """Change a child if its price can be stated and its account can pay the hold; else cancel it as it was."""
        asset, account_id = child.hold_asset, child.terms.account_id
        was = child.quantity, child.granted, child.status, child.price, child.trigger_price
        change()
        in_range = child.price <= INTEGER_MAX
        if in_range and self.available(account_id, asset) >= 0:
            return True
        child.quantity, child.granted, child.status, child.price, child.trigger_price = was
        self.end(child, OrderReason.INSUFFICIENT_BALANCE if in_range else OrderReason.SLIPPAGE_CAP)
        return False

    def run(self, order: RefOrder) -> None:
        """Run a fired order, or a child that waited to follow its parent."""
        if order.status is OrderStatus.UNTRIGGERED:
            super().run(order)
        else:
            self.serve(order)

    # ---- placing -------------------------------------------------------------------------------

    def place_list(self, command: PlaceList) -> Outcome | Callable[[], Outcome]:
        """Check all orders against the state before the list, then accept all, then execute them in order."""
        self._account(command.account_id)
        known = [self._by_client_id(command.account_id, terms.client_order_id) for terms in command.orders]
        repeated = self._repeated(command, known)
        if repeated is not None:
            return repeated
        check_list(command)
        symbol = command.orders[0].symbol
        if symbol not in self.instruments:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        if command.kind is ListKind.OCO and all(self._crosses(terms) for terms in command.orders):
            raise Refused(INVALID, "orders")
        self._children = [] if command.kind is ListKind.OCO else list(command.orders[1:])
        try:
            orders = [self.admit(terms, together=len(command.orders)) for terms in command.orders]
        finally:
            children, self._children = self._children, []
        found = RefList(len(self.lists) + 1, command.kind, orders)
        self.lists.append(found)
        for order in orders:
            order.order_list = found
            self.accept(order, is_pending=any(order.terms is terms for terms in children))
        for order in orders:
            if order.status is OrderStatus.OPEN:
                self._enter_book(order)
        return lambda: Outcome(
            0, 0, orders=tuple(o.state() for o in orders), order_list_id=found.order_list_id, book=self.top(symbol)
        )

    def accept(self, order: RefOrder, *, is_pending: bool = False) -> None:
        """Give an admitted order its number and its hold, and state it."""
        self.last_order_id += 1
        order.order_id = self.last_order_id
        order.display_quantity, order.trigger_price = order.terms.display_quantity, order.terms.trigger_price
        if order.terms.type in WAITS:
            order.status = OrderStatus.UNTRIGGERED
            self.arm(order)
        if is_pending:
            order.status = OrderStatus.PENDING
        self.open.append(order)
        self.mention(order.terms.account_id, order.hold_asset)
        self._advance(order, OrderAccepted)

    def _repeated(self, command: PlaceList, known: Sequence[RefOrder | None]) -> Outcome | None:
        """Return the answer to a list that was placed before; raises Refused if an id was used for something else."""
        if not any(known):
            return None
        first = known[0]
        if first is None or first.order_list is None or not same_terms(first.terms, command.orders[0]):
            raise Refused(RejectReason.CLIENT_ORDER_ID_REUSED, "client_order_id")
        found = first.order_list
        states = tuple(o.state() for o in found.orders if o in self.open or o in self.closed)
        return Outcome(0, 0, duplicate=True, orders=states, order_list_id=found.order_list_id)

    def _crosses(self, terms: PlaceOrder) -> bool:
        """Return whether an order would trade at once."""
        best = self.best(terms.symbol, opposite(terms.side))[0]
        if terms.type is not OrderType.LIMIT or terms.post_only is not None or terms.price is None or not best:
            return False
        return terms.price >= best if terms.side is Side.BUY else terms.price <= best


def same_terms(ours: PlaceOrder, theirs: PlaceOrder) -> bool:
    """Return whether two commands ask for the same order; the session does not matter."""
    return all(getattr(ours, name) == getattr(theirs, name) for name in ours.__struct_fields__ if name != "session_id")


def check_list(command: PlaceList) -> None:
    """Refuse orders that make no list of this kind."""
    orders, kind = command.orders, command.kind
    names = [terms.client_order_id for terms in orders if terms.client_order_id is not None]
    sound = (
        len(orders) in SIZES[kind]
        and len(set(names)) == len(names)
        and len({(terms.account_id, terms.symbol) for terms in orders}) == 1
        and orders[0].account_id == command.account_id
        and len({terms.quantity for terms in orders}) == 1
        and all(terms.quote_quantity is None and not terms.reduce_only for terms in orders)
        and all(lasts(terms, is_entry=kind is not ListKind.OCO and not n) for n, terms in enumerate(orders))
    )
    if sound and kind is ListKind.OCO:
        sound = orders[0].side is orders[1].side
    if sound and kind is ListKind.BRACKET:
        sides = {terms.side for terms in orders[1:]}
        sound = orders[1].type in TARGETS and orders[2].type in STOPS and sides == {opposite(orders[0].side)}
    if not sound:
        raise Refused(INVALID, "orders")


def lasts(terms: PlaceOrder, *, is_entry: bool) -> bool:
    """Return whether an order may wait; an entry may be a market order."""
    return terms.time_in_force not in AT_ONCE or (
        is_entry and terms.type is OrderType.MARKET and terms.time_in_force is Tif.IOC
    )
