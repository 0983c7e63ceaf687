"""The price of a call auction: cases by hand, and against a search of every price over random books."""

import random

import pytest

from app.engine.uncross import NO_UNCROSS, Uncross, uncross_of

Levels = list[tuple[int, int]]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([], []), ([(10, 5)], []), ([], [(10, 5)]), ([(10, 5)], [(11, 5)])],
)
def test_book_that_does_not_cross_meets_nowhere(bids: Levels, asks: Levels) -> None:
    assert uncross_of(bids, asks, 10) == NO_UNCROSS


def test_price_is_that_of_the_largest_volume() -> None:
    # At 100: 5 wanted, 9 offered. At 99: 12 wanted, 9 offered. At 98: 12 wanted, 4 offered.
    assert uncross_of([(100, 5), (99, 7)], [(98, 4), (99, 5)], None) == Uncross(99, 9, 3)


def test_of_equal_volumes_the_least_surplus_wins_on_either_side() -> None:
    # From 98 to 100 six lots trade; at 98 and 99 the surplus is 4, at 100 nothing is left over.
    assert uncross_of([(100, 6), (99, 4)], [(98, 6)], 1) == Uncross(100, 6, 0)
    assert uncross_of([(100, 6)], [(98, 6), (99, 4)], 1_000) == Uncross(98, 6, 0)


@pytest.mark.parametrize(
    ("reference", "price"), [(None, 98), (1, 98), (98, 98), (99, 99), (101, 101), (102, 102), (500, 102)]
)
def test_of_equal_surpluses_the_nearest_to_the_reference_wins_then_the_lowest(
    reference: int | None, price: int
) -> None:
    assert uncross_of([(102, 6)], [(98, 6)], reference) == Uncross(price, 6, 0)


def test_surplus_is_positive_for_buys_left_over_and_negative_for_sells() -> None:
    assert uncross_of([(100, 9)], [(100, 4)], None) == Uncross(100, 4, 5)
    assert uncross_of([(100, 4)], [(100, 9)], None) == Uncross(100, 4, -5)


def test_reference_between_two_equally_good_prices_is_better_than_both() -> None:
    # At 99 and at 101 five lots are left over, on different sides; between them nothing is.
    bids, asks = [(101, 10), (99, 5)], [(99, 10), (101, 5)]
    assert uncross_of(bids, asks, 100) == Uncross(100, 10, 0)
    assert uncross_of(bids, asks, None) == Uncross(99, 10, 5)


def searched(bids: Levels, asks: Levels, reference: int | None) -> Uncross:
    """Return the same by looking at every price, each time over all levels."""

    def at(price: int) -> Uncross:
        wanted = sum(lots for limit, lots in bids if limit >= price)
        offered = sum(lots for limit, lots in asks if limit <= price)
        return Uncross(price, min(wanted, offered), wanted - offered)

    limits = sorted({price for price, _ in bids + asks})
    good = [at(price) for price in limits]
    most = max((each.quantity for each in good), default=0)
    if not most:
        return NO_UNCROSS
    least = min(abs(each.surplus) for each in good if each.quantity == most)
    prices = [each.price for each in good if each.quantity == most and abs(each.surplus) == least]
    if reference is not None and prices[0] < reference < prices[-1]:
        prices.append(reference)
    return at(min(prices, key=lambda price: (0 if reference is None else abs(price - reference), price)))


def levels(rng: random.Random, best_first: int) -> Levels:
    """Return random levels of one side, best first (1: the lowest price is the best)."""
    prices = rng.sample(range(1, 20), rng.randint(0, 8))
    return [
        (price, rng.randint(1, rng.choice((2, 10)))) for price in sorted(prices, key=lambda each: each * best_first)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_price_is_what_a_search_of_every_price_finds(seed: int) -> None:
    rng = random.Random(seed)
    met = 0
    for _ in range(200):
        bids, asks = levels(rng, -1), levels(rng, 1)
        reference = rng.choice((None, rng.randint(1, 25)))
        found = uncross_of(bids, asks, reference)
        assert found == searched(bids, asks, reference), f"{bids} {asks} {reference}"
        met += bool(found.quantity)
    assert met > 50


@pytest.mark.parametrize("seed", range(10))
def test_trading_at_the_price_leaves_a_book_that_does_not_cross(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        bids, asks = levels(rng, -1), levels(rng, 1)
        found = uncross_of(bids, asks, rng.choice((None, rng.randint(1, 25))))
        left = [rest(side, found.quantity) for side in (bids, asks)]
        if found.quantity and all(left):
            assert left[0][0][0] < left[1][0][0], f"{bids} {asks}: {found}"


def rest(side: Levels, quantity: int) -> Levels:
    """Return what is left of a side after so many lots, best first."""
    left = []
    for price, lots in side:
        taken = min(lots, quantity)
        quantity -= taken
        if lots > taken:
            left.append((price, lots - taken))
    return left
