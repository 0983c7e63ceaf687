"""From an order body to its command, and from its outcome to the answer."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CheckOrder,
    Command,
    GuardSession,
    PlaceList,
    PlaceOrder,
    SetCancelAfter,
)
from app.domain.enums import (
    DisconnectScope,
    ListKind,
    OrderStatus,
    OrderType,
    PostOnly,
    RejectReason,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerBy,
)
from app.domain.events import OrderState, Rejection
from app.domain.identity import Principal, SessionKey
from app.domain.instrument import Instrument
from app.domain.outcomes import CheckResult, Outcome
from app.errors import ApiError
from app.gateway.orders import OrderGateway
from app.gateway.terms import deadline_left_ms, order_number, place_command
from app.protocol.field_rules import NO_LIST
from app.protocol.schemas import AmendOrderRequest, CancelAfterRequest, OrderListRequest, PlaceOrderRequest

BTC = Instrument("BTC-USD", "BTC", "USD", "0.01", "0.00000001", 8, 10, notional_unit=1, lot_units=1)
ALICE = Principal(1001, frozenset({"trade"}))


class OneInstrument:
    """A catalog with BTC-USD only."""

    def get(self, symbol: str) -> Instrument | None:
        return BTC if symbol == "BTC-USD" else None

    def all(self) -> list[Instrument]:
        return [BTC]

    def asset_scale(self, asset: str) -> int | None:
        return {"USD": 10, "BTC": 8}.get(asset)


class ScriptedLink:
    """Keeps what was submitted and answers what a test sets."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.submitted: list[Command] = []
        self.deadlines: list[int | None] = []

    async def submit(
        self, command: Command, *, session_id: str | None = None, deadline_ms: int | None = None
    ) -> Outcome:
        self.submitted.append(command)
        self.deadlines.append(deadline_ms)
        return self.outcome


def request(**changes: object) -> PlaceOrderRequest:
    body: dict[str, object] = {
        "symbol": "BTC-USD",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "quantity": "0.5",
        "price": "100.25",
    }
    return PlaceOrderRequest(**{**body, **changes})  # type: ignore[arg-type]  # fields by name


def test_a_limit_order_becomes_integers_with_the_defaults_of_the_contract() -> None:
    assert place_command(1001, request(), BTC, "s1") == PlaceOrder(
        1001,
        "BTC-USD",
        Side.BUY,
        OrderType.LIMIT,
        50_000_000,
        price=10_025,
        time_in_force=TimeInForce.GTC,
        stp=SelfTradePrevention.CANCEL_NEWEST,
        session_id="s1",
    )


def test_a_market_order_is_immediate_or_cancel_unless_told_otherwise() -> None:
    command = place_command(1001, request(type=OrderType.MARKET, price=None), BTC, None)
    assert (command.time_in_force, command.price) == (TimeInForce.IOC, None)


def test_every_field_of_an_order_reaches_the_engine_in_its_integers() -> None:
    body = request(
        type=OrderType.STOP_LIMIT,
        side=Side.SELL,
        time_in_force=TimeInForce.GTD,
        client_order_id="c1",
        post_only=PostOnly.REPRICE,
        reduce_only=True,
        display_quantity="0.1",
        trigger_price="99.5",
        trigger_by=TriggerBy.MARK,
        trailing_offset="0.25",
        stp=SelfTradePrevention.DECREMENT,
        expire_at="2030-01-01T00:00:00Z",
        label="l",
        max_slippage="0.01",
    )
    assert place_command(1001, body, BTC, "s1") == PlaceOrder(
        1001,
        "BTC-USD",
        Side.SELL,
        OrderType.STOP_LIMIT,
        50_000_000,
        price=10_025,
        time_in_force=TimeInForce.GTD,
        client_order_id="c1",
        post_only=PostOnly.REPRICE,
        stp=SelfTradePrevention.DECREMENT,
        label="l",
        max_slippage=1_000_000,
        session_id="s1",
        reduce_only=True,
        display_quantity=10_000_000,
        trigger_price=9_950,
        trigger_by=TriggerBy.MARK,
        trailing_offset=25,
        expire_ns=1_893_456_000_000_000_000,
    )


