"""The message rate."""

from app.streaming.limits import MessageRate


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_burst_passes_and_the_rate_refills_it() -> None:
    clock = Clock()
    rate = MessageRate(10, 3, clock)
    assert [rate.take() for _ in range(4)] == [0, 0, 0, 100]
    clock.now_s += 0.1
    assert rate.take() == 0
    assert rate.take() > 0


def test_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    rate = MessageRate(10, 3, clock)
    clock.now_s += 1000
    assert [bool(rate.take()) for _ in range(4)] == [False, False, False, True]


def test_refusals_count_until_the_client_pauses() -> None:
    clock = Clock()
    rate = MessageRate(10, 4, clock)
    for _ in range(10):
        rate.take()
    assert rate.refusals == 6
    clock.now_s += 0.1
    rate.take()
    assert rate.refusals == 6
    clock.now_s += 1
    rate.take()
    assert rate.refusals == 0


def test_no_rate_is_no_limit() -> None:
    rate = MessageRate(None, 1, Clock())
    assert not any(rate.take() for _ in range(1000))
