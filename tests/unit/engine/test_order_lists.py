"""Order lists as they are placed: what makes one, what refuses it as a whole, and a repeated one."""

import msgspec
import pytest

from app.domain.commands import PlaceList, PlaceOrder, SetKillSwitch, SetLimits, UpdateAccount
from app.domain.enums import AccountStatus, InstrumentStatus, KillSwitchScope, ListKind, OrderType, PostOnly
from app.domain.events import OrderAccepted
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    IOC,
    QUOTE,
    accepted,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    held,
    order,
    reason_of,
    refused,
    sell,
    stop,
)
from tests.unit.engine.list_builders import bracket, ids_of, listed, oco, oto, words

BUY_LOW, STOP_HIGH = buy(quantity=5, price=90), stop(BOB, "buy", 5, 110)
ENTRY, TARGET, STOP = buy(quantity=5, price=100), sell(quantity=5, price=120), stop(BOB, "sell", 5, 80)


def test_orders_of_a_list_share_its_id_and_are_answered_in_their_order() -> None:
    engine = engine_with()
    outcome = listed(engine, bracket(ENTRY, TARGET, STOP))
    assert outcome.order_list_id == 1
    assert [(state.order_id, state.status, state.order_list_id) for state in outcome.orders] == [
        (1, "open", 1),
        (2, "pending", 1),
        (3, "pending", 1),
    ]
    assert outcome.book is not None
    assert (outcome.book.bid, outcome.book.bid_quantity) == (100, 5)
    assert listed(engine, oco(BUY_LOW, STOP_HIGH)).order_list_id == 2


def test_pending_child_shows_what_it_would_be() -> None:
    engine = engine_with()
    _, target, stopping = listed(engine, bracket(ENTRY, TARGET, STOP)).orders
    assert (target.quantity, target.price, target.trigger_price) == (5, 120, None)
    # A stop's price is its cap: 10 % below its trigger.
    assert (stopping.quantity, stopping.price, stopping.trigger_price) == (5, 72, 80)


def test_all_orders_are_accepted_before_the_first_one_trades() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)])
    events = accepted(engine, bracket(ENTRY, TARGET, STOP))
    accepted_at = [number for number, event in enumerate(events) if isinstance(event, OrderAccepted)]
    assert accepted_at == [0, 1, 2]


@pytest.mark.parametrize(
    "command",
    [
        oco(),
        oco(BUY_LOW),
        oco(BUY_LOW, STOP_HIGH, STOP_HIGH),
        oto(ENTRY),
        oto(ENTRY, TARGET, TARGET, TARGET),
        bracket(ENTRY, TARGET),
        oco(BUY_LOW, sell(quantity=5, price=110)),
        oco(BUY_LOW, buy(quantity=6, price=80)),
        oco(BUY_LOW, buy(ALICE, quantity=5, price=80)),
        oco(BUY_LOW, STOP_HIGH, account_id=ALICE),
        oco(BUY_LOW, msgspec.structs.replace(STOP_HIGH, symbol="ETH-USD")),
        oco(buy(quantity=5, price=90, client_order_id="a"), buy(quantity=5, price=80, client_order_id="a")),
        oco(BUY_LOW, buy(quantity=5, price=80, time_in_force=IOC)),
        oco(BUY_LOW, buy(quantity=5, price=80, time_in_force=FOK)),
        oco(BUY_LOW, buy(quantity=5)),
        oco(BUY_LOW, buy(quantity=5, price=80, reduce_only=True)),
        oto(buy(quantity=0, quote_quantity=500), sell(quantity=0, price=120)),
        oto(buy(quantity=5, time_in_force=FOK), TARGET),
        oto(buy(quantity=5, price=100, time_in_force=IOC), TARGET),
        oto(ENTRY, sell(quantity=5)),
        oto(ENTRY, sell(quantity=4, price=120)),
        bracket(ENTRY, STOP, TARGET),
        bracket(ENTRY, TARGET, stop(BOB, "buy", 5, 110)),
        bracket(ENTRY, buy(quantity=5, price=90), STOP),
        bracket(ENTRY, TARGET, stop(BOB, "sell", 5, 130, type=OrderType.TAKE_PROFIT)),
    ],
)
def test_orders_that_make_no_list_are_refused_as_one(command: PlaceList) -> None:
    engine = engine_with()
    rejection = refused(engine, command)
    assert (rejection.reason, rejection.field) == ("invalid_request", "orders")
    assert engine.state.last_order_id == engine.state.last_order_list_id == 0


