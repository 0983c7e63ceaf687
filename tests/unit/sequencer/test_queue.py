"""The leader's queue: how many commands fit, as fast as the engine and its commits are."""

from app.domain.commands import CancelOrder, PlaceOrder
from app.domain.enums import OrderType, Side
from app.sequencer.queue import (
    CANCEL_RESERVE,
    QUEUE_COMMANDS_MAX,
    QUEUE_COMMANDS_MIN,
    QUEUE_WORK_MAX_S,
    CommandQueue,
    Queued,
)

ORDER = PlaceOrder(1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1)
CANCEL = CancelOrder(1001, 1)


def test_expensive_commands_leave_fewer_places_and_cancels_keep_theirs() -> None:
    queue = CommandQueue()
    queue.worked(100, 100 * 25e-6)
    assert queue.orders_max == round(QUEUE_WORK_MAX_S / 25e-6)
    for _ in range(200):
        queue.worked(1, 0.01)
    assert queue.orders_max == QUEUE_COMMANDS_MIN
    for _ in range(400):
        queue.worked(100, 100 * 1e-6)
    assert queue.orders_max == QUEUE_COMMANDS_MAX - CANCEL_RESERVE
    for _ in range(100):
        queue.committed(0.1)
    queue.worked(100, 100 * 1e-6)
    assert queue.orders_max == QUEUE_COMMANDS_MIN, "commits are what is slow"
    queue.extend([Queued(ORDER, b"", 0.0, 0.0, 0, None)] * QUEUE_COMMANDS_MIN)
    assert (queue.has_room(ORDER), queue.has_room(CANCEL)) == (False, True)
