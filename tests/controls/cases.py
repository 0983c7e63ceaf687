"""The controls that are not limits of an account: instrument, funds, status, restrictions and kill switches.

CASES refuse an order. ENDINGS admit it and end it before it goes beyond.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from app.domain.commands import Deposit, PlaceOrder, SetKillSwitch, UpdateAccount, Withdraw
from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    KillSwitchScope,
    OrderReason,
    PostOnly,
    RejectReason,
)
from app.engine.engine import Engine
from tests.controls.limit_cases import OTHER, two_instruments
from tests.controls.steps import SECOND_NS, Case, Later, Step
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    IOC,
    PERCENT,
    QUOTE,
    SYMBOL,
    amend,
    buy,
    cancel,
    closing,
    engine_with,
    long,
    sell,
    update,
)

BAND: dict[str, Any] = {"price_band": 10 * PERCENT, "reference_price": 105}
"""10.5 ticks of 105 are 10: 95 to 115."""
BREAKER: dict[str, Any] = {
    "breaker_move": 10 * PERCENT,
    "breaker_window_ns": 5 * SECOND_NS,
    "breaker_halt_ns": 30 * SECOND_NS,
}
_R = RejectReason
COLLAR: dict[str, Any] = {"code": _R.PRICE_BAND, "field": "price", "unit": "ticks"}
LOTS: dict[str, Any] = {"code": _R.QUANTITY_OUT_OF_RANGE, "field": "quantity", "unit": "lots"}
NOTIONAL: dict[str, Any] = {"code": _R.NOTIONAL_OUT_OF_RANGE, "unit": QUOTE}
FUNDS: dict[str, Any] = {"code": _R.INSUFFICIENT_BALANCE, "unit": QUOTE}
ROOM: dict[str, Any] = {"code": _R.REDUCE_ONLY_WOULD_INCREASE, "unit": "lots"}
STATUS_CODES = {
    InstrumentStatus.POST_ONLY: _R.INSTRUMENT_NOT_OPEN,
    InstrumentStatus.AUCTION: _R.INSTRUMENT_NOT_OPEN,
    InstrumentStatus.CANCEL_ONLY: _R.INSTRUMENT_NOT_OPEN,
    InstrumentStatus.HALTED: _R.INSTRUMENT_HALTED,
    InstrumentStatus.CLOSED: _R.INSTRUMENT_NOT_OPEN,
}
"""What a plain order that would take at once is refused with; an open instrument refuses none."""


def listed(**instrument: Any) -> Callable[[], Engine]:
    """Return a builder of an engine with such an instrument."""
    return lambda: engine_with(**instrument)


def bid(quantity: int = 5, price: int = 100, **terms: Any) -> PlaceOrder:
    """Return a buy order of Alice's."""
    return buy(ALICE, quantity=quantity, price=price, **terms)


def offer(quantity: int = 5, price: int = 100, **terms: Any) -> PlaceOrder:
    """Return a sell order of Alice's."""
    return sell(ALICE, quantity=quantity, price=price, **terms)


def funded(**amounts: int) -> Callable[[], Engine]:
    """Return a builder of an engine with a fee of 1 %, in which Alice has just so much and Bob offers 20 at 100."""
    balances = {ALICE: amounts, BOB: {BASE: 20}}
    return lambda: engine_with([sell(BOB, quantity=20, price=100)], balances, taker_fee=PERCENT)


def traded_at_100() -> Engine:
    """Return an engine with a breaker of 10 % in 5 s that traded at 100; Bob offers a lot at 110 and at 111."""
    traded = [sell(quantity=1, price=100), bid(1)]
    return engine_with([*traded, sell(quantity=1, price=110), sell(quantity=1, price=111)], **BREAKER)