def test_market_entry_may_end_at_once() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)])
    ids = ids_of(engine, bracket(buy(quantity=5), TARGET, STOP))
    assert words(engine, ids) == ["filled", "open", "untriggered"]


def test_two_orders_of_which_one_trades_must_not_both_cross() -> None:
    engine = engine_with([sell(ALICE, quantity=5, price=100)])
    both = oco(buy(quantity=5, price=100), buy(quantity=5, price=101))
    assert (refused(engine, both).reason, refused(engine, both).field) == ("invalid_request", "orders")
    ids = ids_of(engine, oco(buy(quantity=5, price=100), buy(quantity=5, price=99)))
    assert words(engine, ids) == ["filled", "canceled: oco_peer"]


def test_a_refused_order_refuses_the_list_and_no_order_of_it_is_stated() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 1000}}, max_quantity=50)
    events = engine.apply(oto(buy(quantity=5, price=100), sell(quantity=5, price=0)))
    assert engine.outcome.rejection is not None
    assert (engine.outcome.rejection.reason, engine.outcome.rejection.field) == ("invalid_request", "price")
    assert events == []
    assert engine.state.orders == engine.state.accounts[BOB].open_orders == {}
    assert available(engine, BOB, QUOTE) == 1000


def test_list_of_an_unknown_account_or_instrument_is_refused() -> None:
    engine = engine_with()
    stranger = [msgspec.structs.replace(each, account_id=999) for each in (BUY_LOW, STOP_HIGH)]
    assert reason_of(engine, oco(*stranger, account_id=999)) == "not_found"
    elsewhere = [msgspec.structs.replace(each, symbol="NOPE") for each in (BUY_LOW, STOP_HIGH)]
    rejection = refused(engine, oco(*elsewhere))
    assert (rejection.reason, rejection.field) == ("unknown_symbol", "symbol")


@pytest.mark.parametrize(("quantity", "missing"), [(5, None), (6, "insufficient_balance")])
def test_children_need_no_funds_and_a_parent_does(quantity: int, missing: str | None) -> None:
    engine = engine_with(balances={BOB: {QUOTE: 500}})
    entry, target = buy(quantity=quantity, price=100), sell(quantity=quantity, price=120)
    engine.apply(oto(entry, target))
    rejection = engine.outcome.rejection
    assert (rejection and rejection.reason) == missing
    if rejection is not None:
        assert (rejection.limit, rejection.actual, rejection.unit) == ("500", "600", QUOTE)


def test_limit_of_open_orders_counts_every_order_of_the_list() -> None:
    engine = engine_with([buy(quantity=1, price=50)])
    accepted(engine, SetLimits({"open_orders": "3"}))
    rejection = refused(engine, bracket(ENTRY, TARGET, STOP))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("open_order_limit", "3", "4")
    accepted(engine, cancel(1))
    listed(engine, bracket(ENTRY, TARGET, STOP))


def test_every_order_of_a_list_is_a_message() -> None:
    engine = engine_with()
    accepted(engine, SetLimits({"message_rate": "4"}))
    listed(engine, bracket(ENTRY, TARGET, STOP))
    rejection = refused(engine, bracket(ENTRY, TARGET, STOP))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("order_rate_limit", "4", "5")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(InstrumentStatus.HALTED, "instrument_halted"), (InstrumentStatus.POST_ONLY, "instrument_not_open")],
)
def test_instrument_that_admits_no_such_order_refuses_the_list(status: InstrumentStatus, reason: str) -> None:
    engine = engine_with(status=status)
    assert reason_of(engine, oco(BUY_LOW, buy(quantity=5, price=80))) == reason


def test_auction_admits_lists_of_orders_that_rest() -> None:
    engine = engine_with(status=InstrumentStatus.AUCTION)
    assert words(engine, ids_of(engine, oco(BUY_LOW, buy(quantity=5, price=80)))) == ["open", "open"]
    assert words(engine, ids_of(engine, oto(ENTRY, TARGET))) == ["open", "pending"]
    assert reason_of(engine, oco(BUY_LOW, STOP_HIGH)) == "instrument_not_open"


