"""Every control trips one beyond its limit and not at it, and says its code, the limit and the actual value.

Each case runs twice: with plain orders, which are admitted by one conjunction, and with the same orders in a form
that goes through the ordered checks.
"""

import msgspec
import pytest

from app.domain.commands import Command, CreateInstrument, PlaceBatch, PlaceOrder, UpdateAccount
from app.domain.enums import (
    InstrumentStatus,
    KillSwitchScope,
    OrderStatus,
    RejectReason,
    SelfTradePrevention,
)
from app.domain.events import TradeExecuted, TradePrevented
from app.domain.limits import LIMITS
from app.engine import invariants
from tests.controls.cases import BAND, CASES, ENDINGS, STATUS_CODES, Ending, bid
from tests.controls.limit_cases import LEVELS, LIMIT_CASES, TIER, LimitCase, set_on
from tests.controls.steps import Case, failed_checks, found, roundabout, walk
from tests.unit.engine.builders import (
    ALICE,
    CAROL,
    accepted,
    all_of,
    buy,
    engine_with,
    instrument_command,
    only,
    order,
    placed,
    refused,
    sell,
    update,
)

CONTROLS = {f"C{number}" for number in (*range(1, 18), 19)}
"""Of the list of controls; C18 and C20 refuse nothing."""
WAYS = pytest.mark.parametrize("plain", [True, False], ids=["plain", "checked one by one"])
MODES = list(SelfTradePrevention)


def test_every_control_every_limit_and_every_status_has_its_case() -> None:
    tested = {case.control for case in CASES} | {ending.control for ending in ENDINGS} | {"C12"}
    assert tested | {limited.control for limited in LIMIT_CASES.values()} == CONTROLS
    assert LIMIT_CASES.keys() == LIMITS.keys()
    assert {case.field for case in CASES if case.control == "C17"} == set(KillSwitchScope)
    assert STATUS_CODES.keys() == set(InstrumentStatus) - {InstrumentStatus.OPEN}
    assert AFTER.keys() == set(SelfTradePrevention)


def test_every_number_is_one_beyond_its_limit() -> None:
    for limited in LIMIT_CASES.values():
        assert abs(limited.actual - limited.limit) == 1
    for case in CASES:
        if case.limit is not None:
            assert case.actual is not None
            assert abs(case.actual - case.limit) == 1, case.title


# ---- limits of an account --------------------------------------------------------------------


def levels_of(case: LimitCase, name: str, tight: str) -> list[Command]:
    """Return the commands that set the limit on its level, and one half or twice as tight on the other two."""
    looser = case.limit // 2 if LIMITS[name].tightest_is_largest else case.limit * 2
    values = {level: case.limit if level == tight else looser for level in LEVELS}
    return [*(set_on(level, name, value) for level, value in values.items()), UpdateAccount(ALICE, tier=TIER)]


@WAYS
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LIMITS)
def test_limit_holds_on_each_level_and_the_tightest_of_all_three(name: str, level: str, *, plain: bool) -> None:
    case = LIMIT_CASES[name]
    engine = case.build()
    walk(engine, [*levels_of(case, name, level), *case.steps], plain=plain)
    reason = LIMITS[name].reason
    expected = reason, str(case.limit), str(case.actual), case.unit
    beyond = case.beyond if plain else roundabout(case.beyond)
    assert isinstance(beyond, PlaceOrder)
    assert failed_checks(engine, beyond) == [expected]
    assert found(engine, beyond) == (reason, None, *expected[1:])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LIMITS)
def test_limit_of_one_level_alone_holds_and_is_lifted(name: str, level: str) -> None:
    case = LIMIT_CASES[name]
    engine = case.build()
    others = [set_on(other, name, None) for other in LEVELS if other != level]
    walk(engine, [set_on(level, name, case.limit), *others, UpdateAccount(ALICE, tier=TIER), *case.steps])
    assert refused(engine, case.beyond).reason is LIMITS[name].reason
    accepted(engine, set_on(level, name, None))
    accepted(engine, UpdateAccount(ALICE, release_throttle=True))
    accepted(engine, case.beyond)


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("name", [name for name in LIMITS if name != "duplicate_window_ns"])
def test_limit_holds_for_an_order_of_a_batch(name: str, *, atomic: bool) -> None:
    """Orders of a batch have a client_order_id each: none of them looks like one that was sent twice."""
    case = LIMIT_CASES[name]
    engine = case.build()
    walk(engine, [set_on("account", name, case.limit), *case.steps])
    beyond = msgspec.structs.replace(case.beyond, client_order_id="a")
    accepted(engine, PlaceBatch(ALICE, (beyond,), atomic))
    rejection = engine.outcome.results[0].rejection
    assert rejection is not None
    assert (rejection.reason, rejection.limit, rejection.actual) == (
        LIMITS[name].reason, str(case.limit), str(case.actual),
    )  # fmt: skip