def admitted_in(status: InstrumentStatus) -> tuple[Step, ...]:
    """Return what an instrument still admits in a status, after it was open."""
    entered: tuple[Step, ...] = bid(), update(status=status)
    if status is InstrumentStatus.CLOSED:
        return entered
    leaving: tuple[Step, ...] = amend(1, ALICE, quantity=4), cancel(1, ALICE)
    if status is InstrumentStatus.POST_ONLY:
        return *entered, *leaving, bid(post_only=PostOnly.REJECT)
    if status is InstrumentStatus.AUCTION:
        return *entered, *leaving, bid()
    return *entered, *leaving


CASES = [
    # ---- the price ---------------------------------------------------------------------------
    Case("C1", "collar above", listed(**BAND), (bid(1, 115),), bid(1, 116), limit=115, actual=116, **COLLAR),
    Case("C1", "collar below", listed(**BAND), (offer(1, 95),), offer(1, 94), limit=95, actual=94, **COLLAR),
    Case(
        "C1",
        "collar of an amend",
        listed(**BAND),
        (bid(), amend(1, ALICE, price=115)),
        amend(1, ALICE, price=116),
        limit=115,
        actual=116,
        **COLLAR,
    ),
    # ---- the numbers -------------------------------------------------------------------------
    Case("C2", "most lots", listed(max_quantity=9), (bid(9),), bid(10), limit=9, actual=10, **LOTS),
    Case("C3", "most money", listed(max_notional=900), (bid(900, 1),), bid(901, 1), limit=900, actual=901, **NOTIONAL),
    Case("C4", "least lots", listed(min_quantity=3), (bid(3),), bid(2), limit=3, actual=2, **LOTS),
    Case("C4", "least money", listed(min_notional=300), (bid(300, 1),), bid(299, 1), limit=300, actual=299, **NOTIONAL),
    Case(
        "C4",
        "tick",
        listed(tick_size="0.05", lot_size="20"),
        (bid(), amend(1, ALICE, price=605, price_scale=2)),
        amend(1, ALICE, price=606, price_scale=2),
        code=_R.INVALID_PRICE_TICK,
        field="price",
    ),
    Case(
        "C4",
        "lot",
        listed(tick_size="0.05", lot_size="20"),
        (bid(), amend(1, ALICE, quantity=80, quantity_scale=0)),
        amend(1, ALICE, quantity=81, quantity_scale=0),
        code=_R.INVALID_QUANTITY_LOT,
        field="quantity",
    ),
    # ---- the funds ---------------------------------------------------------------------------
    # 10 at 100 and 1 % of that are 1010.
    Case(
        "C6",
        "funds of a buy with its fee",
        funded(USD=1_010),
        (bid(10), Deposit(ALICE, QUOTE, "1009", "later")),
        bid(10),
        limit=1_009,
        actual=1_010,
        **FUNDS,
    ),
    # Its cap is 110: 1100 and 1 % of that are held, and 1010 of them paid.
    Case(
        "C6",
        "funds of a market buy at its worst price",
        funded(USD=1_111),
        (buy(ALICE, quantity=10), Deposit(ALICE, QUOTE, "1009", "later")),
        buy(ALICE, quantity=10),
        limit=1_110,
        actual=1_111,
        **FUNDS,
    ),
    Case(
        "C6",
        "funds of a sell",
        funded(BTC=9),
        (offer(9, 200), cancel(2, ALICE), Withdraw(ALICE, BASE, "1", "out")),
        offer(9, 200),
        limit=8,
        actual=9,
        **FUNDS | {"unit": BASE},
    ),
    # ---- the position ------------------------------------------------------------------------
    Case("C7", "reduce-only order", long, (closing(10),), closing(1), limit=0, actual=1, **ROOM),
    Case(
        "C7",
        "account that may only reduce",
        long,
        (UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY), offer(10, 110), cancel(3, ALICE)),
        offer(11, 110),
        limit=10,
        actual=11,
        **ROOM,
    ),
    # ---- who, and where ----------------------------------------------------------------------
    Case(
        "C13",
        "restricted instrument",
        two_instruments,
        (bid(), UpdateAccount(ALICE, restricted=(SYMBOL,)), bid(symbol=OTHER), cancel(1, ALICE)),
        bid(),
        code=_R.RESTRICTED_SYMBOL,
        field="symbol",
    ),
    Case(
        "C13",
        "frozen account",
        listed(),
        (bid(), UpdateAccount(ALICE, AccountStatus.FROZEN), buy(BOB, quantity=1, price=1), cancel(1, ALICE)),
        bid(),
        code=_R.ACCOUNT_FROZEN,
    ),
    Case(
        "C15",
        "instrument that its breaker halted",
        traded_at_100,
        (Later(SECOND_NS), bid(1, 111), bid(1, 111)),
        bid(1, 1),
        code=_R.INSTRUMENT_HALTED,
    ),
    Case(
        "C16",
        "market order without a price to start from",
        listed(),
        (sell(quantity=1, price=100), buy(ALICE, quantity=1)),
        buy(ALICE, quantity=1),
        code=_R.NO_LIQUIDITY,
    ),
    *[
        Case(
            "C17",
            f"kill switch of the {scope}",
            two_instruments,
            (bid(), SetKillSwitch(scope, target, on=True), *passing, amend(1, ALICE, quantity=4), cancel(1, ALICE)),
            bid(),
            code=_R.KILL_SWITCH,
            field=scope,
        )
        for scope, target, passing in (
            (KillSwitchScope.EXCHANGE, None, ()),
            (KillSwitchScope.INSTRUMENT, SYMBOL, (bid(symbol=OTHER),)),
            (KillSwitchScope.ACCOUNT, str(ALICE), (buy(BOB, quantity=1, price=1),)),
        )
    ],
    *[
        Case("C19", f"status {status}", listed(), admitted_in(status), bid(time_in_force=IOC), code=code)
        for status, code in STATUS_CODES.items()
    ],
]