def test_kill_switch_frozen_account_and_restriction_refuse_the_list() -> None:
    engine = engine_with()
    accepted(engine, SetKillSwitch(KillSwitchScope.EXCHANGE, None, on=True))
    assert reason_of(engine, oco(BUY_LOW, STOP_HIGH)) == "kill_switch"
    accepted(engine, SetKillSwitch(KillSwitchScope.EXCHANGE, None, on=False))
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
    assert reason_of(engine, oco(BUY_LOW, STOP_HIGH)) == "account_frozen"
    accepted(engine, UpdateAccount(BOB, AccountStatus.ACTIVE, restricted=("BTC-USD",)))
    assert reason_of(engine, oco(BUY_LOW, STOP_HIGH)) == "restricted_symbol"


def test_child_may_be_post_only_at_a_price_that_would_take_now() -> None:
    engine = engine_with([sell(ALICE, quantity=1, price=110), buy(ALICE, quantity=9, price=95)])
    target = sell(quantity=5, price=90, post_only=PostOnly.REJECT)
    ids = ids_of(engine, oto(ENTRY, target))
    assert order(engine, ids[1]).price == 90


# ---- repeated lists ----------------------------------------------------------------------------


def named(kind: ListKind = ListKind.OTO, price: int = 100) -> PlaceList:
    orders = buy(quantity=5, price=price, client_order_id="entry"), sell(quantity=5, price=120, client_order_id="exit")
    return PlaceList(BOB, kind, orders)


def test_a_repeated_list_is_answered_as_it_stands() -> None:
    engine = engine_with()
    ids = ids_of(engine, named())
    accepted(engine, cancel(ids[1]))
    events = accepted(engine, named())
    assert events == []
    assert engine.outcome.duplicate
    assert engine.outcome.order_list_id == 1
    assert [state.status for state in engine.outcome.orders] == ["open", "canceled"]


def test_another_session_may_repeat_a_list() -> None:
    engine = engine_with()
    listed(engine, named())
    orders = [msgspec.structs.replace(terms, session_id="other") for terms in named().orders]
    accepted(engine, oto(*orders))
    assert engine.outcome.duplicate


@pytest.mark.parametrize(
    "command",
    [
        named(price=99),
        oto(buy(quantity=5, price=100), sell(quantity=5, price=120, client_order_id="exit")),
        oto(buy(quantity=5, price=90, client_order_id="single"), sell(quantity=5, price=120)),
    ],
)
def test_client_order_ids_of_something_else_are_refused(command: PlaceList) -> None:
    engine = engine_with([buy(quantity=5, price=90, client_order_id="single")])
    listed(engine, named())
    rejection = refused(engine, command)
    assert (rejection.reason, rejection.field) == ("client_order_id_reused", "client_order_id")


def test_an_order_of_a_list_is_known_by_its_client_order_id_like_any_other() -> None:
    engine = engine_with()
    listed(engine, named())
    accepted(engine, named().orders[1])
    assert engine.outcome.duplicate
    assert engine.outcome.order is not None
    assert engine.outcome.order.status == "pending"


def test_two_orders_too_many_for_one_level_do_not_both_rest() -> None:
    most = 2**62
    engine = engine_with()
    legs: list[PlaceOrder] = [buy(quantity=most, price=1) for _ in range(2)]
    # Each of them fits; together they would pass what a book can state.
    ids = ids_of(engine, oco(*legs))
    assert words(engine, ids) == ["canceled: oco_peer", "canceled: slippage_cap"]
    assert bids(engine) == []
    assert held(engine, BOB, QUOTE) == held(engine, BOB, BASE) == 0


def test_client_ids_of_forgotten_lists_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.matching.CLOSED_ORDERS_MAX", 1)
    engine: Engine = engine_with()
    ids = ids_of(engine, named())
    accepted(engine, cancel(ids[0]))
    # The entry is forgotten, its child is the one remembered.
    assert list(engine.state.orders) == [ids[1]]
    assert reason_of(engine, named()) == "client_order_id_reused"
    accepted(engine, buy(CAROL, quantity=1, price=1))
    accepted(engine, cancel(ids[1] + 1, CAROL))
    listed(engine, named())
    assert not engine.outcome.duplicate
