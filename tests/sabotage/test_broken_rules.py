"""Rules of the engine are proven by planting bugs: each turns a named test red, and the random duel as well."""

from collections.abc import Callable

import pytest

from tests.property.duel import run_seed
from tests.sabotage.broken_rules import PLANTS, Edit, planted
from tests.unit.engine import (
    test_children_beginning,
    test_icebergs,
    test_ledger,
    test_orders_amend,
    test_trigger_watch,
)

SEEDS = range(20)
COMMANDS = 300
NAMED: dict[str, tuple[Callable[[], None], ...]] = {
    "hold released twice": (test_ledger.test_cancel_gives_back_exactly_what_is_still_held,),
    "fee rounded to the payer's side": (test_ledger.test_fee_is_rounded_up,),
    "priority kept on a larger amend": (test_orders_amend.test_larger_amend_goes_to_the_back,),
    "self-trade prevention ignored for icebergs": (
        test_icebergs.test_canceling_the_oldest_cancels_the_hidden_part_too,
    ),
    "stop triggered by its own print": (
        test_children_beginning.test_stop_is_not_fired_by_the_print_that_makes_it_wait,
        test_trigger_watch.test_an_order_beyond_its_trigger_waits_for_the_next_print,
    ),
}
"""By planted bug, the tests that must catch it."""
EACH = [(plant, test) for plant, tests in NAMED.items() for test in tests]


@pytest.mark.parametrize(("plant", "test"), EACH, ids=[f"{plant}: {test.__name__}" for plant, test in EACH])
def test_planted_bug_is_caught_by_a_named_test(plant: str, test: Callable[[], None]) -> None:
    test()
    with planted(plant), pytest.raises(AssertionError):
        test()
    # What was planted is gone again.
    test()


def test_every_planted_bug_has_its_test() -> None:
    assert NAMED.keys() == PLANTS.keys()
    assert len(PLANTS) >= 5


@pytest.mark.parametrize("plant", PLANTS)
def test_planted_bug_is_caught_by_the_duel_with_the_model(plant: str) -> None:
    with planted(plant):
        assert any(run_seed(seed, COMMANDS).disagreement is not None for seed in SEEDS)


def test_plant_without_a_place_to_grow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = "hold released twice"
    edit = PLANTS[plant][0]
    monkeypatch.setitem(PLANTS, plant, (Edit(edit.function, "no such line", ""),))
    with pytest.raises(LookupError, match="no such line"), planted(plant):
        pass
