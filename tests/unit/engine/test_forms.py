"""Which fields make an order of which type, and which of two bad ones names the refusal."""

from typing import Any

import msgspec
import pytest

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, PostOnly, TimeInForce, TriggerBy
from app.engine.forms import end_of
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    FOK,
    GTC,
    IOC,
    NOON_NS,
    SYMBOL,
    buy,
    engine_with,
    instrument_command,
    placed,
    refused,
    sell,
    stop,
)

LIMIT, MARKET, TRAILING = OrderType.LIMIT, OrderType.MARKET, OrderType.TRAILING_STOP
STOP_LIMIT, PROFIT_LIMIT = OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT
GTD, DAY = TimeInForce.GTD, TimeInForce.DAY

SOUND: dict[OrderType, PlaceOrder] = {
    LIMIT: buy(ALICE, quantity=5, price=100),
    MARKET: buy(ALICE, quantity=5),
    OrderType.STOP: stop(ALICE, "buy", 5, 110),
    OrderType.TAKE_PROFIT: stop(ALICE, "buy", 5, 90, type=OrderType.TAKE_PROFIT),
    STOP_LIMIT: stop(ALICE, "buy", 5, 110, price=100, type=STOP_LIMIT),
    PROFIT_LIMIT: stop(ALICE, "buy", 5, 90, price=100, type=PROFIT_LIMIT),
    TRAILING: stop(ALICE, "buy", 5, type=TRAILING, trailing_offset=7),
}
"""An order of each type with nothing in it that need not be."""


def field_of(command: PlaceOrder) -> str | None:
    """Return the field that refuses an order, or None for one that is accepted."""
    engine = engine_with([buy(BOB, quantity=9, price=95), sell(BOB, quantity=9, price=105)], reference_price=100)
    engine.apply(command)
    rejection = engine.outcome.rejection
    if rejection is None:
        return None
    assert rejection.reason == "invalid_request", f"{rejection}"
    return rejection.field


@pytest.mark.parametrize("kind", SOUND)
def test_an_order_of_each_type_is_accepted_by_default(kind: OrderType) -> None:
    assert field_of(SOUND[kind]) is None


@pytest.mark.parametrize("kind", SOUND)
def test_a_type_that_the_instrument_does_not_admit_is_refused(kind: OrderType) -> None:
    engine = engine_with(order_types=tuple(other for other in OrderType if other is not kind), reference_price=100)
    assert refused(engine, SOUND[kind]).reason == "type_not_allowed"


EVERY, RESTS, NOW = {*TimeInForce}, {GTC, GTD, DAY}, {IOC, FOK}
PRICED = {LIMIT, STOP_LIMIT, PROFIT_LIMIT}


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize("time_in_force", list(TimeInForce))
def test_times_in_force_of_each_type(kind: OrderType, time_in_force: TimeInForce) -> None:
    expire_ns = NOON_NS + 1 if time_in_force is GTD else None
    command = msgspec.structs.replace(SOUND[kind], time_in_force=time_in_force, expire_ns=expire_ns)
    admitted = EVERY if kind in PRICED else NOW if kind is MARKET else RESTS
    if kind is LIMIT and time_in_force is FOK:
        command = msgspec.structs.replace(command, price=105)
    assert field_of(command) == (None if time_in_force in admitted else "time_in_force")


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize(
    ("member", "admits"),
    [
        ({"price": 100}, PRICED),
        ({"post_only": PostOnly.REJECT}, PRICED),
        ({"trigger_price": 100}, {*OrderType} - {LIMIT, MARKET, TRAILING}),
        ({"trigger_by": TriggerBy.LAST}, {*OrderType} - {LIMIT, MARKET}),
        ({"trigger_by": TriggerBy.MARK}, {*OrderType} - {LIMIT, MARKET, TRAILING}),
        ({"trailing_offset": 3}, {TRAILING}),
        ({"display_quantity": 2}, PRICED),
        ({"max_slippage": 5}, {*OrderType} - PRICED),
        ({"expire_ns": NOON_NS + 1}, set[OrderType]()),
    ],
)
def test_members_of_each_type(kind: OrderType, member: dict[str, Any], admits: set[OrderType]) -> None:
    expected = None if kind in admits else next(iter(member))
    assert field_of(msgspec.structs.replace(SOUND[kind], **member)) == expected


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (LIMIT, {"price": None}),
        (STOP_LIMIT, {"price": None}),
        (OrderType.STOP, {"trigger_price": None}),
        (OrderType.STOP, {"trigger_price": 0}),
        (PROFIT_LIMIT, {"trigger_price": 2**63}),
        (TRAILING, {"trailing_offset": None}),
        (TRAILING, {"trailing_offset": 0}),
        (TRAILING, {"trailing_offset": 2**63}),
        (LIMIT, {"display_quantity": 5}),
        (LIMIT, {"display_quantity": 0}),
        (LIMIT, {"display_quantity": -1}),
    ],
)
def test_missing_or_impossible_member_is_refused(kind: OrderType, member: dict[str, Any]) -> None:
    assert field_of(msgspec.structs.replace(SOUND[kind], **member)) == next(iter(member))


def test_bad_fields_are_named_in_their_order() -> None:
    """Each step mends the field that was named; the next one is named then."""
    bad: dict[str, Any] = {
        "price": 1,
        "time_in_force": IOC,
        "post_only": PostOnly.REJECT,
        "trigger_price": None,
        "trigger_by": TriggerBy.MARK,
        "trailing_offset": 1,
        "display_quantity": 9,
        "quote_quantity": 1,
        "expire_ns": 1,
    }
    mended: dict[str, Any] = {"time_in_force": GTC, "trigger_price": 110}
    command = msgspec.structs.replace(SOUND[OrderType.STOP], **bad)
    engine, named = engine_with(), []
    for _ in bad:
        field = refused(engine, command).field
        assert field is not None
        named.append(field)
        command = msgspec.structs.replace(command, **{field: mended.get(field)})
    assert named == list(bad)
    assert placed(engine, command).status == "untriggered"


def test_max_slippage_is_looked_at_last() -> None:
    command = msgspec.structs.replace(SOUND[LIMIT], max_slippage=1, time_in_force=GTD, expire_ns=NOON_NS)
    assert field_of(command) == "expire_ns"
    assert field_of(msgspec.structs.replace(command, expire_ns=NOON_NS + 1)) == "max_slippage"


def test_cap_of_a_waiting_order_is_not_held_to_the_band_and_a_limit_is() -> None:
    band: dict[str, Any] = {"reference_price": 100, "price_band": 1_000_000}
    assert placed(engine_with(**band), stop(ALICE, "buy", 1, 150)).price == 165
    assert refused(engine_with(**band), stop(ALICE, "buy", 1, 150, price=150, type=STOP_LIMIT)).reason == "price_band"


def test_cap_of_a_waiting_order_must_be_a_price() -> None:
    assert refused(engine_with(), stop(ALICE, "buy", 1, 2**63 - 1)).field == "price"


def test_end_of_a_day_order_is_after_its_own_time() -> None:
    engine = engine_with()
    instrument = engine.state.books[SYMBOL].instrument
    day = buy(quantity=1, price=1, time_in_force=DAY)
    assert instrument_command().session_close_ns == instrument.session_close_ns == 0
    midnight = NOON_NS - NOON_NS % 86_400_000_000_000
    assert end_of(day, instrument, midnight) == midnight + 86_400_000_000_000
    assert end_of(day, instrument, midnight - 1) == midnight
