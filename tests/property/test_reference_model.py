"""The reference model itself, against expectations worked out by hand: the trickiest rules of waiting orders."""

from typing import Any

import pytest

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceBatch,
    PlaceList,
    PlaceOrder,
    SetCancelAfter,
    Tick,
    UpdateAccount,
    UpdateInstrument,
)
from app.domain.enums import (
    InstrumentStatus,
    ListKind,
    OrderType,
    PostOnly,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.domain.events import Event, OrderEvent, TradeExecuted
from app.domain.outcomes import Outcome
from tests.property import reference_listing
from tests.property.reference_model import ReferenceModel
from tests.property.reference_records import RefOrder

NOON_NS = 1_700_000_000_000_000_000
SECOND_NS = 10**9
ANN, BOB, CYD = 1001, 1002, 1003
BUY, SELL = Side.BUY, Side.SELL
PERCENT = 1_000_000


class Exchange:
    """A model with one instrument S (no fees unless asked for) and three rich accounts."""

    def __init__(self, **instrument: Any) -> None:
        self.model = ReferenceModel()
        self.now_ns = NOON_NS
        self.model.begin(self.now_ns)
        self.do(CreateAsset("B", 0))
        self.do(CreateAsset("Q", 0))
        self.do(CreateInstrument("S", "B", "Q", "1", "1", order_types=tuple(OrderType), **instrument))
        for name in ("ann", "bob", "cyd"):
            account_id = self.do(CreateAccount(name)).account_id
            assert account_id is not None
            for asset in "BQ":
                self.do(Deposit(account_id, asset, "1000000", f"{name} {asset}"))

    def do(self, command: Command) -> Outcome:
        self.events = self.model.apply(command)
        return self.model.outcome

    def place(self, account_id: int, side: Side, quantity: int, price: int | None = None, **terms: Any) -> RefOrder:
        """Place an order that is accepted, by default a limit order; returns the model's record of it."""
        kind = terms.pop("type", OrderType.LIMIT)
        outcome = self.do(PlaceOrder(account_id, "S", side, kind, quantity, price, **terms))
        assert outcome.order is not None, outcome.rejection
        return self.order(outcome.order.order_id)

    def order(self, order_id: int) -> RefOrder:
        return next(o for o in self.model.open + self.model.closed if o.order_id == order_id)

    def trade(self, price: int) -> None:
        """Print one lot between Bob and Cyd."""
        self.place(BOB, SELL, 1, price)
        taken = self.place(CYD, BUY, 1, price)
        assert taken.filled == 1

    def tick(self, after_ns: int = 0) -> list[Event]:
        self.model.seal()
        self.now_ns += after_ns
        self.model.begin(self.now_ns)
        self.do(Tick())
        return self.events

    def held(self, account_id: int, asset: str) -> int:
        return self.model.held(account_id, asset)


def steps(events: list[Event]) -> list[tuple[int, str, str | None]]:
    """Return what became of which order: id, event, reason."""
    return [
        (each.order.order_id, type(each).__struct_config__.tag.removeprefix("order."), each.order.reason)  # type: ignore[union-attr]  # every event has a tag
        for each in events
        if isinstance(each, OrderEvent)
    ]


def prints(events: list[Event]) -> list[tuple[int, int, int]]:
    """Return maker, price and quantity of each trade."""
    return [(each.maker_order_id, each.price, each.quantity) for each in events if isinstance(each, TradeExecuted)]


@pytest.fixture(autouse=True)
def all_order_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_listing, "BUILT", tuple(OrderType))


# ---- triggers ----------------------------------------------------------------------------------


def test_a_trailing_stop_follows_the_best_price_and_fires_at_its_distance() -> None:
    exchange = Exchange()
    exchange.trade(100)
    stop = exchange.place(ANN, SELL, 5, type=OrderType.TRAILING_STOP, trailing_offset=3)
    assert (stop.trigger_price, stop.price, stop.status) == (97, 88, "untriggered")  # 97 less 10 %, rounded up
    exchange.trade(104)
    exchange.trade(102)
    assert (stop.trigger_price, stop in exchange.model.fired) == (101, False)
    exchange.trade(101)
    assert stop in exchange.model.fired
    assert exchange.model.next_deadline == 0
    bid = exchange.place(BOB, BUY, 2, 95)
    exchange.tick()
    assert stop.price == 91  # 101 less 10 %, rounded up: 90.9
    assert prints(exchange.events) == [(bid.order_id, 95, 2)]
    ids = stop.order_id, bid.order_id
    assert steps(exchange.events) == [
        (ids[0], "triggered", None),
        (ids[1], "filled", None),
        (ids[0], "partially_filled", None),
        (ids[0], "canceled", "no_liquidity"),
    ]


