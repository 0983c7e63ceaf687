"""What is wrong around the leader, as a clock moved by hand shows it."""

import pytest

from app.domain.commands import CancelAll, CancelOrder, Deposit, PlaceBatch, PlaceOrder
from app.domain.enums import OrderType, Side
from app.protocol.modes import Mode, Part
from app.sequencer.modes import COMMIT_AGE_MAX_S, OUTAGE_S, SLOW_S, SLOW_SHOWN_S, LeaderModes

ORDER = PlaceOrder(1, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1)


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def modes(clock: Clock) -> LeaderModes:
    return LeaderModes(standbys_wanted=1, clock_s=clock)


def found(modes: LeaderModes) -> dict[Part, Mode]:
    modes.evaluate()
    return {finding.part: finding.mode for finding in modes.findings}


def test_a_leader_with_everything_around_it_is_normal(modes: LeaderModes) -> None:
    modes.standbys, modes.disk_free = 1, 0.9
    assert (found(modes), modes.mode, modes.cancel_only) == ({}, Mode.NORMAL, None)


def test_what_nobody_could_measure_is_not_held_against_it(modes: LeaderModes) -> None:
    assert found(modes) == {}


@pytest.mark.parametrize(
    ("free", "mode"), [(0.21, None), (0.19, Mode.DEGRADED), (0.11, Mode.DEGRADED), (0.09, Mode.CANCEL_ONLY)]
)
def test_a_volume_that_fills_up_is_shown_and_then_takes_cancels_only(
    modes: LeaderModes, free: float, mode: Mode | None
) -> None:
    modes.disk_free = free
    assert found(modes).get(Part.DISK) == mode


def test_a_volume_at_the_bound_does_not_flap(modes: LeaderModes) -> None:
    seen = []
    for free in (0.11, 0.09, 0.11, None, 0.13, 0.11):
        modes.disk_free = free
        seen.append(found(modes)[Part.DISK])
    closed, low = Mode.CANCEL_ONLY, Mode.DEGRADED
    assert seen == [low, closed, closed, closed, low, low]


def test_only_what_adds_to_the_market_waits(modes: LeaderModes) -> None:
    modes.disk_free = 0.05
    modes.evaluate()
    assert [modes.refuses(command) for command in (ORDER, PlaceBatch(1, (ORDER,), True))] == [True, True]
    passing = (CancelOrder(1, 1), CancelAll(1), Deposit(1, "USD", "1", "t"))
    assert not any(modes.refuses(command) for command in passing)


def test_a_commit_without_an_answer_stops_everything_until_it_comes(modes: LeaderModes, clock: Clock) -> None:
    modes.begin_commit()
    clock.now_s += COMMIT_AGE_MAX_S + 0.1
    assert found(modes) == {Part.DATABASE: Mode.READ_ONLY}
    assert not modes.commits_at(clock.now_s)
    modes.end_commit()
    assert modes.commits_at(clock.now_s)
    assert found(modes) == {Part.DATABASE: Mode.DEGRADED}, "it was slow a moment ago"
    clock.now_s += SLOW_SHOWN_S
    assert found(modes) == {}


def test_a_slow_commit_is_shown_for_a_while(modes: LeaderModes, clock: Clock) -> None:
    modes.begin_commit()
    clock.now_s += SLOW_S + 0.1
    modes.end_commit()
    assert found(modes) == {Part.DATABASE: Mode.DEGRADED}
    for _ in range(3):
        modes.begin_commit()
        modes.end_commit()
    assert found(modes) == {Part.DATABASE: Mode.DEGRADED}
    clock.now_s += SLOW_SHOWN_S
    assert found(modes) == {}


def test_an_outage_reopens_with_cancels_and_a_pause_does_not(clock: Clock) -> None:
    modes = LeaderModes(reopen_s=10.0, clock_s=clock)
    modes.after_silence(OUTAGE_S - 0.1)
    assert found(modes) == {}
    modes.begin_commit()
    clock.now_s += OUTAGE_S + 0.1
    modes.end_commit()
    assert modes.refuses(ORDER)
    assert found(modes)[Part.REOPENING] is Mode.CANCEL_ONLY
    clock.now_s += 10.0
    modes.evaluate()
    assert not modes.refuses(ORDER)


def test_reopening_can_be_switched_off(clock: Clock) -> None:
    modes = LeaderModes(reopen_s=0.0, clock_s=clock)
    modes.after_silence(OUTAGE_S * 10)
    assert found(modes) == {}


def test_a_projection_that_is_far_behind_throttles_orders_until_it_caught_up_by_half(clock: Clock) -> None:
    modes = LeaderModes(projection_lag_max_s=60.0, throttled_orders_per_s=2, clock_s=clock)
    seen = []
    for lag_s in (0.0, 60.0, 60.1, 31.0, None, 29.9, 31.0):
        modes.projection_lag_s = lag_s
        seen.append(found(modes).get(Part.PROJECTION))
    late = Mode.DEGRADED
    assert seen == [None, None, late, late, late, None, None]
    assert [modes.throttles(ORDER) for _ in range(3)] == [False] * 3, "nothing is counted while it is not late"
    modes.projection_lag_s = 61.0
    modes.evaluate()
    assert [modes.throttles(ORDER) for _ in range(3)] == [False, False, True]
    assert not any(
        modes.throttles(command) for command in (CancelOrder(1, 1), CancelAll(1), Deposit(1, "USD", "1", "t"))
    )
    assert not modes.refuses(ORDER)


def test_throttling_can_be_switched_off(clock: Clock) -> None:
    modes = LeaderModes(projection_lag_max_s=0.0, clock_s=clock)
    modes.projection_lag_s = 1e6
    assert found(modes) == {}


def test_a_missing_standby_and_a_missing_bus_only_degrade(modes: LeaderModes) -> None:
    modes.standbys, modes.bus_fault = 0, "refused"
    assert found(modes) == {Part.STANDBY: Mode.DEGRADED, Part.REDIS: Mode.DEGRADED}
    assert not modes.refuses(ORDER)
