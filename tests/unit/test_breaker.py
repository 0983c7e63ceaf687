"""The circuit breaker, with a clock moved by hand."""

import asyncio

import pytest

from app.breaker import FAILURES_IN_A_ROW, JITTER, OPEN_FIRST_S, OPEN_MAX_S, WINDOW_CALLS, Breaker


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
def breaker(clock: Clock) -> Breaker:
    return Breaker("redis", clock_s=clock, jitter=lambda: 0.0)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.fail()


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not(breaker: Breaker) -> None:
    fail(breaker, FAILURES_IN_A_ROW - 1)
    breaker.succeed()
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert (breaker.is_open, breaker.admit()) == (False, 0)
    breaker.fail()
    assert breaker.is_open
    assert breaker.admit() == OPEN_FIRST_S * 1000


def test_every_second_call_that_fails_opens_it_too(breaker: Breaker) -> None:
    for _ in range(WINDOW_CALLS // 2 - 1):
        breaker.succeed()
        breaker.fail()
    assert not breaker.is_open
    breaker.succeed()
    breaker.fail()
    assert breaker.is_open


def test_one_probe_at_a_time_and_its_answer_closes_it(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    clock.now_s += OPEN_FIRST_S
    assert breaker.admit() == 0
    assert breaker.admit() > 0
    breaker.succeed()
    assert (breaker.is_open, breaker.admit()) == (False, 0)


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    waits = []
    for _ in range(4):
        waits.append(breaker.admit() / 1000)
        clock.now_s += waits[-1]
        assert breaker.admit() == 0
        breaker.fail()
    assert waits == [OPEN_FIRST_S, OPEN_FIRST_S * 2, OPEN_MAX_S, OPEN_MAX_S]


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_it(breaker: Breaker) -> None:
    breaker.trip()
    fail(breaker, 10)
    assert breaker.admit() == OPEN_FIRST_S * 1000


def test_a_canceled_probe_leaves_its_place_to_another(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    clock.now_s += OPEN_FIRST_S
    assert breaker.admit() == 0
    with pytest.raises(asyncio.CancelledError), breaker.judging((OSError,)):
        raise asyncio.CancelledError
    assert breaker.is_open
    assert breaker.admit() == 0


def test_a_refusal_of_the_dependency_is_no_failure(breaker: Breaker) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(ValueError, match="a mistake"), breaker.judging((OSError,)):
            raise ValueError("a mistake of ours")
    assert not breaker.is_open


def test_replicas_do_not_probe_together(clock: Clock) -> None:
    soon = Breaker("redis", clock_s=clock, jitter=lambda: 1.0)
    soon.trip()
    clock.now_s += OPEN_FIRST_S * (1 - JITTER)
    assert soon.admit() == 0


def test_while_somebody_watches_no_caller_becomes_the_probe(breaker: Breaker, clock: Clock) -> None:
    breaker.trip(at_least_s=2.5)
    clock.now_s += 2.4
    assert breaker.admit() > 0
    clock.now_s += 0.1
    assert breaker.admit() == 0
