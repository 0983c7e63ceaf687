"""Children of a list: they begin and grow with what their parent trades, and end with one that did not trade."""

from app.domain.commands import PlaceBatch
from app.domain.enums import (
    SelfTradePrevention,
    TimeInForce,
)
from app.domain.events import OrderAmended, OrderTriggered, TradeExecuted
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    NOON_NS,
    QUOTE,
    accepted,
    all_of,
    asks,
    available,
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
    tick_at,
)
from tests.unit.engine.list_builders import bracket, ids_of, oto, steps, words

ENTRY, TARGET, STOP = buy(quantity=5, price=100), sell(quantity=5, price=120), stop(BOB, "sell", 5, 80)


def quantities(engine: Engine, ids: list[int]) -> list[int]:
    return [order(engine, order_id).quantity for order_id in ids]


# ---- one that activates others -----------------------------------------------------------------


def test_children_hold_nothing_and_are_in_no_book_until_their_parent_trades() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 500}})
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    assert words(engine, ids) == ["open", "pending", "pending"]
    assert [order(engine, each).held for each in ids] == [500, 0, 0]
    assert asks(engine) == []


def test_parent_that_fills_at_once_activates_its_children_in_the_same_command() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)])
    events = accepted(engine, bracket(ENTRY, TARGET, STOP))
    assert steps(events)[-3:] == [(2, "filled"), (3, "open"), (4, "untriggered")]
    assert [event.order.quantity for event in all_of(OrderTriggered, events)] == [5, 5]
    assert [state.status for state in engine.outcome.orders] == ["filled", "open", "untriggered"]
    assert engine.outcome.book is not None
    assert (engine.outcome.book.ask, engine.outcome.book.ask_quantity) == (120, 5)
    assert words(engine, [2, 3, 4]) == ["filled", "open", "untriggered"]


def test_children_begin_with_what_the_parent_traded_and_grow_with_it() -> None:
    engine = engine_with()
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, sell(ALICE, quantity=2, price=100))
    assert quantities(engine, ids) == [5, 2, 2]
    assert words(engine, ids) == ["partially_filled", "open", "untriggered"]
    events = accepted(engine, sell(ALICE, quantity=1, price=100))
    assert [(event.order.order_id, event.order.quantity) for event in all_of(OrderAmended, events)] == [
        (ids[1], 3),
        (ids[2], 3),
    ]
    # One sale of base units covers target and stop: only one of them trades.
    assert held(engine, BOB, BASE) == 3
    assert asks(engine) == [(120, 3)]


def test_a_child_that_grows_goes_to_the_back_of_its_level() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET))
    accepted(engine, sell(ALICE, quantity=2, price=100))
    accepted(engine, sell(CAROL, quantity=1, price=120))
    accepted(engine, sell(ALICE, quantity=1, price=100))
    events = accepted(engine, buy(ALICE, quantity=1, price=120))
    assert only(TradeExecuted, events).maker_account_id == CAROL
    assert quantities(engine, ids) == [5, 3]


def test_a_child_that_traded_already_grows_by_what_is_new() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET))
    accepted(engine, sell(ALICE, quantity=3, price=100))
    accepted(engine, buy(CAROL, quantity=2, price=120))
    accepted(engine, sell(ALICE, quantity=2, price=100))
    assert (order(engine, ids[1]).quantity, order(engine, ids[1]).remaining) == (5, 3)
    assert words(engine, ids) == ["filled", "partially_filled"]


def test_growing_does_nothing_to_a_child_that_ended() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET, STOP))
    accepted(engine, sell(ALICE, quantity=2, price=100))
    accepted(engine, buy(CAROL, quantity=2, price=120))
    accepted(engine, sell(ALICE, quantity=3, price=100))
    assert words(engine, ids) == ["filled", "filled", "untriggered"]
    assert quantities(engine, ids) == [5, 2, 5]


def test_a_child_that_crosses_takes_when_it_begins() -> None:
    engine = engine_with([buy(CAROL, quantity=5, price=90)])
    ids = ids_of(engine, oto(ENTRY, sell(quantity=5, price=90)))
    events = accepted(engine, sell(ALICE, quantity=5, price=100))
    assert [(trade.price, trade.taker_order_id) for trade in all_of(TradeExecuted, events)][-1] == (90, ids[1])
    assert words(engine, ids) == ["filled", "filled"]


def test_children_of_children_orders_of_other_lists_begin_in_the_same_command() -> None:
    engine = engine_with()
    first = ids_of(engine, oto(buy(quantity=5, price=100), sell(quantity=5, price=90)))
    orders = buy(CAROL, quantity=5, price=90), sell(CAROL, quantity=5, price=95)
    second = ids_of(engine, oto(*orders, account_id=CAROL))
    events = accepted(engine, sell(ALICE, quantity=5, price=100))
    assert [event.order.order_id for event in all_of(OrderTriggered, events)] == [first[1], second[1]]
    assert words(engine, [*first, *second]) == ["filled", "filled", "filled", "open"]


