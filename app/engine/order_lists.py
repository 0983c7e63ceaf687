"""Order lists: orders placed in one command that depend on each other.

Two of which only one trades (OCO), one whose fills activate the others (OTO), or both (bracket: an entry, then
its target and its stop). A list is refused or accepted as a whole; what its orders do to each other later is in
links.py and children.py.
"""

from collections.abc import Sequence

import msgspec

from app.domain.commands import PlaceList, PlaceOrder
from app.domain.enums import ListKind, OrderReason, OrderStatus, OrderType, RejectReason, TimeInForce
from app.domain.events import Rejection
from app.domain.outcomes import Outcome
from app.engine import risk
from app.engine.book import Book
from app.engine.desk import Desk, Parts
from app.engine.links import Link, OrderList, link_of, pair
from app.engine.orders import OrderDesk, is_same
from app.engine.recorder import refuse
from app.engine.state import Account, Order

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_LIMIT, _MARKET = OrderType.LIMIT, OrderType.MARKET
_TARGETS = frozenset({_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_IOC = TimeInForce.IOC
_SIZES = {ListKind.OCO: (2,), ListKind.OTO: (2, 3), ListKind.BRACKET: (3,)}
_BRACKET, _OCO = ListKind.BRACKET, ListKind.OCO
_OPEN, _PENDING, _UNTRIGGERED = OrderStatus.OPEN, OrderStatus.PENDING, OrderStatus.UNTRIGGERED
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP


class _ChildDesk(OrderDesk):
    """Admits children: they meet the book once their parent trades, so that nothing crosses before."""

    __slots__ = ()

    def _post_only_price(self, book: Book, terms: PlaceOrder, price: int) -> tuple[int, Rejection | None]:
        return price, None


class ListDesk(Desk):
    """Executes PlaceList."""

    __slots__ = ("_child_desk", "_desk")

    def __init__(self, parts: Parts, desk: OrderDesk) -> None:
        super().__init__(parts)
        self._desk = desk
        self._child_desk = _ChildDesk(parts)

    def place(self, command: PlaceList) -> Outcome:
        """Check every order against the state before the list, then accept all, then execute them in order."""
        account = self._state.accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        known = [account.client_ids.get(terms.client_order_id or "") for terms in command.orders]
        if any(known):
            return self._repeated(command, known[0])
        if not is_sound(command):
            return self._outcome(rejection=refuse(RejectReason.INVALID_REQUEST, field="orders"))
        book = self._state.books.get(command.orders[0].symbol)
        if book is None:
            return self._outcome(rejection=refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol"))
        if command.kind is _OCO and all(crosses(terms, book) for terms in command.orders):
            return self._outcome(rejection=refuse(RejectReason.INVALID_REQUEST, field="orders"))
        admitted: list[Order] = []
        for place, terms in enumerate(command.orders):
            order = self._admit(terms, account, book, command, is_child=place > 0 and command.kind is not _OCO)
            if isinstance(order, Rejection):
                return self._outcome(rejection=order)
            admitted.append(order)
        return self._accept(command.kind, admitted)

    def _repeated(self, command: PlaceList, first: Order | None) -> Outcome:
        """Answer a list whose ids were seen before: its orders as they are now, or a refusal."""
        link = None if first is None else link_of(first)
        if first is None or link is None or not is_same(command.orders[0], first.terms):
            return self._outcome(rejection=refuse(RejectReason.CLIENT_ORDER_ID_REUSED, field="client_order_id"))
        found = [self._state.orders.get(order_id) for order_id in link.order_list.order_ids]
        states = tuple([order.snapshot() for order in found if order is not None])
        return self._outcome(orders=states, duplicate=True, order_list_id=link.order_list.order_list_id)

    def _admit(
        self, terms: PlaceOrder, account: Account, book: Book, command: PlaceList, *, is_child: bool
    ) -> Order | Rejection:
        """Run every check of one order; children hold nothing yet."""
        desk = self._child_desk if is_child else self._desk
        order = desk.admit(terms, account, book, len(command.orders))
        if isinstance(order, Order) and not is_child:
            missing = self._ledger.required_hold(order) - order.balance.available
            if missing > 0:
                return self.insufficient(order, missing)
        return order

    def _accept(self, kind: ListKind, orders: Sequence[Order]) -> Outcome:
        state, book = self._state, orders[0].book
        state.last_order_list_id += 1
        first_id = state.last_order_id + 1
        order_list = OrderList(state.last_order_list_id, kind, tuple(range(first_id, first_id + len(orders))))
        for order_id, order in zip(order_list.order_ids, orders, strict=True):
            join(order, order_list, order_id)
            self._desk.enlist(order)
        if order_list.pair_ids:
            pair(*orders[-2:])
        for order in orders:
            missing = self._ledger.hold(order)
            assert not missing, f"order {order.order_id} was admitted with {missing} missing"
        for order in orders:
            self._desk.accept(order)
            if order.status is _UNTRIGGERED:
                self._watch.arm(order)
        self._recorder.books[book.symbol] = book
        for order in orders:
            if order.status is _OPEN:
                self._execute_in_list(order)
        states = tuple([order.snapshot() for order in orders])
        return self._outcome(orders=states, order_list_id=order_list.order_list_id, book=self._recorder.top(book))

    def _execute_in_list(self, order: Order) -> None:
        """Let an order meet the book, unless an earlier one of its list left no room for it."""
        if risk.check_sums(order.book, order.terms.side, order.price, order.remaining, order) is not None:
            self._matcher.cancel(order, _REASON_SLIPPAGE_CAP)
        else:
            self._execute(order)


def join(order: Order, order_list: OrderList, order_id: int) -> None:
    """Give an admitted order its number and its place in a list."""
    link = Link(order_list, order_id)
    order.order_id = order_id
    order.extra().link = link
    order.state = msgspec.structs.replace(
        order.state,
        order_id=order_id,
        order_list_id=order_list.order_list_id,
        status=_PENDING if link.is_child else order.state.status,
    )


def is_sound(command: PlaceList) -> bool:
    """Return whether the orders make a list of this kind."""
    orders, kind = command.orders, command.kind
    if len(orders) not in _SIZES[kind]:
        return False
    names = [terms.client_order_id for terms in orders if terms.client_order_id is not None]
    first, *others = orders
    if len(set(names)) < len(names) or not all(map(may_wait, others if kind is not _OCO else orders)):
        return False
    if kind is not _OCO and not (may_wait(first) or (first.type is _MARKET and first.time_in_force is _IOC)):
        return False
    alike = {(terms.account_id, terms.symbol, terms.quantity) for terms in orders}
    if alike != {(command.account_id, first.symbol, first.quantity)}:
        return False
    if any(terms.quote_quantity is not None or terms.reduce_only for terms in orders):
        return False
    if kind is _OCO:
        return first.side is others[0].side
    if kind is _BRACKET:
        target, stop = others
        return target.type in _TARGETS and stop.type in _STOPS and target.side is stop.side is not first.side
    return True


def may_wait(terms: PlaceOrder) -> bool:
    """Return whether an order stays until something happens."""
    return terms.time_in_force not in _AT_ONCE


def crosses(terms: PlaceOrder, book: Book) -> bool:
    """Return whether an order would trade at once."""
    best = book.opposite(terms.side).best
    if best is None or terms.type is not _LIMIT or terms.post_only is not None or terms.price is None:
        return False
    return terms.price >= best.price if book.side(terms.side) is book.bids else terms.price <= best.price
