"""The trail of prices that a breaker measures trades against."""

import random

from app.engine import breaker
from app.engine.breaker import PriceTrail
from tests.unit.engine.builders import PERCENT

WINDOW = 10


def trail_of(*entries: tuple[int, int], move: int = 10 * PERCENT) -> PriceTrail:
    """Return a trail with prints, each (time, price)."""
    trail = PriceTrail(move, WINDOW)
    for time, price in entries:
        trail.record(price, time)
    return trail


def test_first_print_is_measured_against_nothing() -> None:
    trail = trail_of()
    assert trail.base(100) is None
    assert trail.admits(1_000_000, None)


def test_base_is_the_newest_price_that_is_a_window_old() -> None:
    trail = trail_of((100, 50), (105, 60), (108, 70))
    assert [trail.base(now) for now in (110, 114, 115, 117, 118, 500)] == [50, 50, 60, 60, 70, 70]


def test_without_a_price_that_old_the_oldest_is_the_base() -> None:
    assert trail_of((100, 50), (105, 60)).base(107) == 50


def test_of_one_time_only_the_last_price_counts() -> None:
    trail = trail_of((100, 50), (100, 55))
    assert trail.entries() == [(100, 55)]
    assert trail.is_young(100)
    assert not trail.is_young(101)


def test_move_is_admitted_up_to_its_limit_exactly() -> None:
    trail = trail_of(move=10 * PERCENT)
    assert [trail.admits(price, 100) for price in (89, 90, 110, 111)] == [False, True, True, False]
    assert [trail.admits(price, 5) for price in (4, 5, 6)] == [False, True, False]


def test_prices_older_than_the_one_in_use_are_forgotten() -> None:
    trail = trail_of((100, 50), (105, 60), (115, 70))
    assert trail.entries() == [(105, 60), (115, 70)]


def test_trail_is_bounded_and_keeps_its_oldest_and_newest() -> None:
    trail = PriceTrail(PERCENT, 10**9)
    for time in range(1, 3 * breaker.TRAIL_PRICES_MAX):
        trail.record(time, time)
        entries = trail.entries()
        assert len(entries) <= breaker.TRAIL_PRICES_MAX
        assert (entries[0][0], entries[-1][0]) == (1, time)


def test_trail_gives_the_same_base_as_a_search_of_all_prints() -> None:
    rng = random.Random(5)
    trail, now = PriceTrail(PERCENT, WINDOW), 0
    prints: list[tuple[int, int]] = []
    for _ in range(2_000):
        now += rng.choice((0, 0, 1, 3, 12))
        old = [price for time, price in prints if time <= now - WINDOW]
        newest_of_first = [price for time, price in prints if time == prints[0][0]]
        expected = old[-1] if old else (newest_of_first[-1] if prints else None)
        assert trail.base(now) == expected
        price = rng.randint(1, 100)
        prints.append((now, price))
        trail.record(price, now)


def test_cleared_trail_starts_anew() -> None:
    trail = trail_of((100, 50))
    trail.clear()
    assert trail.base(200) is None
