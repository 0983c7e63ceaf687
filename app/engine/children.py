"""Children of a list: what they do when their parent trades.

They wait with nothing held. At the end of every command in which the parent traded, each open child begins, or
grows, to what the parent traded in all. One that would have to trade, and may not now, is queued with the fired
orders (trigger_queue.py) and follows in a Tick.
"""

from app.domain.enums import InstrumentStatus, OrderReason, OrderStatus, OrderType
from app.domain.events import OrderAmended, OrderTriggered
from app.engine import matching, risk
from app.engine.bounds import INTEGER_MAX
from app.engine.desk import Desk
from app.engine.links import Link, link_of
from app.engine.state import Order

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_INSTRUMENT_OPEN = InstrumentStatus.OPEN
_LIMIT = OrderType.LIMIT
_OPEN = OrderStatus.OPEN
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_REASON_INSUFFICIENT_BALANCE = OrderReason.INSUFFICIENT_BALANCE
_REASON_POST_ONLY = OrderReason.POST_ONLY
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP


class Children(Desk):
    """Lets children follow their parents."""

    __slots__ = ()

    def serve_parents(self) -> None:
        """Serve the children of all parents that traded in the command.

        What children do may let other parents trade, which are served after those.
        """
        links = self._matcher.links
        while links.filled_parents:
            order_list_id = next(iter(links.filled_parents))
            parent = links.filled_parents.pop(order_list_id)
            link = link_of(parent)
            assert link is not None
            link.order_list.filled = parent.filled
            for child in links.children(link.order_list):
                self.serve(child)

    def serve(self, child: Order) -> None:
        """Let a child follow its parent, or queue it if it would have to trade and may not now."""
        link = link_of(child)
        assert link is not None
        filled = self._filled(link)
        if child.order_id not in child.account.open_orders or filled <= link.granted:
            return
        trades = child.terms.type is _LIMIT or child.level is not None
        is_late = self._matcher.met >= matching.COMMAND_ORDER_OPERATIONS_MAX and child.status is not _UNTRIGGERED
        if is_late or (trades and child.book.instrument.status is not _INSTRUMENT_OPEN):
            triggers = child.book.triggers
            if triggers is None or child.order_id not in triggers.fired:
                self._watch.fire(child)
            return
        if child.status is not _UNTRIGGERED:
            self._watch.disarm(child)
        self._recorder.books[child.book.symbol] = child.book
        if link.is_pending:
            self._begin(child, link, filled)
        else:
            self._grow(child, link, filled)

    def _filled(self, link: Link) -> int:
        """Return what the parent traded in all, also in the command that is not done."""
        order_list = link.order_list
        parent = self._matcher.links.filled_parents.get(order_list.order_list_id)
        if parent is not None:
            order_list.filled = parent.filled
        return order_list.filled

    def _begin(self, child: Order, link: Link, filled: int) -> None:
        """Activate a pending child for what its parent traded."""
        terms, extras = child.terms, child.extra()
        waits = terms.type is not _LIMIT
        before = child.price, extras.trigger_price
        child.remaining = link.granted = filled
        if terms.trailing_offset is not None:
            # Its parent has traded, so that there is a price to start from.
            extras.trigger_price, extras.watermark = risk.first_trigger(terms, child.book)
            assert extras.trigger_price is not None
            child.price = risk.price_within(extras.trigger_price, extras.slippage, is_buy=child.is_buy)
        # A price that no event could state holds nothing either.
        is_stateable = child.price <= INTEGER_MAX
        if not is_stateable or self._ledger.hold(child):
            child.price, extras.trigger_price = before
            self._matcher.cancel(child, _REASON_INSUFFICIENT_BALANCE if is_stateable else _REASON_SLIPPAGE_CAP)
            return
        takes = not waits and terms.post_only is not None and self._would_take(child) and not self._reprice(child)
        self._ledger.hold(child)
        self._recorder.order(OrderTriggered, child, _UNTRIGGERED if waits else _OPEN, None, filled)
        if waits:
            self._watch.arm(child)
        elif takes:
            self._matcher.cancel(child, _REASON_POST_ONLY)
        else:
            self._enter(child)

    def _grow(self, child: Order, link: Link, filled: int) -> None:
        """Let an active child grow to what its parent traded; one that rests goes to the back of its level."""
        resting, granted = child.remaining, link.granted
        child.remaining, link.granted = filled - child.filled, filled
        if self._ledger.hold(child):
            child.remaining, link.granted = resting, granted
            self._matcher.cancel(child, _REASON_INSUFFICIENT_BALANCE)
            return
        rests = child.level is not None
        if rests:
            # The level needs the old remaining quantity to let the order go.
            grown, child.remaining = child.remaining, resting
            (child.book.bids if child.is_buy else child.book.asks).remove(child)
            child.remaining = grown
        self._recorder.order(OrderAmended, child, child.status, None, filled)
        if rests:
            self._enter(child)

    def _enter(self, child: Order) -> None:
        """Let a child meet the book, unless no event could state what it may trade or show there."""
        if risk.check_sums(child.book, child.terms.side, child.price, child.remaining, child) is not None:
            self._matcher.cancel(child, _REASON_SLIPPAGE_CAP)
        else:
            self._execute(child)
