"""What a fired order does when its turn comes: which order it becomes, when it sleeps, and how many run at once."""

from typing import Any

import pytest

from app.domain.commands import UpdateAccount
from app.domain.enums import AccountStatus, OrderType, PostOnly, TimeInForce
from app.domain.events import Event, OrderCanceled, OrderEvent, OrderFilled, OrderTriggered
from app.engine import invariants, matching, trigger_queue
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    IOC,
    NOON_NS,
    PERCENT,
    QUOTE,
    RICH,
    accepted,
    all_of,
    amend,
    asks,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    held,
    only,
    order,
    placed,
    sell,
    stop,
    tick,
    trade_at,
    update,
)

STOP_LIMIT = OrderType.STOP_LIMIT


def fired(engine: Engine, *commands: Any, price: int = 100) -> None:
    """Place orders that wait, and print a price that fires them."""
    for command in commands:
        placed(engine, command)
    trade_at(engine, price)


def steps(events: list[Event]) -> list[tuple[int, str, str | None]]:
    """Return what became of which order: its id, its status, the reason."""
    return [
        (each.order.order_id, each.order.status, each.order.reason) for each in events if isinstance(each, OrderEvent)
    ]


def test_a_fired_stop_becomes_an_ioc_order_at_its_cap_in_the_next_tick() -> None:
    engine = engine_with(max_slippage=10 * PERCENT)
    fired(engine, stop(ALICE, "buy", 5, 100))
    placed(engine, sell(BOB, quantity=2, price=109))
    placed(engine, sell(BOB, quantity=2, price=110))
    placed(engine, sell(BOB, quantity=2, price=111))
    assert order(engine, 1).status == "untriggered"
    assert engine.next_deadline == 0
    events = tick(engine)
    assert [found for found in steps(events) if found[0] == 1] == [
        (1, "open", None),
        (1, "partially_filled", None),
        (1, "partially_filled", None),
        (1, "canceled", "slippage_cap"),
    ]
    assert only(OrderTriggered, events).order.price == 110
    assert asks(engine) == [(111, 2)]
    assert held(engine, ALICE, QUOTE) == 0
    assert engine.next_deadline is None


def test_a_fired_stop_that_meets_an_empty_side_is_canceled() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100))
    assert steps(tick(engine)) == [(1, "open", None), (1, "canceled", "no_liquidity")]
    assert available(engine, ALICE, BASE) == RICH


@pytest.mark.parametrize(
    ("time_in_force", "left", "status", "reason"),
    [
        (TimeInForce.GTC, [(98, 3)], "partially_filled", None),
        (IOC, [], "canceled", "ioc_remainder"),
        (FOK, [], "canceled", "ioc_remainder"),
    ],
)
def test_a_fired_stop_limit_is_a_limit_order_with_its_time_in_force(
    time_in_force: TimeInForce, left: list[tuple[int, int]], status: str, reason: str | None
) -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100, price=98, type=STOP_LIMIT, time_in_force=time_in_force))
    placed(engine, buy(BOB, quantity=2, price=99))
    tick(engine)
    assert (order(engine, 1).status, order(engine, 1).reason) == (status, reason)
    assert order(engine, 1).filled == (0 if time_in_force is FOK else 2)
    assert asks(engine) == left


def test_a_fok_that_can_be_filled_at_its_trigger_is() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100, price=98, type=STOP_LIMIT, time_in_force=FOK))
    placed(engine, buy(BOB, quantity=5, price=99))
    assert all_of(OrderFilled, tick(engine))[-1].order.order_id == 1


@pytest.mark.parametrize(
    ("post_only", "expected", "level"),
    [
        (PostOnly.REJECT, [(1, "open", None), (1, "canceled", "post_only")], []),
        (PostOnly.REPRICE, [(1, "open", None)], [(103, 5)]),
    ],
)
def test_a_post_only_order_that_would_take_when_it_fires(
    post_only: PostOnly, expected: list[tuple[int, str, str | None]], level: list[tuple[int, int]]
) -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100, price=98, type=STOP_LIMIT, post_only=post_only))
    placed(engine, buy(BOB, quantity=2, price=102))
    events = tick(engine)
    assert steps(events) == expected
    assert asks(engine) == level
    if level:
        assert only(OrderTriggered, events).order.price == 103


@pytest.mark.parametrize(("band", "bid"), [(2 * PERCENT, 103), (50 * PERCENT, 2)])
def test_a_repriced_order_outside_the_band_is_canceled(band: int, bid: int) -> None:
    engine = engine_with(reference_price=100, price_band=50 * PERCENT)
    if bid == 2:
        # One tick below the best ask would be no price at all.
        fired(engine, stop(ALICE, "buy", 1, 100, price=120, type=STOP_LIMIT, post_only=PostOnly.REPRICE))
        accepted(engine, update(price_band=None))
        placed(engine, sell(BOB, quantity=1, price=1))
    else:
        fired(engine, stop(ALICE, "sell", 1, 100, price=98, type=STOP_LIMIT, post_only=PostOnly.REPRICE))
        placed(engine, buy(BOB, quantity=1, price=bid))
        accepted(engine, update(price_band=band))
    assert steps(tick(engine)) == [(1, "open", None), (1, "canceled", "post_only")]


def test_a_trailing_buy_runs_at_the_cap_of_where_it_trailed_to_and_gives_back_what_that_costs_less() -> None:
    engine = engine_with(max_slippage=10 * PERCENT, reference_price=100)
    waiting = placed(engine, stop(ALICE, "buy", 1, type=OrderType.TRAILING_STOP, trailing_offset=10))
    assert (waiting.trigger_price, waiting.price, held(engine, ALICE, QUOTE)) == (110, 121, 121)
    trade_at(engine, 50)
    accepted(engine, update(max_slippage=50 * PERCENT))
    trade_at(engine, 60)
    placed(engine, sell(BOB, quantity=1, price=70))
    triggered = only(OrderTriggered, tick(engine)).order
    assert (triggered.trigger_price, triggered.price) == (60, 66)
    assert order(engine, 1).reason == "slippage_cap"


