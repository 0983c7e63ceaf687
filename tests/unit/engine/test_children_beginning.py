"""When a child begins: what keeps it from it, what makes it wait for a Tick, and what it is until then."""

from typing import Any

import pytest

from app.domain.commands import SetKillSwitch, UpdateAccount
from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    KillSwitchScope,
    OrderType,
    PostOnly,
    Priority,
    SelfTradePrevention,
)
from app.domain.events import OrderAmended, OrderTriggered
from app.engine import matching
from app.protocol.records import encode
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    NOON_NS,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    amend,
    asks,
    available,
    bids,
    buy,
    cancel,
    cancel_all,
    engine_with,
    held,
    only,
    order,
    refused,
    sell,
    stop,
    tick,
    tick_at,
    trade_at,
    twin_of,
    update,
)
from tests.unit.engine.list_builders import bracket, ids_of, listed, oto, quantities, words

ENTRY, TARGET, STOP = buy(quantity=5, price=100), sell(quantity=5, price=120), stop(BOB, "sell", 5, 80)


def test_child_that_its_account_cannot_pay_is_canceled() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 600}, ALICE: {BASE: 10}})
    ids = ids_of(engine, oto(ENTRY, buy(quantity=5, price=30)))
    accepted(engine, sell(ALICE, quantity=3, price=100))
    assert words(engine, ids) == ["partially_filled", "open"]
    events = accepted(engine, sell(ALICE, quantity=2, price=100))
    assert not all_of(OrderAmended, events)
    # 5 x 30 is more than the 100 that the entry left.
    assert words(engine, ids) == ["filled", "canceled: insufficient_balance"]
    assert quantities(engine, ids) == [5, 3]
    assert available(engine, BOB, QUOTE) == 100


def test_exit_that_cannot_be_paid_ends_the_other_exit() -> None:
    engine = engine_with(balances={BOB: {BASE: 5}, ALICE: {QUOTE: 1000}})
    orders = sell(quantity=5, price=100), buy(quantity=5, price=110), stop(BOB, "buy", 5, 120)
    ids = ids_of(engine, bracket(*orders))
    accepted(engine, buy(ALICE, quantity=5, price=100))
    # 500 came in, 550 are needed.
    assert words(engine, ids) == ["filled", "canceled: insufficient_balance", "canceled: oco_peer"]


@pytest.mark.parametrize(
    ("mode", "expected", "book"),
    [(PostOnly.REJECT, "canceled: post_only", []), (PostOnly.REPRICE, "open", [(91, 5)])],
)
def test_post_only_child_that_would_take_is_canceled_or_moved(
    mode: PostOnly, expected: str, book: list[tuple[int, int]]
) -> None:
    engine = engine_with([buy(CAROL, quantity=5, price=90)])
    ids = ids_of(engine, oto(ENTRY, sell(quantity=5, price=90, post_only=mode)))
    accepted(engine, sell(ALICE, quantity=5, price=100))
    assert words(engine, ids) == ["filled", expected]
    assert asks(engine) == book


def test_trailing_child_whose_price_no_event_could_state_is_canceled() -> None:
    highest = 2**63 - 1
    rich = {ALICE: {BASE: 1, QUOTE: 2 * 10**19}, BOB: {BASE: 1, QUOTE: 10**19}, CAROL: {BASE: 1}}
    engine = engine_with(balances=rich)
    accepted(engine, sell(CAROL, quantity=1, price=100))
    accepted(engine, buy(BOB, quantity=1, price=100))
    trailing = stop(ALICE, "buy", 1, type=OrderType.TRAILING_STOP, trailing_offset=8_380_000_000_000_000_000)
    ids = ids_of(engine, oto(sell(ALICE, quantity=1, price=highest), trailing, account_id=ALICE))
    accepted(engine, buy(BOB, quantity=1, price=highest))
    # The last price is now the highest there is, and the stop would trail above it.
    assert words(engine, ids) == ["filled", "canceled: slippage_cap"]
    assert held(engine, ALICE, QUOTE) == 0
    for _, events in engine.seal().accounts:
        encode(events)
    engine.checkpoint()


