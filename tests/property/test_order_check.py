"""What checking an order says is what placing it then does, over the random streams."""

from collections import Counter

from app.domain.commands import CheckOrder, PlaceOrder
from app.domain.outcomes import Outcome
from app.engine.engine import Engine
from tests.property.streams import Stream

SEEDS, COMMANDS = 12, 200
OTHER_NAMES = {
    "instrument_not_open": {"instrument_halted"},
    "quantity_out_of_range": {"invalid_request", "notional_out_of_range"},
    "notional_out_of_range": {"quantity_out_of_range"},
}
"""Checks that may refuse by another code than their own: a price that is none, too little money, a full level."""


def test_first_check_that_fails_is_what_refuses_the_order() -> None:
    refusals: Counter[str] = Counter()
    for seed in range(SEEDS):
        stream, engine = Stream(seed), Engine()
        commands = stream.setup()
        now_ns = 1
        for number in range(COMMANDS):
            now_ns += stream.pause_ns()
            stream.now_ns = now_ns
            engine.begin(now_ns)
            command = commands.pop(0) if commands else stream.next()
            if isinstance(command, PlaceOrder):
                engine.apply(CheckOrder(command))
                checked, is_repeated = engine.outcome, is_known(engine, command)
                events = engine.apply(command)
                refusals[foretold(checked, engine.outcome, is_repeated=is_repeated)] += 1
            else:
                events = engine.apply(command)
            stream.observe(events)
            if number % 5 == 0:
                engine.seal()
    assert refusals["accepted"] > 100
    assert len(refusals) > 8, refusals


def is_known(engine: Engine, terms: PlaceOrder) -> bool:
    account = engine.state.accounts.get(terms.account_id)
    return account is not None and (terms.client_order_id or "") in account.client_ids


def foretold(checked: Outcome, placed: Outcome, *, is_repeated: bool) -> str:
    """Hold the answer of a check against that of placing the same order; returns what came of it."""
    rejection = placed.rejection
    if checked.rejection is not None:
        assert rejection == checked.rejection
        return checked.rejection.reason
    first = next((result.check for result in checked.checks if not result.passed), None)
    if is_repeated:
        assert first == "client_order_id_reused"
        return "repeated"
    if rejection is None:
        assert first is None, f"accepted in spite of {first}"
        return "accepted"
    assert first is not None, f"refused by {rejection}, which no check said"
    assert rejection.reason in {first, *OTHER_NAMES.get(first, ())}, f"{first}, but {rejection}"
    return rejection.reason
