"""What an order of a list knows of the others: the one that must end before it trades, and what its parent filled.

Only two orders of a pair refer to each other, and only while both are open: the engine runs without the garbage
collector, so no cycle may stay behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.domain.enums import ListKind, OrderReason

if TYPE_CHECKING:
    from app.engine.ledger import Ledger
    from app.engine.recorder import Recorder
    from app.engine.state import Order, State

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_BRACKET = ListKind.BRACKET
_OCO = ListKind.OCO
_REASON_OCO_PEER = OrderReason.OCO_PEER
_REASON_PARENT_ENDED = OrderReason.PARENT_ENDED


class OrderList:
    """Orders that were placed together and depend on each other, by their ids in the order they were given."""

    __slots__ = ("filled", "kind", "order_ids", "order_list_id")

    def __init__(self, order_list_id: int, kind: ListKind, order_ids: tuple[int, ...]) -> None:
        self.order_list_id = order_list_id
        self.kind = kind
        self.order_ids = order_ids
        self.filled = 0
        """Lots that the parent had traded when its children were last told of it; it may be forgotten by then."""

    @property
    def child_ids(self) -> tuple[int, ...]:
        """Orders that wait for the first one to trade."""
        return () if self.kind is _OCO else self.order_ids[1:]

    @property
    def pair_ids(self) -> tuple[int, ...]:
        """The two orders of which one may trade; empty if the list has no such two."""
        if self.kind is _OCO:
            return self.order_ids
        return self.order_ids[1:] if self.kind is _BRACKET else ()


class Link:
    """The place of one order in its list."""

    __slots__ = ("granted", "is_child", "is_parent", "order_list", "peer")

    def __init__(self, order_list: OrderList, order_id: int) -> None:
        self.order_list = order_list
        self.is_child = order_id in order_list.child_ids
        self.is_parent = not self.is_child and bool(order_list.child_ids)
        self.granted = 0
        """Of a child: the lots of its parent that it follows; 0 while it is pending."""
        self.peer: Order | None = None
        """The order that must end before this one trades, while both are open."""

    @property
    def is_pending(self) -> bool:
        """Whether it is a child whose parent has not traded: it holds nothing."""
        return self.is_child and not self.granted


def link_of(order: Order) -> Link | None:
    """Return an order's place in its list, or None if it stands for itself."""
    return None if order.extras is None else order.extras.link


def peer_of(order: Order) -> Order | None:
    """Return the open order that must end before this one trades, or None."""
    link = link_of(order)
    return None if link is None else link.peer


def pair(one: Order, other: Order) -> None:
    """Let only one of two orders of a list trade."""
    for order, peer in ((one, other), (other, one)):
        link = link_of(order)
        assert link is not None, f"order {order.order_id} is in no list"
        link.peer = peer


def unpair(order: Order) -> Order | None:
    """Let an order stand for itself; returns the one that it was paired with, or None."""
    peer = peer_of(order)
    if peer is not None:
        for each in (order, peer):
            link = link_of(each)
            assert link is not None
            link.peer = None
    return peer


class Links:
    """Lets orders of a list act upon each other; the matcher tells it of prints and endings."""

    __slots__ = ("_cancel", "_ledger", "_orders", "_recorder", "filled_parents")

    def __init__(
        self, state: State, ledger: Ledger, recorder: Recorder, cancel: Callable[[Order, OrderReason], None]
    ) -> None:
        self._orders = state.orders
        self._ledger = ledger
        self._recorder = recorder
        self._cancel = cancel
        self.filled_parents: dict[int, Order] = {}
        """Parents that traded in this command and whose children were not told, by list; the first to trade first."""

    def before_print(self, order: Order) -> None:
        """Prepare an order of a list for its next print."""
        link = link_of(order)
        assert link is not None, f"order {order.order_id} is in no list"
        if link.is_parent:
            self.filled_parents.setdefault(link.order_list.order_list_id, order)
        if link.peer is not None:
            self.part(order)

    def part(self, order: Order) -> None:
        """End the other one of a pair before this one acts; what both held is then this one's."""
        peer = unpair(order)
        if peer is not None:
            self._end(peer, _REASON_OCO_PEER)
            missing = self._ledger.hold(order)
            assert not missing, f"order {order.order_id} needs {missing} more than its pair held"

    def after_end(self, order: Order) -> None:
        """End what does not outlive an order of a list that was canceled or expired."""
        link = link_of(order)
        assert link is not None, f"order {order.order_id} is in no list"
        peer = unpair(order)
        if peer is not None and order.reason is not _REASON_PARENT_ENDED:
            self._end(peer, _REASON_OCO_PEER)
        if link.is_parent and not order.filled:
            for child in self.children(link.order_list):
                self._end(child, _REASON_PARENT_ENDED)

    def children(self, order_list: OrderList) -> list[Order]:
        """Return the open children of a list, in the order they were given."""
        known = [self._orders.get(order_id) for order_id in order_list.child_ids]
        return [order for order in known if order is not None and order.order_id in order.account.open_orders]

    def _end(self, order: Order, reason: OrderReason) -> None:
        self._recorder.books[order.book.symbol] = order.book
        self._cancel(order, reason)