def test_limit_child_waits_while_its_instrument_is_not_open() -> None:
    rules: dict[str, Any] = {"breaker_move": 10 * PERCENT, "breaker_window_ns": 1000, "breaker_halt_ns": 1000}
    engine = engine_with([sell(ALICE, quantity=3, price=100), sell(ALICE, quantity=5, price=115)], **rules)
    ids = ids_of(engine, bracket(buy(quantity=5, price=120), sell(quantity=5, price=130), STOP))
    # The entry trades three lots and then trips the breaker.
    assert words(engine, ids) == ["canceled: circuit_breaker", "pending", "untriggered"]
    assert engine.next_deadline == NOON_NS + 1000
    engine.seal()
    twin = twin_of(engine)
    for each in (engine, twin):
        events = tick_at(each, NOON_NS + 1000)
        assert only(OrderTriggered, events).order.order_id == ids[1]
        assert words(each, ids) == ["canceled: circuit_breaker", "open", "untriggered"]
        each.seal()
    assert twin.state_hash() == engine.state_hash()


def test_children_of_an_uncross_begin_once_the_instrument_is_open() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)], status=InstrumentStatus.AUCTION)
    ids = ids_of(engine, oto(ENTRY, TARGET))
    accepted(engine, update(status="open"))
    assert words(engine, ids) == ["filled", "open"]


def test_children_past_the_bound_of_a_command_begin_in_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    ids = [
        ids_of(engine, oto(buy(quantity=1, price=100), stop(BOB, "sell", 1, 80), sell(quantity=1, price=120)))
        for _ in range(2)
    ]
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 2)
    accepted(engine, sell(ALICE, quantity=2, price=100))
    assert words(engine, ids[0] + ids[1]) == ["filled", "pending", "pending"] * 2
    assert engine.next_deadline == 0
    events = tick(engine)
    assert [event.order.order_id for event in all_of(OrderTriggered, events)] == [2, 3, 5, 6]
    assert words(engine, ids[0] + ids[1]) == ["filled", "untriggered", "open"] * 2
    assert engine.next_deadline is None


def test_a_queued_child_that_is_canceled_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(buy(quantity=1, price=100), sell(quantity=1, price=120)))
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 1)
    accepted(engine, sell(ALICE, quantity=1, price=100))
    assert engine.next_deadline == 0
    accepted(engine, cancel(ids[1]))
    assert words(engine, ids) == ["filled", "canceled: user"]
    assert engine.next_deadline is None


def test_a_queued_child_that_a_later_fill_serves_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(buy(quantity=3, price=100), stop(BOB, "sell", 3, 80), sell(quantity=3, price=120)))
    with monkeypatch.context() as patch:
        patch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 1)
        accepted(engine, sell(ALICE, quantity=1, price=100))
    assert words(engine, ids) == ["partially_filled", "pending", "pending"]
    accepted(engine, sell(ALICE, quantity=1, price=100))
    assert quantities(engine, ids) == [3, 2, 2]
    assert engine.next_deadline is None
    tick(engine)
    assert words(engine, ids) == ["partially_filled", "untriggered", "open"]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_queued_child_ends_with_its_frozen_account_and_sleeps_under_a_kill_switch(
    monkeypatch: pytest.MonkeyPatch, *, is_killed: bool
) -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(buy(quantity=1, price=100), sell(quantity=1, price=120)))
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 1)
    accepted(engine, sell(ALICE, quantity=1, price=100))
    if is_killed:
        accepted(engine, SetKillSwitch(KillSwitchScope.EXCHANGE, None, on=True))
        assert words(engine, ids) == ["filled", "pending"]
        tick(engine)
        assert words(engine, ids) == ["filled", "canceled: kill_switch"]
    else:
        accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
        tick(engine)
        assert words(engine, ids) == ["filled", "canceled: account_frozen"]


def test_kill_switch_ends_a_list_whatever_it_waits_for() -> None:
    engine = engine_with()
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, SetKillSwitch(KillSwitchScope.INSTRUMENT, "BTC-USD", on=True))
    tick(engine)
    assert words(engine, ids) == ["canceled: kill_switch", "canceled: parent_ended", "canceled: parent_ended"]


def test_cancel_all_of_a_list_ends_pending_children_too() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET, STOP))
    accepted(engine, sell(ALICE, quantity=1, price=100))
    accepted(engine, cancel_all(order_list_id=1))
    assert words(engine, ids) == ["canceled: cancel_all"] * 3


# ---- triggers and amends -----------------------------------------------------------------------