def test_a_market_buy_by_money_has_no_quantity_of_its_own() -> None:
    body = request(type=OrderType.MARKET, price=None, quantity=None, quote_quantity="12.5")
    command = place_command(1001, body, BTC, None)
    assert (command.quantity, command.quote_quantity) == (0, 125_000_000_000)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"quantity": None}, "invalid_request", "quantity"),
        ({"price": None}, "invalid_request", "price"),
        ({"price": "100.255"}, "invalid_price_tick", "price"),
        ({"quantity": "0.000000001"}, "invalid_quantity_lot", "quantity"),
        ({"quote_quantity": "10"}, "invalid_request", "quantity"),
        ({"quantity": None, "quote_quantity": "0.00000000001"}, "invalid_request", "quote_quantity"),
        ({"quantity": None, "quote_quantity": "1000000000"}, "invalid_request", "quote_quantity"),
        ({"trigger_price": "10.001"}, "invalid_price_tick", "trigger_price"),
        ({"trailing_offset": "0"}, "invalid_request", "trailing_offset"),
        ({"display_quantity": "0.000000001"}, "invalid_quantity_lot", "display_quantity"),
        ({"expire_at": "tomorrow"}, "invalid_request", "expire_at"),
        ({"expire_at": "2030-01-01T00:00:00"}, "invalid_request", "expire_at"),
    ],
)
def test_a_field_that_makes_no_order_is_named_and_never_ignored(
    changes: dict[str, object], code: str, field: str
) -> None:
    with pytest.raises(ApiError) as caught:
        place_command(1001, request(**changes), BTC, None)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_past_deadline_is_refused_before_the_engine_and_a_naive_one_is_malformed() -> None:
    now = datetime.now(UTC)
    soon, late = [(now + timedelta(seconds=seconds)).isoformat() for seconds in (5, 18_000)]
    assert 4_000 < (deadline_left_ms([late, None, soon]) or 0) <= 5_000
    assert deadline_left_ms([late]) == 60_000
    assert deadline_left_ms([None]) is None
    for text, code in (
        ((now - timedelta(seconds=1)).isoformat(), "deadline_exceeded"),
        ("2030-01-01T00:00:00", "invalid_request"),
        ("tomorrow", "invalid_request"),
    ):
        with pytest.raises(ApiError) as caught:
            deadline_left_ms([text])
        assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", "٣", "9" * 19, "1" * 20])