def test_answer_of_an_order_shows_what_children_did_to_it_afterwards() -> None:
    engine = engine_with()
    ids_of(engine, oto(buy(quantity=2, price=100), buy(quantity=2, price=99)))
    resting = placed(engine, sell(ALICE, quantity=3, price=99))
    # Two lots meet the parent, one more the child that this activates.
    assert (resting.status, resting.filled_quantity) == ("filled", 3)
    assert [(fill.price, fill.quantity, fill.liquidity) for fill in engine.outcome.fills] == [(100, 2, "taker")]
    assert engine.outcome.book is not None
    assert (engine.outcome.book.bid, engine.outcome.book.bid_quantity) == (99, 1)


def test_answers_of_a_batch_show_what_children_did_afterwards() -> None:
    engine = engine_with()
    ids_of(engine, oto(buy(quantity=2, price=100), buy(quantity=2, price=99)))
    accepted(engine, PlaceBatch(ALICE, (sell(ALICE, quantity=3, price=99, client_order_id="a"),), atomic=False))
    state = engine.outcome.results[0].order
    assert state is not None
    assert (state.status, state.filled_quantity) == ("filled", 3)


# ---- parents that end --------------------------------------------------------------------------


def test_parent_that_ends_without_a_trade_ends_its_children() -> None:
    engine = engine_with()
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    events = accepted(engine, cancel(ids[0]))
    assert steps(events) == [(1, "canceled"), (2, "canceled"), (3, "canceled")]
    assert words(engine, ids) == ["canceled: user", "canceled: parent_ended", "canceled: parent_ended"]


def test_market_parent_that_finds_nothing_within_its_cap_ends_its_children() -> None:
    engine = engine_with([sell(BOB, quantity=5, price=100)])
    market = buy(quantity=5, stp=SelfTradePrevention.CANCEL_NEWEST)
    ids = ids_of(engine, oto(market, TARGET))
    assert words(engine, ids) == ["canceled: self_trade", "canceled: parent_ended"]


def test_children_keep_what_they_have_when_a_parent_ends_partly_filled() -> None:
    engine = engine_with()
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, sell(ALICE, quantity=2, price=100))
    accepted(engine, cancel(ids[0]))
    assert words(engine, ids) == ["canceled: user", "open", "untriggered"]
    assert quantities(engine, ids) == [5, 2, 2]


def test_expired_parent_ends_its_children() -> None:
    engine = engine_with()
    entry = buy(quantity=5, price=100, time_in_force=TimeInForce.GTD, expire_ns=NOON_NS + 5)
    ids = ids_of(engine, oto(entry, TARGET))
    tick_at(engine, NOON_NS + 5)
    assert words(engine, ids) == ["expired: gtd", "canceled: parent_ended"]


def test_a_pending_child_expires_by_itself() -> None:
    engine = engine_with()
    target = sell(quantity=5, price=120, time_in_force=TimeInForce.GTD, expire_ns=NOON_NS + 5)
    ids = ids_of(engine, oto(ENTRY, target, STOP))
    tick_at(engine, NOON_NS + 5)
    assert words(engine, ids) == ["open", "expired: gtd", "pending"]


def test_a_pending_child_may_be_canceled_alone() -> None:
    engine = engine_with()
    ids = ids_of(engine, oto(ENTRY, TARGET, STOP))
    accepted(engine, cancel(ids[1]))
    assert words(engine, ids) == ["open", "canceled: user", "pending"]
    accepted(engine, sell(ALICE, quantity=5, price=100))
    assert words(engine, ids) == ["filled", "canceled: user", "untriggered"]


def test_canceling_one_exit_of_a_bracket_ends_the_other() -> None:
    engine = engine_with()
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, cancel(ids[1]))
    assert words(engine, ids) == ["open", "canceled: user", "canceled: oco_peer"]


def test_exit_of_a_bracket_that_trades_ends_the_other() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)])
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, buy(CAROL, quantity=1, price=120))
    assert words(engine, ids) == ["filled", "partially_filled", "canceled: oco_peer"]
    assert held(engine, BOB, BASE) == 4


def test_stop_of_a_bracket_takes_over_the_hold_when_it_runs() -> None:
    balances = {BOB: {QUOTE: 500}, ALICE: {BASE: 10, QUOTE: 10_000}, CAROL: {BASE: 10, QUOTE: 10_000}}
    engine = engine_with([sell(ALICE, quantity=5, price=100)], balances)
    ids = ids_of(engine, bracket(ENTRY, TARGET, STOP))
    accepted(engine, buy(ALICE, quantity=6, price=80))
    accepted(engine, sell(CAROL, quantity=1, price=80))
    events = tick(engine)
    assert steps(events)[:2] == [(ids[1], "canceled"), (ids[2], "open")]
    assert words(engine, ids) == ["filled", "canceled: oco_peer", "filled"]
    assert (available(engine, BOB, QUOTE), available(engine, BOB, BASE)) == (400, 0)