def test_pending_stop_does_not_fire_and_counts_prints_from_its_beginning() -> None:
    engine = engine_with([buy(CAROL, quantity=1, price=70)])
    ids = ids_of(engine, oto(ENTRY, STOP))
    accepted(engine, cancel_all(CAROL))
    # The print that activates it is far above its trigger; one below it comes later.
    accepted(engine, sell(ALICE, quantity=5, price=100))
    assert words(engine, ids) == ["filled", "untriggered"]
    assert engine.next_deadline is None
    trade_at(engine, 80, maker=ALICE)
    assert engine.next_deadline == 0


def test_stop_is_not_fired_by_the_print_that_makes_it_wait() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, stop(BOB, "sell", 5, 150)))
    # The parent trades at 100: at or below the trigger, but in the command that activates the stop.
    accepted(engine, sell(ALICE, quantity=5, price=100))
    assert words(engine, ids) == ["filled", "untriggered"]
    assert engine.next_deadline is None
    trade_at(engine, 100, maker=ALICE)
    assert engine.next_deadline == 0


def test_trailing_stop_starts_at_the_price_its_parent_traded_at() -> None:
    engine = engine_with()
    trade_at(engine, 150, maker=ALICE)
    trailing = stop(BOB, "sell", 5, type=OrderType.TRAILING_STOP, trailing_offset=10)
    ids = ids_of(engine, oto(ENTRY, trailing))
    assert order(engine, ids[1]).state.trigger_price == 140
    events = accepted(engine, sell(ALICE, quantity=5, price=100))
    begun = only(OrderTriggered, events).order
    # Its cap is 10 % below its trigger.
    assert (begun.trigger_price, begun.price) == (90, 81)


def test_pending_child_may_be_amended_to_another_price_and_keeps_waiting() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET))
    accepted(engine, amend(ids[1], price=130))
    assert engine.outcome.priority is Priority.KEPT
    assert words(engine, ids) == ["open", "pending"]
    accepted(engine, sell(ALICE, quantity=5, price=100))
    assert asks(engine) == [(130, 5)]


@pytest.mark.parametrize("field", ["quantity", "trigger_price"])
def test_other_numbers_of_a_pending_child_may_not_change(field: str) -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, STOP))
    rejection = refused(engine, amend(ids[1], **{field: 3}))
    assert (rejection.reason, rejection.field) == ("invalid_request", field)


def test_child_of_a_decremented_parent_follows_what_it_trades() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET))
    accepted(engine, sell(quantity=2, price=100, stp=SelfTradePrevention.DECREMENT))
    accepted(engine, sell(ALICE, quantity=9, price=100))
    assert quantities(engine, ids) == [3, 3]
    assert words(engine, ids) == ["filled", "open"]


def test_child_whose_level_has_no_room_left_is_canceled() -> None:
    many = 2**61
    engine = engine_with()
    ids = ids_of(engine, oto(sell(quantity=many, price=2), buy(quantity=many, price=1)))
    for _ in range(3):
        accepted(engine, buy(ALICE, quantity=many, price=1))
    # Four of them are 2**63 lots, one more than a book can state.
    accepted(engine, buy(CAROL, quantity=many, price=2))
    assert words(engine, ids) == ["filled", "canceled: slippage_cap"]
    assert bids(engine) == [(1, 3 * many)]


def test_children_follow_a_parent_that_the_engine_forgot(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(buy(quantity=1, price=100), sell(quantity=1, price=120)))
    monkeypatch.setattr(matching, "CLOSED_ORDERS_MAX", 1)
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 1)
    accepted(engine, sell(ALICE, quantity=1, price=100))
    assert ids[0] not in engine.state.orders
    engine.seal()
    for each in (twin_of(engine), engine):
        tick(each)
        assert words(each, [ids[1]]) == ["open"]


def test_list_with_an_iceberg_shows_what_its_child_has() -> None:
    engine = engine_with()
    target = sell(quantity=5, price=120, display_quantity=2)
    outcome = listed(engine, oto(ENTRY, target))
    accepted(engine, sell(ALICE, quantity=1, price=100))
    assert asks(engine) == [(120, 1)]
    accepted(engine, sell(ALICE, quantity=3, price=100))
    assert asks(engine) == [(120, 2)]
    assert words(engine, [state.order_id for state in outcome.orders]) == ["partially_filled", "open"]
