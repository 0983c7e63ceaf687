"""So many orders a second and no more, whatever comes in how large pieces."""

from app.domain.commands import AmendOrder, PlaceBatch, PlaceOrder
from app.domain.enums import OrderType, Side
from app.sequencer.throttle import OrderThrottle

ORDER = PlaceOrder(1, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1)


class Clock:
    """Seconds, moved by hand."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def test_a_second_has_its_orders_and_a_pause_saves_up_no_more_than_one_second() -> None:
    clock = Clock()
    throttle = OrderThrottle(3, clock)
    assert [throttle.takes(ORDER) for _ in range(4)] == [True, True, True, False]
    clock.now_s += 0.4
    assert [throttle.takes(AmendOrder(1, 1, None, 2)), throttle.takes(ORDER)] == [True, False]
    clock.now_s += 3_600
    assert [throttle.takes(ORDER) for _ in range(4)] == [True, True, True, False]


def test_a_batch_passes_as_a_whole_and_what_it_overdraws_is_waited_for() -> None:
    clock = Clock()
    throttle = OrderThrottle(2, clock)
    assert throttle.takes(PlaceBatch(1, (ORDER,) * 6, False))
    clock.now_s += 2.4
    assert not throttle.takes(ORDER)
    clock.now_s += 0.2
    assert throttle.takes(ORDER)
