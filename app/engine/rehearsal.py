"""Whether an order could be filled whole right now: the sweep of a fill-or-kill order, without making it."""

from collections import deque
from collections.abc import Iterator

from app.engine import matching
from app.engine.book import Book, PriceLevel
from app.engine.links import peer_of
from app.engine.owner import one_owner
from app.engine.state import Order


def fillable(book: Book, taker: Order, timestamp_ns: int) -> bool:
    """Return whether a fill-or-kill order can be filled whole: before it meets its owner, or the breaker stops it.

    Walks at most matching.COMMAND_ORDER_OPERATIONS_MAX orders: what match could not do is not fillable.
    """
    trail = book.trail
    base = None if trail is None else trail.base(timestamp_ns)
    opposite = book.asks if taker.is_buy else book.bids
    wanted = taker.remaining
    operations = 0
    parted: set[int] = set()
    for level in opposite.best_first():
        if not taker.reaches(level.price):
            return False
        if trail is not None:
            if not trail.admits(level.price, base):
                return False
            if trail.is_young(timestamp_ns):
                base = level.price
        for order, lots in _meetings(level, parted):
            if operations >= matching.COMMAND_ORDER_OPERATIONS_MAX or one_owner(taker, order):
                return False
            operations += 1
            wanted -= lots
            if wanted <= 0:
                return True
    return False


def _meetings(level: PriceLevel, parted: set[int]) -> Iterator[tuple[Order, int]]:
    """Yield the orders of a level with the lots they show, as a sweep meets them: icebergs again, behind all others.

    `parted` are ids of orders that ended because the one they are paired with was met; it grows on the way.
    """
    again: deque[tuple[Order, int]] = deque()
    order = level.head
    while order is not None:
        if order.order_id not in parted:
            peer = peer_of(order)
            if peer is not None:
                parted.add(peer.order_id)
            shown = order.shown
            yield order, shown
            if shown < order.remaining:
                again.append((order, order.remaining - shown))
        order = order.behind
    while again:
        order, hidden = again.popleft()
        assert order.extras is not None
        assert order.extras.display_quantity is not None
        shown = min(order.extras.display_quantity, hidden)
        yield order, shown
        if shown < hidden:
            again.append((order, hidden - shown))