def test_nothing_fires_by_a_price_that_was_there_before() -> None:
    exchange = Exchange()
    exchange.trade(100)
    stop = exchange.place(ANN, BUY, 1, type=OrderType.STOP, trigger_price=90)
    assert exchange.model.fired == []
    exchange.trade(95)
    assert exchange.model.fired == [stop]
    exchange.do(AmendOrder(ANN, stop.order_id, trigger_price=94))
    assert exchange.model.fired == []  # a new trigger counts from its amend
    exchange.trade(94)
    assert exchange.model.fired == [stop]


def test_triggers_queue_by_print_and_within_one_by_age() -> None:
    exchange = Exchange()
    high = exchange.place(ANN, BUY, 1, 200, type=OrderType.STOP_LIMIT, trigger_price=102)
    low = exchange.place(ANN, BUY, 1, 200, type=OrderType.STOP_LIMIT, trigger_price=101)
    also = exchange.place(ANN, BUY, 1, 200, type=OrderType.STOP_LIMIT, trigger_price=101)
    for price in (101, 102):
        exchange.place(BOB, SELL, 1, price)
    exchange.place(CYD, BUY, 2, 102)
    assert exchange.model.fired == [low, also, high]


def test_triggers_sleep_while_the_instrument_is_halted() -> None:
    exchange = Exchange()
    stop = exchange.place(ANN, BUY, 1, 90, type=OrderType.STOP_LIMIT, trigger_price=100)
    exchange.trade(100)
    exchange.do(UpdateInstrument("S", InstrumentStatus.HALTED))
    assert exchange.model.next_deadline is None
    assert exchange.tick() == []
    exchange.do(UpdateInstrument("S", InstrumentStatus.OPEN))
    exchange.tick()
    assert (stop.status, stop.arrival is not None) == ("open", True)


def test_a_triggered_post_only_order_that_would_take_is_moved_or_canceled() -> None:
    exchange = Exchange()
    terms: dict[str, Any] = {"type": OrderType.STOP_LIMIT, "trigger_price": 100}
    moved = exchange.place(ANN, BUY, 1, 105, post_only=PostOnly.REPRICE, **terms)
    refused = exchange.place(ANN, BUY, 1, 105, post_only=PostOnly.REJECT, **terms)
    exchange.trade(100)
    exchange.place(BOB, SELL, 1, 103)
    exchange.tick()
    assert (moved.price, moved.status) == (102, "open")
    assert (refused.status, refused.reason) == ("canceled", "post_only")


# ---- icebergs ----------------------------------------------------------------------------------


def test_an_iceberg_refills_behind_the_orders_of_its_level() -> None:
    exchange = Exchange()
    iceberg = exchange.place(BOB, SELL, 10, 100, display_quantity=3)
    plain = exchange.place(BOB, SELL, 4, 100)
    assert exchange.model.best("S", SELL) == (100, 7)
    exchange.place(ANN, BUY, 9, 100)
    ids = iceberg.order_id, plain.order_id
    assert prints(exchange.events) == [(ids[0], 100, 3), (ids[1], 100, 4), (ids[0], 100, 2)]
    assert (iceberg.shown, iceberg.remaining) == (1, 5)
    exchange.place(ANN, BUY, 5, 100, time_in_force=TimeInForce.FOK)
    assert prints(exchange.events) == [(ids[0], 100, 1), (ids[0], 100, 3), (ids[0], 100, 1)]


def test_a_decrement_takes_the_shown_part_first() -> None:
    exchange = Exchange()
    iceberg = exchange.place(ANN, SELL, 10, 100, display_quantity=3)
    exchange.place(ANN, BUY, 4, 100, stp=SelfTradePrevention.DECREMENT)
    assert (iceberg.shown, iceberg.remaining) == (3, 6)


def test_another_display_quantity_loses_the_place() -> None:
    exchange = Exchange()
    iceberg = exchange.place(BOB, SELL, 10, 100, display_quantity=3)
    plain = exchange.place(BOB, SELL, 4, 100)
    outcome = exchange.do(AmendOrder(BOB, iceberg.order_id, display_quantity=20))
    assert (outcome.priority, iceberg.shown) == ("lost", 10)
    exchange.place(ANN, BUY, 5, 100)
    assert prints(exchange.events) == [(plain.order_id, 100, 4), (iceberg.order_id, 100, 1)]


# ---- market buys by money ----------------------------------------------------------------------