def test_a_frozen_account_runs_nothing() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100))
    accepted(engine, UpdateAccount(ALICE, AccountStatus.FROZEN))
    assert steps(tick(engine)) == [(1, "canceled", "account_frozen")]
    assert held(engine, ALICE, BASE) == 0


def test_a_post_only_sell_has_no_price_above_the_highest_one_to_move_to() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 1, 50, price=40, type=STOP_LIMIT, post_only=PostOnly.REPRICE), price=50)
    placed(engine, buy(BOB, quantity=1, price=2**63 - 1))
    events = tick(engine)
    assert steps(events) == [(1, "open", None), (1, "canceled", "post_only")]
    assert only(OrderTriggered, events).order.price == 40


@pytest.mark.parametrize("status", ["post_only", "cancel_only", "halted", "auction"])
def test_triggers_sleep_while_the_instrument_is_not_open(status: str) -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100))
    accepted(engine, update(status=status))
    assert engine.next_deadline is None
    assert steps(tick(engine)) == []
    accepted(engine, update(status="open"))
    assert engine.next_deadline == 0
    assert steps(tick(engine))[0] == (1, "open", None)


def test_what_sleeps_keeps_its_place() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 1, 100), stop(ALICE, "sell", 2, 100))
    accepted(engine, update(status="halted"))
    tick(engine)
    accepted(engine, update(status="open"))
    assert [event.order.order_id for event in all_of(OrderTriggered, tick(engine))] == [1, 2]


def test_fired_orders_run_by_print_then_by_age_and_no_more_than_a_tick_admits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_queue, "TICK_TRIGGERS_MAX", 2)
    engine = engine_with()
    for trigger in (103, 101, 103, 101, 102):
        placed(engine, stop(ALICE, "buy", 1, trigger))
    for price in (102, 103):
        trade_at(engine, price)
    ran = []
    while engine.next_deadline == 0:
        ran.append([event.order.order_id for event in all_of(OrderTriggered, tick(engine))])
    assert ran == [[2, 4], [5, 1], [3]]


def test_a_tick_meets_a_bounded_number_of_resting_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with()
    fired(engine, *[stop(ALICE, "buy", 2, 100, max_slippage=10 * PERCENT) for _ in range(4)])
    for _ in range(10):
        placed(engine, sell(BOB, quantity=1, price=101))
    assert len(all_of(OrderTriggered, tick(engine))) == 2
    assert len(all_of(OrderTriggered, tick(engine))) == 2


def test_a_print_of_a_running_order_fires_the_next_which_runs_in_the_same_tick() -> None:
    engine = engine_with()
    for trigger in (100, 105, 110):
        placed(engine, stop(ALICE, "buy", 1, trigger))
    trade_at(engine, 100)
    for price in (105, 110):
        placed(engine, sell(BOB, quantity=1, price=price))
    events = tick(engine)
    assert [event.order.order_id for event in all_of(OrderTriggered, events)] == [1, 2, 3]
    assert order(engine, 3).reason == "no_liquidity"


def test_a_queued_order_can_still_be_canceled_and_can_expire() -> None:
    engine = engine_with()
    until = {"time_in_force": TimeInForce.GTD, "expire_ns": NOON_NS + 1}
    fired(engine, stop(ALICE, "sell", 1, 100), stop(ALICE, "sell", 1, 100, **until), stop(ALICE, "sell", 1, 100))
    accepted(engine, cancel(1, ALICE))
    engine.begin(NOON_NS + 1)
    assert steps(tick(engine)) == [(2, "expired", "gtd"), (3, "open", None), (3, "canceled", "no_liquidity")]
    invariants.check(engine.state)


def test_another_trigger_takes_an_order_out_of_the_queue_and_another_quantity_does_not() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "sell", 5, 100), stop(ALICE, "sell", 5, 100))
    accepted(engine, amend(1, ALICE, trigger_price=90))
    accepted(engine, amend(2, ALICE, quantity=7))
    assert [event.order.order_id for event in all_of(OrderTriggered, tick(engine))] == [2]
    trade_at(engine, 90)
    assert [event.order.order_id for event in all_of(OrderTriggered, tick(engine))] == [1]


def test_a_sell_whose_notional_no_event_could_state_is_canceled() -> None:
    """At its own limit it fits into 64 bits; at the best bid, which is higher, it does not."""
    engine = engine_with()
    quantity = (2**63 - 1) // 1_000
    fired(engine, stop(ALICE, "sell", quantity, 100, price=1_000, type=STOP_LIMIT))
    placed(engine, buy(CAROL, quantity=1, price=1_001))
    assert only(OrderCanceled, tick(engine)).order.reason == "slippage_cap"


def test_what_fired_survives_a_restart_in_its_order() -> None:
    engine = engine_with()
    fired(engine, stop(ALICE, "buy", 1, 102), stop(ALICE, "buy", 1, 101), price=101)
    trade_at(engine, 102)
    placed(engine, buy(BOB, quantity=3, price=5))
    engine.seal()
    restored = Engine.restore(engine.checkpoint(), engine.state_hash())
    assert restored.next_deadline == 0
    found = [steps(tick(each)) for each in (engine, restored)]
    assert found[0] == found[1]
    assert [number for number, status, _ in found[0] if status == "open"] == [2, 1]
    assert bids(restored) == [(5, 3)]
    engine.seal()
    restored.seal()
    assert engine.state_hash() == restored.state_hash()