class Ending(NamedTuple):
    """A control that stops an order on its way: `at` trades all it can, `beyond` ends with the reason."""

    control: str
    title: str
    build: Callable[[], Engine]
    steps: tuple[Step, ...]
    at: PlaceOrder
    between: tuple[Step, ...]
    beyond: PlaceOrder
    reason: OrderReason
    filled: int
    """Lots of `beyond` that trade before."""


ENDINGS = [
    Ending(
        "C15",
        "breaker: 10 % from the price of a window ago, and a tick more",
        traded_at_100,
        (Later(SECOND_NS),),
        bid(1, 200),
        (),
        bid(1, 200),
        OrderReason.CIRCUIT_BREAKER,
        0,
    ),
    Ending(
        "C16",
        "market buy: 10 % above the best offer, and a tick more",
        listed(),
        (sell(quantity=1, price=100), sell(quantity=1, price=110)),
        buy(ALICE, quantity=2),
        (sell(quantity=1, price=100), sell(quantity=1, price=111)),
        buy(ALICE, quantity=2),
        OrderReason.SLIPPAGE_CAP,
        1,
    ),
    Ending(
        "C16",
        "market sell: 10 % below the best bid, and a tick more",
        listed(),
        (buy(quantity=1, price=100), buy(quantity=1, price=90)),
        sell(ALICE, quantity=2),
        (buy(quantity=1, price=100), buy(quantity=1, price=89)),
        sell(ALICE, quantity=2),
        OrderReason.SLIPPAGE_CAP,
        1,
    ),
    Ending(
        "C16",
        "market buy with a tighter bound of its own",
        listed(),
        (sell(quantity=1, price=100), sell(quantity=1, price=105)),
        buy(ALICE, quantity=2, max_slippage=5 * PERCENT),
        (sell(quantity=1, price=100), sell(quantity=1, price=106)),
        buy(ALICE, quantity=2, max_slippage=5 * PERCENT),
        OrderReason.SLIPPAGE_CAP,
        1,
    ),
]