# ---- what refuses an order -------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.control} {case.title}")
def test_control_refuses_one_beyond_its_limit_and_not_at_it(case: Case, *, plain: bool) -> None:
    engine = case.build()
    walk(engine, case.steps, plain=plain)
    beyond = case.beyond if plain else roundabout(case.beyond)
    expected = case.refusal()
    if isinstance(beyond, PlaceOrder):
        reason, _, *numbers = expected
        # The check is named after the code that it stands for, whichever of the two a status gives.
        name = RejectReason.INSTRUMENT_NOT_OPEN if reason is RejectReason.INSTRUMENT_HALTED else reason
        assert (name, *numbers) in failed_checks(engine, beyond)
    assert found(engine, beyond) == expected


def test_collar_never_lacks_a_reference_price() -> None:
    without = {**BAND, "reference_price": None}
    listing = instrument_command(symbol="BTC-OTHER", **without)
    assert isinstance(listing, CreateInstrument)
    engine = engine_with()
    assert refused(engine, listing).field == "reference_price"
    assert refused(engine, update(price_band=BAND["price_band"])).field == "reference_price"
    banded = engine_with(**BAND)
    assert refused(banded, update(reference_price=None)).field == "reference_price"
    assert refused(banded, bid(1, 116)).reason == "price_band"


# ---- what ends an order on its way -----------------------------------------------------------


@WAYS
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: f"{ending.control} {ending.title}")
def test_control_ends_an_order_that_would_trade_beyond_its_limit_and_not_at_it(ending: Ending, *, plain: bool) -> None:
    engine = ending.build()
    walk(engine, ending.steps, plain=plain)
    at, beyond = (each if plain else roundabout(each) for each in (ending.at, ending.beyond))
    assert isinstance(at, PlaceOrder)
    assert isinstance(beyond, PlaceOrder)
    assert placed(engine, at).status is OrderStatus.FILLED
    walk(engine, ending.between)
    state = placed(engine, beyond)
    assert (state.status, state.reason, state.filled_quantity) == (OrderStatus.CANCELED, ending.reason, ending.filled)
    invariants.check(engine.state)


def test_market_order_never_lacks_a_protection_price() -> None:
    assert refused(engine_with(), update(max_slippage=None)).field == "max_slippage"
    engine = engine_with([sell(quantity=1, price=100)], max_slippage=0)
    assert placed(engine, buy(ALICE, quantity=1)).price == 100


# ---- self-trade prevention -------------------------------------------------------------------

CANCELED, OPEN = OrderStatus.CANCELED, OrderStatus.OPEN
AFTER = {
    SelfTradePrevention.CANCEL_NEWEST: ((CANCELED, 3), (OPEN, 5)),
    SelfTradePrevention.CANCEL_OLDEST: ((OPEN, 3), (CANCELED, 5)),
    SelfTradePrevention.CANCEL_BOTH: ((CANCELED, 3), (CANCELED, 5)),
    SelfTradePrevention.DECREMENT: ((CANCELED, 3), (OPEN, 2)),
}
"""By mode, status and quantity of the taker of 3 and of the maker of 5."""


@WAYS
@pytest.mark.parametrize("owner", [ALICE, CAROL], ids=["account", "group"])
@pytest.mark.parametrize("mode", MODES)
def test_orders_of_one_owner_never_trade_in_each_mode(mode: SelfTradePrevention, owner: int, *, plain: bool) -> None:
    engine = engine_with([sell(quantity=1, price=100), sell(owner, quantity=5, price=100)])
    if owner is not ALICE:
        for account_id in (ALICE, owner):
            accepted(engine, UpdateAccount(account_id, stp_group=7))
    # With others it trades as ever.
    assert placed(engine, bid(1, stp=mode)).status is OrderStatus.FILLED
    command = bid(3, stp=mode) if plain else roundabout(bid(3, stp=mode))
    events = accepted(engine, command)
    assert all_of(TradeExecuted, events) == []
    prevented = only(TradePrevented, events)
    assert (prevented.mode, prevented.quantity, prevented.maker_account_id) == (
        mode, 3, None if owner is ALICE else owner,
    )  # fmt: skip
    taker, maker = order(engine, prevented.taker_order_id).state, order(engine, prevented.maker_order_id).state
    assert ((taker.status, taker.quantity), (maker.status, maker.quantity)) == AFTER[mode]
    assert {state.reason for state in (taker, maker) if state.status is CANCELED} == {"self_trade"}
    invariants.check(engine.state)