def test_text_that_cannot_be_an_order_id_is_an_unknown_order(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        order_number(text)
    assert caught.value.code == "unknown_order"


async def test_a_rejection_is_answered_with_limit_and_actual_in_decimals() -> None:
    rejection = Rejection(RejectReason.INSUFFICIENT_BALANCE, None, "25000000000", "30000000000", "USD")
    gateway = OrderGateway(ScriptedLink(Outcome(9, 1, rejection)), OneInstrument())
    with pytest.raises(ApiError) as caught:
        await gateway.place(ALICE, request())
    assert (caught.value.code, caught.value.limit, caught.value.actual) == ("insufficient_balance", "2.5", "3")
    assert gateway.acknowledged_seq(1001) == 9


async def test_an_amend_travels_as_decimals_because_the_replica_need_not_know_the_instrument() -> None:
    link = ScriptedLink(Outcome(9, 1, Rejection(RejectReason.UNKNOWN_ORDER)))
    gateway = OrderGateway(link, OneInstrument())
    with pytest.raises(ApiError):
        await gateway.amend(ALICE, "7", AmendOrderRequest(price="100.50", quantity="2", if_version=3))
    with pytest.raises(ApiError):
        await gateway.amend(ALICE, "8", AmendOrderRequest(display_quantity="0.5", trigger_price="99.95"))
    assert link.submitted == [
        AmendOrder(1001, 7, 1005, 2, 3, price_scale=1, quantity_scale=0),
        AmendOrder(1001, 8, display_quantity=5, display_quantity_scale=1, trigger_price=9995, trigger_price_scale=2),
    ]
    with pytest.raises(ApiError) as caught:
        await gateway.amend(ALICE, "8", AmendOrderRequest(if_version=1))
    assert (caught.value.code, len(link.submitted)) == ("invalid_request", 2)


async def test_a_refused_amend_is_told_in_the_numbers_of_the_orders_instrument() -> None:
    rejection = Rejection(RejectReason.PRICE_BAND, "price", "7206000", "10000000", "ticks")
    gateway = OrderGateway(ScriptedLink(Outcome(9, 1, rejection, instrument=BTC)), OneInstrument())
    with pytest.raises(ApiError) as caught:
        await gateway.amend(ALICE, "7", AmendOrderRequest(price="100000"))
    assert (caught.value.limit, caught.value.actual) == ("72060", "100000")


async def test_orders_that_make_no_list_are_told_what_would() -> None:
    link = ScriptedLink(Outcome(9, 1, Rejection(RejectReason.INVALID_REQUEST, "orders")))
    orders = [request(), request(side=Side.BUY)]
    with pytest.raises(ApiError) as caught:
        await OrderGateway(link, OneInstrument()).place_list(ALICE, OrderListRequest(ListKind.OCO, orders))
    assert (caught.value.field, caught.value.detail) == ("orders", NO_LIST)


async def test_credentials_limited_to_instruments_reach_no_other() -> None:
    link = ScriptedLink(Outcome(9, 1, Rejection(RejectReason.UNKNOWN_ORDER)))
    gateway = OrderGateway(link, OneInstrument())
    limited = Principal(1001, frozenset({"trade"}), symbols=frozenset({"ETH-USD"}))
    with pytest.raises(ApiError) as caught:
        await gateway.place(limited, request())
    assert caught.value.code == "forbidden"
    with pytest.raises(ApiError) as caught:
        await gateway.cancel_all(limited)
    assert caught.value.code == "forbidden"
    with pytest.raises(ApiError):
        await gateway.cancel(limited, order_id="7")
    assert link.submitted == [CancelOrder(1001, 7, None, ("ETH-USD",))]


async def test_cancel_wants_exactly_one_id() -> None:
    gateway = OrderGateway(ScriptedLink(Outcome(9, 1)), OneInstrument())
    for ids in ({}, {"order_id": "1", "client_order_id": "a"}):
        with pytest.raises(ApiError) as caught:
            await gateway.cancel(ALICE, **ids)
        assert caught.value.code == "invalid_request"


async def test_cancel_all_answers_the_canceled_orders() -> None:
    link = ScriptedLink(Outcome(9, 1))
    answer = await OrderGateway(link, OneInstrument()).cancel_all(ALICE, symbol="BTC-USD", side=Side.SELL, label="x")
    assert (answer.engine_seq, answer.canceled) == (9, [])
    assert link.submitted == [CancelAll(1001, "BTC-USD", Side.SELL, "x")]


async def test_cancel_after_is_armed_in_nanoseconds_and_disarmed_with_zero() -> None:
    link = ScriptedLink(Outcome(9, 1, trigger_ns=1_700_000_000_000_000_000))
    gateway = OrderGateway(link, OneInstrument())
    armed = await gateway.cancel_after(ALICE, CancelAfterRequest(3_000, ["BTC-USD"], keep_protective=True))
    assert (armed.engine_seq, armed.trigger_at) == (9, "2023-11-14T22:13:20.000000Z")
    link.outcome = Outcome(10, 1)
    assert (await gateway.cancel_after(ALICE, CancelAfterRequest(0))).trigger_at is None
    assert link.submitted == [
        SetCancelAfter(1001, 3_000_000_000, ("BTC-USD",), True),
        SetCancelAfter(1001, 0, None, False),
    ]


async def test_a_session_is_guarded_in_nanoseconds_and_a_refusal_is_the_clients() -> None:
    link = ScriptedLink(Outcome(9, 1))
    gateway, key = OrderGateway(link, OneInstrument()), SessionKey(1001, "s")
    await gateway.guard_session(key, DisconnectScope.ACCOUNT, 1_500)
    link.outcome = Outcome(10, 1, Rejection(RejectReason.NOT_FOUND, "adopt"))
    with pytest.raises(ApiError) as caught:
        await gateway.guard_session(key, None, 0, is_adopted=True)
    assert (caught.value.code, caught.value.field) == ("not_found", "adopt")
    assert link.submitted == [
        GuardSession(1001, "s", DisconnectScope.ACCOUNT, 1_500_000_000),
        GuardSession(1001, "s", None, 0, is_adopted=True),
    ]


async def test_credentials_for_some_instruments_cannot_arm_a_switch_over_all() -> None:
    link = ScriptedLink(Outcome(9, 1))
    limited = Principal(1001, frozenset({"trade"}), symbols=frozenset({"BTC-USD"}))
    with pytest.raises(ApiError) as caught:
        await OrderGateway(link, OneInstrument()).cancel_after(limited, CancelAfterRequest(3_000))
    assert (caught.value.code, caught.value.field, link.submitted) == ("forbidden", "symbols", [])


async def test_an_unknown_symbol_never_reaches_the_engine() -> None:
    link = ScriptedLink(Outcome(9, 1))
    with pytest.raises(ApiError) as caught:
        await OrderGateway(link, OneInstrument()).place(ALICE, request(symbol="NOPE"))
    assert (caught.value.code, link.submitted) == ("unknown_symbol", [])


async def test_a_list_is_one_command_and_answers_its_orders() -> None:
    orders = [request(client_order_id="a"), request(type=OrderType.STOP, price=None, trigger_price="90")]
    commands = tuple([place_command(1001, order, BTC, None) for order in orders])
    states = tuple(
        [
            OrderState(number, terms, OrderStatus.OPEN, 1, 5, 5, 0, 0, 0, None, 1, 1, 9, order_list_id=4)
            for number, terms in enumerate(commands, 7)
        ]
    )
    link = ScriptedLink(Outcome(9, 1, orders=states, order_list_id=4))
    placed = await OrderGateway(link, OneInstrument()).place_list(ALICE, OrderListRequest(ListKind.OCO, orders))
    assert link.submitted == [PlaceList(1001, ListKind.OCO, commands)]
    assert (placed.order_list_id, placed.engine_seq, placed.duplicate) == ("4", 9, False)
    assert [(order.order_id, order.order_list_id) for order in placed.orders] == [("7", "4"), ("8", "4")]


async def test_a_check_tells_limit_use_and_headroom_in_the_clients_numbers() -> None:
    checks = (
        CheckResult("kill_switch", passed=True),
        CheckResult("price_band", passed=True, limit="11000", used="10025", unit="ticks"),
        CheckResult("quantity_out_of_range", passed=True, limit="10", used="50000000", unit="lots"),
        CheckResult("open_order_limit", passed=False, limit="5", used="6", unit="count"),
        CheckResult("insufficient_balance", passed=False, limit="10000000000", used="15000000000", unit="USD"),
    )
    link = ScriptedLink(Outcome(9, 1, checks=checks))
    answer = await OrderGateway(link, OneInstrument()).check(ALICE, request())
    assert link.submitted == [CheckOrder(place_command(1001, request(), BTC, None))]
    assert (answer.valid, answer.engine_seq) == (False, 9)
    assert [(check.limit, check.used, check.headroom) for check in answer.checks] == [
        (None, None, None),
        ("110", "100.25", "9.75"),
        ("0.0000001", "0.5", "0.4999999"),
        ("5", "6", "-1"),
        ("1", "1.5", "-0.5"),
    ]