def test_a_buy_by_money_counts_the_cumulative_fee() -> None:
    exchange = Exchange(taker_fee=PERCENT)
    for price in (30, 31):
        exchange.place(BOB, SELL, 2, price)
    market: dict[str, Any] = {"type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    # 2 at 30 cost 60 and 0.6 of fee; one more at 31 makes 91 and 0.91, in all 92; the next would be 122 and 1.22.
    bought = exchange.place(ANN, BUY, 0, quote_quantity=123, **market)
    assert (bought.filled, bought.notional, bought.fees, bought.status) == (3, 91, 1, "filled")
    assert exchange.held(ANN, "Q") == 0
    last = exchange.place(ANN, BUY, 0, quote_quantity=33, **market)
    assert (last.filled, last.fees, last.status, last.reason) == (1, 1, "canceled", "no_liquidity")


def test_a_buy_by_money_needs_the_price_of_one_lot_with_its_fee() -> None:
    exchange = Exchange(taker_fee=PERCENT)
    exchange.place(BOB, SELL, 2, 30)
    order = PlaceOrder(ANN, "S", BUY, OrderType.MARKET, 0, time_in_force=TimeInForce.IOC, quote_quantity=30)
    rejection = exchange.do(order).rejection
    assert rejection is not None
    assert (rejection.reason, rejection.limit, rejection.actual) == ("quantity_out_of_range", "31", "30")


# ---- lists -------------------------------------------------------------------------------------


def listed(exchange: Exchange, kind: ListKind, *orders: PlaceOrder) -> list[RefOrder]:
    """Place a list that is accepted; returns its orders."""
    outcome = exchange.do(PlaceList(ANN, kind, orders))
    assert outcome.rejection is None, outcome.rejection
    return [exchange.order(state.order_id) for state in outcome.orders]


def limit(side: Side, quantity: int, price: int) -> PlaceOrder:
    return PlaceOrder(ANN, "S", side, OrderType.LIMIT, quantity, price)


def stop(side: Side, quantity: int, trigger: int) -> PlaceOrder:
    return PlaceOrder(ANN, "S", side, OrderType.STOP, quantity, trigger_price=trigger)


def test_an_oco_pair_holds_once_and_the_first_print_ends_the_other() -> None:
    exchange = Exchange()
    low, high = listed(exchange, ListKind.OCO, limit(BUY, 10, 90), stop(BUY, 10, 100))
    assert exchange.held(ANN, "Q") == 10 * 110  # the stop's cap: 100 and 10 %
    exchange.place(BOB, SELL, 4, 90)
    assert steps(exchange.events)[1:] == [
        (high.order_id, "canceled", "oco_peer"),
        (low.order_id, "partially_filled", None),
        (low.order_id + 2, "filled", None),
    ]
    assert exchange.held(ANN, "Q") == 6 * 90


def test_a_leg_that_is_run_ends_its_peer_though_that_fired_too() -> None:
    exchange = Exchange()
    first, second = listed(exchange, ListKind.OCO, stop(BUY, 1, 100), stop(BUY, 1, 101))
    exchange.trade(101)
    assert exchange.model.fired == [first, second]
    exchange.tick()
    assert (second.reason, exchange.model.fired) == ("oco_peer", [])
    assert steps(exchange.events)[0] == (second.order_id, "canceled", "oco_peer")


def test_a_bracket_grows_with_its_entry() -> None:
    exchange = Exchange()
    orders = limit(BUY, 10, 100), limit(SELL, 10, 110), stop(SELL, 10, 90)
    entry, target, guard = listed(exchange, ListKind.BRACKET, *orders)
    assert [o.status for o in (entry, target, guard)] == ["open", "pending", "pending"]
    assert exchange.held(ANN, "B") == 0
    exchange.place(BOB, SELL, 4, 100)
    assert [(o.status, o.quantity) for o in (target, guard)] == [("open", 4), ("untriggered", 4)]
    assert exchange.held(ANN, "B") == 4
    exchange.place(BOB, SELL, 3, 100)
    assert steps(exchange.events)[-2:] == [(target.order_id, "amended", None), (guard.order_id, "amended", None)]
    assert exchange.held(ANN, "B") == 7
    exchange.do(CancelOrder(ANN, entry.order_id))
    assert [o.status for o in (target, guard)] == ["open", "untriggered"]
    exchange.place(BOB, BUY, 1, 110)
    assert (guard.status, guard.reason, exchange.held(ANN, "B")) == ("canceled", "oco_peer", 6)


def test_an_entry_that_ends_unfilled_takes_its_children_along() -> None:
    exchange = Exchange()
    orders = limit(BUY, 10, 100), limit(SELL, 10, 110), stop(SELL, 10, 90)
    entry, target, guard = listed(exchange, ListKind.BRACKET, *orders)
    exchange.do(CancelOrder(ANN, entry.order_id))
    assert [o.reason for o in (entry, target, guard)] == ["user", "parent_ended", "parent_ended"]


def test_a_child_without_funds_is_canceled() -> None:
    exchange = Exchange()
    entry, child = listed(exchange, ListKind.OTO, limit(BUY, 10, 100), limit(BUY, 10, 99))
    exchange.place(ANN, BUY, 9_990, 100)
    assert exchange.held(ANN, "Q") == 1_000_000
    exchange.place(BOB, SELL, 10, 100)
    assert entry.status == "filled"
    assert (child.status, child.reason, child.quantity) == ("canceled", "insufficient_balance", 10)


# ---- batches, time, groups ---------------------------------------------------------------------


def test_an_atomic_batch_is_refused_whole_and_leaves_nothing() -> None:
    exchange = Exchange()
    orders = [
        PlaceOrder(ANN, "S", BUY, OrderType.LIMIT, 6_000, 100, client_order_id="a"),
        PlaceOrder(ANN, "S", BUY, OrderType.LIMIT, 6_000, 100, client_order_id="b"),
    ]
    outcome = exchange.do(PlaceBatch(ANN, tuple(orders), atomic=True))
    reasons = [each.rejection.reason for each in outcome.results if each.rejection is not None]
    assert reasons == ["invalid_request", "insufficient_balance"]
    assert (exchange.model.open, len(exchange.events)) == ([], 1)
    each = exchange.do(PlaceBatch(ANN, tuple(orders), atomic=False)).results
    assert [result.order is not None for result in each] == [True, False]


def test_an_order_of_an_atomic_batch_that_would_now_take_is_canceled() -> None:
    exchange = Exchange()
    orders = (
        PlaceOrder(ANN, "S", SELL, OrderType.LIMIT, 1, 100, client_order_id="a"),
        PlaceOrder(ANN, "S", BUY, OrderType.LIMIT, 1, 100, client_order_id="b", post_only=PostOnly.REJECT),
    )
    results = exchange.do(PlaceBatch(ANN, orders, atomic=True)).results
    states = [result.order for result in results]
    assert [(state.status, state.reason) for state in states if state] == [("open", None), ("canceled", "post_only")]


def test_timers_act_by_time_then_kind() -> None:
    exchange = Exchange()
    due = exchange.now_ns + 3 * SECOND_NS
    until: dict[str, Any] = {"time_in_force": TimeInForce.GTD}
    late = exchange.place(ANN, BUY, 1, 90, expire_ns=due, **until)
    early = exchange.place(ANN, BUY, 1, 91, expire_ns=due - 1, **until)
    other = exchange.place(ANN, BUY, 1, 92)
    exchange.do(SetCancelAfter(ANN, 3 * SECOND_NS))
    assert exchange.model.next_deadline == due - 1
    exchange.tick(3 * SECOND_NS)
    assert steps(exchange.events) == [
        (early.order_id, "expired", "gtd"),
        (late.order_id, "expired", "gtd"),
        (other.order_id, "canceled", "cancel_after"),
    ]
    assert exchange.model.next_deadline is None


def test_a_day_order_ends_at_the_next_close_after_it_was_accepted() -> None:
    exchange = Exchange()
    order = exchange.place(ANN, BUY, 1, 90, time_in_force=TimeInForce.DAY)
    day = 86_400 * SECOND_NS
    assert exchange.model.next_deadline == order.due_ns == (NOON_NS // day + 1) * day


def test_a_cancel_of_too_many_goes_on_with_ticks() -> None:
    exchange = Exchange()
    exchange.model.cancels_max, exchange.model.slice_max = 2, 1
    for price in (90, 91, 92, 93):
        exchange.place(ANN, BUY, 1, price)
    assert len(exchange.do(CancelAll(ANN)).orders) == 2
    later = exchange.place(ANN, BUY, 1, 94)
    assert exchange.model.next_deadline == 0
    for _ in range(2):
        exchange.tick()
    assert exchange.model.open == [later]
    assert exchange.model.next_deadline is None


def test_accounts_of_one_group_do_not_trade() -> None:
    exchange = Exchange()
    for account_id in (ANN, BOB):
        exchange.do(UpdateAccount(account_id, stp_group=7))
    maker = exchange.place(BOB, SELL, 1, 100)
    taker = exchange.place(ANN, BUY, 1, 100, stp=SelfTradePrevention.CANCEL_BOTH)
    assert [(o.status, o.reason) for o in (maker, taker)] == [("canceled", "self_trade")] * 2
