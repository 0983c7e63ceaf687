"""Counting agreement, and explaining the first difference."""

from app.feed.command_set import BestPrices, CommandSet, ExpectedFill
from app.feed.comparison import Comparison

EXPECTED = CommandSet(
    "set",
    [],
    [],
    fills={1: [ExpectedFill(7, 100, 2), ExpectedFill(8, 101, 1)]},
    best={1: BestPrices(101, 5, 99, 4), 2: BestPrices(0, 0, 99, 4)},
)


def complete(comparison: Comparison) -> Comparison:
    comparison.check_fills(1, [ExpectedFill(7, 100, 2), ExpectedFill(8, 101, 1)])
    comparison.check_fills(2, [])
    comparison.check_best(1, BestPrices(101, 5, 99, 4))
    comparison.check_best(2, BestPrices(0, 0, 99, 4))
    return comparison


def test_everything_exact_agrees() -> None:
    done = complete(Comparison(EXPECTED))
    assert done.agrees
    assert (done.fills_exact, done.best_exact, done.first_difference) == (2, 2, None)


def test_a_fill_of_another_maker_is_explained_and_counted_once() -> None:
    comparison = Comparison(EXPECTED)
    comparison.check_fills(1, [ExpectedFill(9, 100, 2), ExpectedFill(8, 101, 1)])
    assert comparison.first_difference == "command 1, fill 1: expected maker 7 at 100 x 2, was maker 9 at 100 x 2"
    assert (comparison.fills_exact, comparison.agrees) == (1, False)


def test_a_missing_and_an_unexpected_fill_do_not_agree() -> None:
    missing = complete(Comparison(EXPECTED._replace(fills={3: [ExpectedFill(7, 100, 2)]})))
    missing.check_fills(3, [])
    assert not missing.agrees
    unexpected = complete(Comparison(EXPECTED))
    unexpected.check_fills(4, [ExpectedFill(7, 100, 2)])
    assert (unexpected.fills_unexpected, unexpected.agrees) == (1, False)
    assert unexpected.first_difference == "command 4, fill 1: expected none, was maker 7 at 100 x 2"


def test_a_wrong_best_price_is_explained() -> None:
    comparison = Comparison(EXPECTED)
    comparison.check_best(1, BestPrices(101, 5, 98, 4))
    assert comparison.first_difference == (
        "command 1: expected the best prices ask 101 x 5, bid 99 x 4, was ask 101 x 5, bid 98 x 4"
    )


def test_states_never_reached_do_not_agree() -> None:
    assert not Comparison(EXPECTED).agrees


def test_a_set_without_expectations_agrees() -> None:
    assert Comparison(EXPECTED._replace(fills=None, best=None)).agrees
