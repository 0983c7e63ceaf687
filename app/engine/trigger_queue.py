"""Runs fired orders: in a Tick each becomes the limit or market order that it stands for.

Orders run in the order in which they fired, over all books; those of an instrument that is not open keep
their place. Band and limits were checked when the order was accepted and are not checked again.
"""

from heapq import heapify, heappop, heapreplace

from app.domain.enums import AccountStatus, InstrumentStatus, OrderReason, OrderStatus, OrderType, TimeInForce
from app.domain.events import OrderTriggered
from app.engine import controls, matching, risk
from app.engine.book import Book
from app.engine.children import Children
from app.engine.desk import Desk, Parts
from app.engine.kill_switch import scope_on
from app.engine.rehearsal import fillable
from app.engine.state import Order

TICK_TRIGGERS_MAX = 256
"""Fired orders that one Tick runs; fewer when they meet as many resting orders as a command may."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_FROZEN = AccountStatus.FROZEN
_INSTRUMENT_OPEN = InstrumentStatus.OPEN
_REASON_ACCOUNT_FROZEN = OrderReason.ACCOUNT_FROZEN
_REASON_IOC_REMAINDER = OrderReason.IOC_REMAINDER
_REASON_NO_LIQUIDITY = OrderReason.NO_LIQUIDITY
_REASON_POST_ONLY = OrderReason.POST_ONLY
_REASON_REDUCE_ONLY = OrderReason.REDUCE_ONLY
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP
_OPEN = OrderStatus.OPEN
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_TRAILING_STOP = OrderType.TRAILING_STOP
_FOK = TimeInForce.FOK


class TriggerQueue(Desk):
    """The queue that Ticks work off: fired orders, and children that could not follow their parent at once."""

    __slots__ = ("_children",)

    def __init__(self, parts: Parts, children: Children) -> None:
        super().__init__(parts)
        self._children = children

    @property
    def is_waiting(self) -> bool:
        """Whether an order has fired that may run now."""
        return any(self._head(book) is not None for book in self._books())

    def run_slice(self) -> None:
        """Run fired orders, first fired first."""
        heads = [head for book in self._books() if (head := self._head(book)) is not None]
        heapify(heads)
        ran = met = 0
        while heads and ran < TICK_TRIGGERS_MAX and met < matching.COMMAND_ORDER_OPERATIONS_MAX:
            number, _, order = heads[0]
            if self._head(order.book) == heads[0]:
                self._matcher.met = 0
                self._run_fired(order)
                met += self._matcher.met
                ran += 1
            # What ran may have ended others of its book, or halted it.
            following = self._head(order.book)
            if following is None:
                heappop(heads)
            else:
                assert following[0] > number, f"order {order.order_id} ran and is still queued"
                heapreplace(heads, following)

    def _books(self) -> list[Book]:
        """Return the books in which orders have fired."""
        firing = self._state.firing
        books = list(firing.values())
        for book in books:
            if book.triggers is None or not book.triggers.fired:
                del firing[book.instrument.symbol]
        return books

    def _head(self, book: Book) -> tuple[int, int, Order] | None:
        """Return the first fired order of a book that may run: when it fired, its id, and itself."""
        triggers = book.triggers
        if triggers is None or book.instrument.status is not _INSTRUMENT_OPEN:
            return None
        for number, order in triggers.fired.values():
            if scope_on(self._state, order.account, book) is None:
                return number, order.order_id, order
        return None

    def _run_fired(self, order: Order) -> None:
        assert order.book.triggers is not None
        del order.book.triggers.fired[order.order_id]
        self._recorder.books[order.terms.symbol] = order.book
        if order.account.status is _FROZEN:
            self._matcher.cancel(order, _REASON_ACCOUNT_FROZEN)
        elif order.status is _UNTRIGGERED:
            self._run(order)
        else:
            self._children.serve(order)

    def _run(self, order: Order) -> None:
        """Let an order that waits for nothing any more act as the limit or market order that it becomes."""
        terms, book, extras = order.terms, order.book, order.extras
        if extras is not None and extras.link is not None:
            self._matcher.links.part(order)
        if terms.type is _TRAILING_STOP:
            assert extras is not None
            assert extras.trigger_price is not None
            order.price = risk.price_within(extras.trigger_price, extras.slippage, is_buy=order.is_buy)
        takes = terms.post_only is not None and self._would_take(order) and not self._reprice(order)
        missing = self._ledger.hold(order)
        assert not missing, f"order {order.order_id} needs {missing} more than it held while it waited"
        self._recorder.order(OrderTriggered, order, _OPEN, None, order.quantity)
        if takes:
            self._matcher.cancel(order, _REASON_POST_ONLY)
            return
        if controls.check_reduce_only(order.account, book, terms, order.remaining, order) is not None:
            self._matcher.cancel(order, _REASON_REDUCE_ONLY)
        elif risk.check_sums(book, terms.side, order.price, order.remaining, order) is not None:
            # Prices rose, or its level filled, while it waited: no event could state what it may trade or show.
            self._matcher.cancel(order, _REASON_SLIPPAGE_CAP)
        elif terms.price is None and book.opposite(terms.side).best is None:
            self._matcher.cancel(order, _REASON_NO_LIQUIDITY)
        elif terms.time_in_force is _FOK and not fillable(book, order, self._state.timestamp_ns):
            self._matcher.cancel(order, _REASON_IOC_REMAINDER)
        else:
            self._execute(order)
