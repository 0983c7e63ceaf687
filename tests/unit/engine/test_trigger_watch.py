"""When an order is compared with a price: by later commands only, with prints or with the mark price, or not at all."""

import pytest

from app.domain.commands import SetReference
from app.domain.enums import OrderType, TriggerBy
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    NOON_NS,
    SYMBOL,
    accepted,
    amend,
    buy,
    cancel,
    engine_with,
    order,
    placed,
    reason_of,
    refused,
    sell,
    stop,
    trade_at,
)

TAKE_PROFIT, TRAILING = OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP
MARK = TriggerBy.MARK


def has_fired(engine: Engine, order_id: int = 1) -> bool:
    invariants.check(engine.state)
    triggers = engine.state.books[SYMBOL].triggers
    return triggers is not None and order_id in triggers.fired


@pytest.mark.parametrize(
    ("kind", "side", "quiet", "firing"),
    [
        (OrderType.STOP, "buy", 99, 100),
        (OrderType.STOP, "buy", 99, 101),
        (OrderType.STOP, "sell", 101, 100),
        (OrderType.STOP, "sell", 101, 99),
        (TAKE_PROFIT, "buy", 101, 100),
        (TAKE_PROFIT, "buy", 101, 99),
        (TAKE_PROFIT, "sell", 99, 100),
        (TAKE_PROFIT, "sell", 99, 101),
    ],
)
@pytest.mark.parametrize("has_limit", [False, True])
def test_each_kind_fires_in_its_direction(
    kind: OrderType, side: str, quiet: int, firing: int, *, has_limit: bool
) -> None:
    engine = engine_with()
    limited = OrderType(f"{kind}_limit") if has_limit else kind
    placed(engine, stop(ALICE, side, 1, 100, type=limited, price=100 if has_limit else None))
    trade_at(engine, quiet)
    assert not has_fired(engine)
    trade_at(engine, firing)
    assert has_fired(engine)
    assert order(engine, 1).status == "untriggered"


def test_an_order_beyond_its_trigger_waits_for_the_next_print() -> None:
    engine = engine_with()
    trade_at(engine, 100)
    waiting = placed(engine, stop(ALICE, "sell", 1, 200))
    assert (waiting.status, waiting.trigger_price) == ("untriggered", 200)
    assert engine.next_deadline is None
    trade_at(engine, 100)
    assert has_fired(engine, waiting.order_id)


def test_an_amended_trigger_is_compared_with_later_prints_only() -> None:
    engine = engine_with()
    placed(engine, stop(ALICE, "sell", 1, 50))
    trade_at(engine, 100)
    accepted(engine, amend(1, ALICE, trigger_price=100))
    assert not has_fired(engine)
    trade_at(engine, 100)
    assert has_fired(engine)


def test_a_trailing_stop_follows_the_best_price_and_fires_when_it_turns() -> None:
    engine = engine_with()
    trade_at(engine, 100)
    waiting = placed(engine, stop(ALICE, "sell", 1, type=TRAILING, trailing_offset=10))
    assert waiting.trigger_price == 90
    for price in (91, 120, 111):
        trade_at(engine, price)
    assert not has_fired(engine, waiting.order_id)
    accepted(engine, amend(waiting.order_id, ALICE, quantity=2))
    assert engine.outcome.order is not None
    assert engine.outcome.order.trigger_price == 110
    trade_at(engine, 110)
    assert has_fired(engine, waiting.order_id)
    trade_at(engine, 500)
    assert order(engine, waiting.order_id).snapshot().trigger_price == 110


def test_a_trailing_stop_starts_from_the_reference_price_and_without_one_is_refused() -> None:
    command = stop(ALICE, "buy", 1, type=TRAILING, trailing_offset=10)
    assert reason_of(engine_with(), command) == "no_liquidity"
    assert placed(engine_with(reference_price=70), command).trigger_price == 80


def test_a_trailing_stop_by_mark_is_refused() -> None:
    command = stop(ALICE, "buy", 1, type=TRAILING, trailing_offset=10, trigger_by=MARK)
    assert refused(engine_with(reference_price=70), command).field == "trigger_by"


def test_a_canceled_order_is_compared_no_more() -> None:
    engine = engine_with()
    placed(engine, stop(ALICE, "sell", 1, 100))
    accepted(engine, cancel(1, ALICE))
    trade_at(engine, 100)
    assert not has_fired(engine)


# ---- mark price --------------------------------------------------------------------------------


def marked() -> Engine:
    """Return an engine with a mark price of 100 (from a mid) and a sell stop at a mark of 94."""
    engine = engine_with([buy(BOB, quantity=9, price=90), sell(BOB, quantity=9, price=110)])
    placed(engine, stop(ALICE, "sell", 1, 94, trigger_by=MARK))
    return engine


def test_a_trigger_by_mark_needs_a_mark_price() -> None:
    rejection = refused(engine_with(), stop(ALICE, "sell", 1, 95, trigger_by=MARK))
    assert (rejection.reason, rejection.field) == ("invalid_request", "trigger_by")


def test_a_moved_top_fires_by_mark_and_a_print_alone_does_not() -> None:
    engine = marked()
    placed(engine, sell(BOB, quantity=1, price=105))
    assert not has_fired(engine, 3)
    placed(engine, sell(BOB, quantity=1, price=99))
    assert has_fired(engine, 3)


def test_a_mark_that_did_not_change_is_not_compared() -> None:
    """The order that moved the mark to 94 came first; the stop waits for the mark's next change."""
    engine = engine_with([buy(BOB, quantity=9, price=90), sell(BOB, quantity=9, price=98)])
    placed(engine, stop(ALICE, "sell", 1, 95, trigger_by=MARK))
    placed(engine, sell(BOB, quantity=1, price=120))
    assert not has_fired(engine, 3)
    placed(engine, sell(BOB, quantity=1, price=96))
    assert has_fired(engine, 3)


def test_an_external_reference_fires_by_mark_and_its_age_alone_does_not() -> None:
    engine = marked()
    trade_at(engine, 100)
    accepted(engine, SetReference(SYMBOL, 80))
    assert not has_fired(engine, 3)
    engine.begin(NOON_NS + 6_000_000_000)
    placed(engine, buy(BOB, quantity=1, price=1))
    assert not has_fired(engine, 3)
    accepted(engine, SetReference(SYMBOL, 40))
    placed(engine, sell(BOB, quantity=1, price=92))
    assert has_fired(engine, 3)


def test_mark_price_is_known_from_the_first_external_reference_on_whenever_the_trigger_came() -> None:
    engine = engine_with()
    trade_at(engine, 100)
    accepted(engine, SetReference(SYMBOL, 60))  # (60 + 100) / 2 = 80
    engine.begin(NOON_NS + 6_000_000_000)  # 60 counts no more: 100
    waiting = placed(engine, stop(ALICE, "buy", 1, 95, trigger_by=MARK)).order_id
    assert not has_fired(engine, waiting)
    accepted(engine, buy(BOB, quantity=1, price=50))
    assert has_fired(engine, waiting), "the mark price differs from the one seen before the trigger came"


def test_what_was_seen_of_a_mark_survives_a_restart() -> None:
    engine = marked()
    engine.seal()
    restored = Engine.restore(engine.checkpoint(), engine.state_hash())
    for each in (engine, restored):
        placed(each, sell(BOB, quantity=1, price=99))
        assert has_fired(each, 3)
        each.seal()
    assert engine.state_hash() == restored.state_hash()
