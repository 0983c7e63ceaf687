"""What time does: orders that end by it, what a Tick does first, and when the next one is wanted."""

from typing import Any

import pytest

from app.domain.commands import Tick
from app.domain.enums import OrderStatus, TimeInForce
from app.domain.events import OrderExpired
from app.engine import timekeeper
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    NOON_NS,
    QUOTE,
    RICH,
    accepted,
    all_of,
    amend,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    held,
    only,
    order,
    placed,
    reason_of,
    refused,
    sell,
    update,
)

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
GTD, DAY = TimeInForce.GTD, TimeInForce.DAY
MIDNIGHT_NS = NOON_NS - NOON_NS % DAY_NS


def tick_at(engine: Engine, timestamp_ns: int) -> list[OrderExpired]:
    """Begin a batch, let time act, and return what expired."""
    engine.begin(timestamp_ns)
    return all_of(OrderExpired, accepted(engine, Tick()))


def test_gtd_order_expires_at_the_tick_that_finds_it_due_and_releases_its_hold() -> None:
    engine = engine_with()
    placed(engine, buy(ALICE, quantity=3, price=10, time_in_force=GTD, expire_ns=NOON_NS + SECOND_NS))
    assert held(engine, ALICE, QUOTE) == 30
    assert tick_at(engine, NOON_NS + SECOND_NS - 1) == []
    expired = only(OrderExpired, tick_at(engine, NOON_NS + SECOND_NS)).order
    assert (expired.status, expired.reason, expired.version) == ("expired", "gtd", 2)
    assert (held(engine, ALICE, QUOTE), available(engine, ALICE, QUOTE)) == (0, RICH)
    assert bids(engine) == []


def test_order_that_is_due_lives_on_until_a_tick() -> None:
    engine = engine_with([buy(quantity=3, price=10, time_in_force=GTD, expire_ns=NOON_NS + 1)])
    engine.begin(NOON_NS + SECOND_NS)
    assert engine.next_deadline == NOON_NS + 1
    assert placed(engine, sell(ALICE, quantity=1, price=10)).status == "filled"
    assert tick_at(engine, NOON_NS)[0].remaining_quantity == 2


@pytest.mark.parametrize("expire_ns", [NOON_NS, NOON_NS - 1, 0])
def test_gtd_order_must_end_after_its_own_time(expire_ns: int) -> None:
    rejection = refused(engine_with(), buy(quantity=1, price=1, time_in_force=GTD, expire_ns=expire_ns))
    assert rejection.reason == "invalid_request"
    assert (rejection.field, rejection.limit, rejection.actual, rejection.unit) == (
        "expire_ns", str(NOON_NS), str(expire_ns), "ns",
    )  # fmt: skip


@pytest.mark.parametrize("close_ns", [0, 1, DAY_NS - 1, NOON_NS - MIDNIGHT_NS, NOON_NS - MIDNIGHT_NS + 1])
def test_day_order_ends_at_the_next_close_of_its_instruments_day(close_ns: int) -> None:
    engine = engine_with(session_close_ns=close_ns)
    placed(engine, buy(quantity=1, price=1, time_in_force=DAY))
    due_ns = engine.next_deadline
    assert due_ns is not None
    assert (due_ns % DAY_NS, NOON_NS < due_ns <= NOON_NS + DAY_NS) == (close_ns, True)
    assert only(OrderExpired, tick_at(engine, due_ns)).order.reason == "day_end"


def test_a_later_change_of_the_close_does_not_move_a_day_order() -> None:
    engine = engine_with([buy(quantity=1, price=1, time_in_force=DAY)])
    before = engine.next_deadline
    accepted(engine, update(session_close_ns=5))
    assert engine.next_deadline == before


@pytest.mark.parametrize("close_ns", [-1, DAY_NS, None])
def test_close_of_the_day_is_within_the_day(close_ns: int | None) -> None:
    assert refused(engine_with(), update(session_close_ns=close_ns)).field == "session_close_ns"


def test_an_order_that_ended_before_its_time_has_no_timer() -> None:
    terms: dict[str, Any] = {"price": 10, "time_in_force": GTD, "expire_ns": NOON_NS + 1}
    engine = engine_with([buy(quantity=1, **terms), buy(quantity=1, **terms)])
    accepted(engine, cancel(1))
    assert engine.next_deadline == NOON_NS + 1
    accepted(engine, sell(ALICE, quantity=1, price=10))
    assert engine.next_deadline is None
    assert tick_at(engine, NOON_NS + 1) == []


def test_amend_keeps_the_end_of_an_order() -> None:
    engine = engine_with([buy(quantity=1, price=10, time_in_force=GTD, expire_ns=NOON_NS + 1)])
    accepted(engine, amend(1, price=11, quantity=5))
    assert tick_at(engine, NOON_NS + 1)[0].order.price == 11


@pytest.mark.parametrize("status", ["open", "post_only", "auction", "cancel_only", "halted"])
def test_time_acts_in_every_status_of_the_instrument(status: str) -> None:
    engine = engine_with([buy(quantity=1, price=1, time_in_force=DAY)])
    accepted(engine, update(status=status))
    assert len(tick_at(engine, NOON_NS + DAY_NS)) == 1


def test_timers_act_by_time_then_by_order() -> None:
    dues = [NOON_NS + 3, NOON_NS + 1, NOON_NS + 3, NOON_NS + 2, NOON_NS + 9]
    engine = engine_with([buy(quantity=1, price=1, time_in_force=GTD, expire_ns=due) for due in dues])
    assert [event.order.order_id for event in tick_at(engine, NOON_NS + 3)] == [2, 4, 1, 3]
    assert engine.next_deadline == NOON_NS + 9


def test_a_tick_ends_a_bounded_number_of_orders_and_the_rest_stays_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "TICK_OPERATIONS_MAX", 3)
    engine = engine_with([buy(quantity=1, price=1, time_in_force=DAY) for _ in range(7)])
    counts = []
    while engine.next_deadline is not None:
        counts.append(len(tick_at(engine, engine.next_deadline)))
    assert counts == [3, 3, 1]


def test_a_tick_with_nothing_to_do_takes_a_sequence_and_changes_nothing() -> None:
    engine = engine_with([buy(quantity=1, price=1)])
    before = engine.state.sequence
    assert accepted(engine, Tick()) == []
    assert (engine.outcome.engine_seq, engine.outcome.order) == (before + 1, None)
    assert order(engine, 1).status is OrderStatus.OPEN
    assert engine.next_deadline is None


def test_expiry_survives_a_restart() -> None:
    engine = engine_with([buy(quantity=1, price=1, time_in_force=DAY)])
    restored = Engine.restore(engine.checkpoint(), engine.state_hash())
    assert restored.next_deadline == engine.next_deadline
    assert len(tick_at(restored, NOON_NS + DAY_NS)) == 1
    assert restored.next_deadline is None


def test_an_immediate_order_has_no_end() -> None:
    for time_in_force in (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC):
        bad = buy(quantity=1, price=1, time_in_force=time_in_force, expire_ns=NOON_NS + 1)
        assert reason_of(engine_with(), bad) == "invalid_request"
