"""What the engine remembers, as plain objects."""

from app.domain.enums import OrderStatus
from app.engine.state import State
from tests.unit.engine.builders import ALICE, BOB, QUOTE, buy, engine_with, order, sell


def test_balance_of_an_asset_is_made_once() -> None:
    account = State().accounts[1]
    balance = account.balance(QUOTE)
    assert (balance.available, balance.held) == (0, 0)
    assert account.balance(QUOTE) is balance


def test_snapshot_is_the_order_as_it_is_and_does_not_follow_it() -> None:
    engine = engine_with(resting=[buy(BOB, quantity=5, price=100, label="x")])
    before = order(engine, 1).state
    engine.apply(sell(ALICE, quantity=2, price=100))
    after = order(engine, 1).state
    assert (before.status, before.filled_quantity, before.remaining_quantity) == (OrderStatus.OPEN, 0, 5)
    assert (after.status, after.filled_quantity, after.notional) == (OrderStatus.PARTIALLY_FILLED, 2, 200)
    assert (after.terms.label, after.created_ns) == ("x", before.created_ns)
