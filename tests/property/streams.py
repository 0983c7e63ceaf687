"""Seeded streams of random commands, from profiles chosen by swarm: each seed leaves out some features and
stresses others, so that states which never meet in an average stream do meet in some.

A stream watches the events of what it made (from the engine or the model alike), so that its cancels and amends
hit open orders. Equal seeds and equal events give equal streams.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgspec

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    SetLimits,
    StartEpoch,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    OrderStatus,
    OrderType,
    PostOnly,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.domain.events import AccountUpdated, InstrumentListed, LimitsSet, OrderEvent, OrderState
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.instrument import Instrument

RECENT_ORDERS = 40
PERCENT = 1_000_000
INTEGER_MAX = 2**63 - 1
BASE_SCALE, QUOTE_SCALE = 8, 10
STRANGER = 999
STP = tuple(SelfTradePrevention)
FEES = (
    (0, 0),
    (100_000, 200_000),
    (-50_000, 50_000),
    (3 * PERCENT, PERCENT),
    (-7 * PERCENT, 9 * PERCENT),
    (1, 1),
    (2, 7),
)
"""Maker and taker rates."""
WEIGHTS = {
    "limit": 30, "ioc": 6, "fok": 5, "market": 6, "post_only": 6, "repeat": 3, "cancel": 12, "cancel_all": 1,
    "amend": 14, "transfer": 2, "edit_instrument": 3, "edit_account": 1, "limits": 1, "epoch": 1, "odd": 3,
}  # fmt: skip
ALWAYS = {"limit", "cancel"}


@dataclass(frozen=True)
class Profile:
    """What one stream is like."""

    accounts: int
    symbols: int
    middle: int
    """Price in ticks around which orders are placed."""
    reach: int
    """Furthest distance from the middle, in ticks."""
    lots_max: int
    base_funds: int
    """Units that each account starts with."""
    quote_funds: int
    stp: tuple[SelfTradePrevention, ...]
    client_ids: float
    """Share of orders that carry a client_order_id."""
    batch_max: int
    operations_max: int
    closed_orders_max: int
    instrument: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)


def profile_of(rng: random.Random) -> Profile:
    """Choose a profile by swarm."""
    middle, reach = rng.choice(((1_000, 3), (1_000, 30), (5, 5), (1, 2), (100_000, 500), (40, 6)))
    tick_size, lot_size = rng.choice((("1", "1"), ("0.05", "0.1"), ("0.01", "0.00000001"), ("0.5", "2")))
    notional_unit = int(Fraction(tick_size) * Fraction(lot_size) * 10**QUOTE_SCALE)
    lot_units = int(Fraction(lot_size) * 10**BASE_SCALE)
    lots_max = rng.choice((3, 20, 1_000, 10**6))
    if rng.random() < 0.2:
        lots_max = INTEGER_MAX // max(lot_units, notional_unit * (middle + reach // 2))
    maker_fee, taker_fee = rng.choice(FEES)
    instrument = {"tick_size": tick_size, "lot_size": lot_size, "maker_fee": maker_fee, "taker_fee": taker_fee}
    if rng.random() < 0.25:
        instrument |= {"price_band": rng.choice((5 * PERCENT, 40 * PERCENT)), "reference_price": middle}
    if rng.random() < 0.3:
        instrument |= {"max_slippage": rng.choice((0, PERCENT // 2, 50 * PERCENT))}
    if rng.random() < 0.2:
        instrument |= {"min_quantity": 2, "max_quantity": max(2, lots_max // 2)}
    if rng.random() < 0.2:
        typical = middle * lots_max * notional_unit
        instrument |= {"min_notional": max(1, typical // 20), "max_notional": max(1, typical // 2)}
    orders = rng.choice((10**6, 10**6, 60, 8))
    return Profile(
        accounts=rng.choice((1, 2, 3, 8)),
        symbols=rng.choice((1, 1, 2, 3)),
        middle=middle,
        reach=reach,
        lots_max=lots_max,
        base_funds=orders * lots_max * lot_units,
        quote_funds=orders * lots_max * middle * notional_unit,
        stp=rng.choice((STP, STP, (rng.choice(STP),))),
        client_ids=rng.choice((0.0, 0.2, 0.9)),
        batch_max=rng.choice((1, 5, 20, 64)),
        operations_max=rng.choice((5_000, 4)),
        closed_orders_max=rng.choice((250_000, 30, 8)),
        instrument=instrument,
        weights={name: weight * rng.choice((1, 1, 3)) for name, weight in WEIGHTS.items() if keeps(rng, name)},
    )


def keeps(rng: random.Random, name: str) -> bool:
    return name in ALWAYS or rng.random() < 0.75


class Stream:
    """Makes one command after the other; `observe` its events before asking for the next."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.profile = profile_of(self.rng)
        self._open: dict[int, OrderState] = {}
        self._recent: deque[OrderState] = deque(maxlen=RECENT_ORDERS)
        """Orders that ended lately."""
        self._listed: dict[str, Instrument] = {}
        self._frozen: set[int] = set()
        self._tight = False
        self._names = 0
        self._last_epoch = 1
        self._accounts = [FIRST_ACCOUNT_ID + number for number in range(self.profile.accounts)]
        weights = self.profile.weights
        makers = {name: getattr(self, f"_{name}") for name in weights}
        self._makers: list[Callable[[], Command]] = list(makers.values())
        self._weights = list(weights.values())

    def setup(self) -> list[Command]:
        """Return the commands that open the exchange: assets, instruments, accounts, funds."""
        commands: list[Command] = [StartEpoch(1), CreateAsset("B", BASE_SCALE)]
        commands += [CreateAsset(asset, QUOTE_SCALE) for asset in "QR"]
        commands += [self._listing(number) for number in range(self.profile.symbols)]
        commands += [CreateAccount(f"account {number}") for number in range(self.profile.accounts)]
        for account_id in self._accounts:
            commands += [Deposit(account_id, asset, str(self._funds(asset)), f"seed {asset}") for asset in "BQR"]
        return commands

    def next(self) -> Command:
        """Return the next command."""
        closed = [i.status is InstrumentStatus.CLOSED for i in self._listed.values()]
        if all(closed):
            return self._listing(len(closed))
        shut = [i for i in self._listed.values() if i.status not in (InstrumentStatus.OPEN, InstrumentStatus.CLOSED)]
        # What stops trading is undone before long, or the rest of the stream would be refusals.
        if shut and self.rng.random() < 0.1:
            return UpdateInstrument(self.rng.choice(shut).symbol, InstrumentStatus.OPEN)
        if self._frozen and self.rng.random() < 0.1:
            return UpdateAccount(self.rng.choice(sorted(self._frozen)), AccountStatus.ACTIVE)
        if self._tight and self.rng.random() < 0.1:
            return SetLimits({"open_orders": 5_000})
        return self.rng.choices(self._makers, self._weights)[0]()

    def batch_size(self) -> int:
        """Return how many commands the next batch takes."""
        return self.rng.randint(1, self.profile.batch_max)

    def observe(self, events: Iterable[object]) -> None:
        """Learn what became of the last command."""
        for event in events:
            if isinstance(event, OrderEvent):
                order = event.order
                if order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
                    self._open[order.order_id] = order
                else:
                    self._open.pop(order.order_id, None)
                    self._recent.append(order)
            elif isinstance(event, InstrumentListed):
                self._listed[event.instrument.symbol] = event.instrument
            elif isinstance(event, AccountUpdated):
                (self._frozen.add if event.status is AccountStatus.FROZEN else self._frozen.discard)(event.account_id)
            elif isinstance(event, LimitsSet):
                self._tight = event.limits.get("open_orders", 100) < 100

    # ---- orders --------------------------------------------------------------------------------

    def _limit(self, time_in_force: TimeInForce = TimeInForce.GTC, **terms: Any) -> PlaceOrder:
        rng, profile = self.rng, self.profile
        side = rng.choice((Side.BUY, Side.SELL))
        distance = int(rng.triangular(0, profile.reach + 1, 0))
        sign = -1 if side is Side.BUY else 1
        if rng.random() < 0.35:
            sign = -sign
        members: dict[str, Any] = {
            "account_id": rng.choice(self._accounts),
            "symbol": rng.choice(list(self._listed)),
            "side": side,
            "type": OrderType.LIMIT,
            "price": max(1, profile.middle + sign * distance),
            "quantity": self._lots(),
            "time_in_force": time_in_force,
            "stp": rng.choice(profile.stp),
            "label": rng.choice((None, "a", "b")),
        }
        if rng.random() < profile.client_ids:
            self._names += 1
            members["client_order_id"] = f"c{self._names}"
        return PlaceOrder(**(members | terms))

    def _lots(self) -> int:
        most = self.profile.lots_max
        return self.rng.randint(1, max(1, most // self.rng.choice((1, 1, 2, 10))))

    def _ioc(self) -> Command:
        return self._limit(TimeInForce.IOC)

    def _fok(self) -> Command:
        """Often exactly what is reachable, or one lot more."""
        order = self._limit(TimeInForce.FOK)
        assert order.price is not None
        reachable = [
            state
            for state in self._open.values()
            if state.terms.symbol == order.symbol
            and state.terms.side is not order.side
            and (state.price <= order.price if order.side is Side.BUY else state.price >= order.price)
        ]
        lots = sum(state.remaining_quantity for state in reachable) + self.rng.choice((0, 0, 1))
        exact = 0 < lots <= INTEGER_MAX and self.rng.random() < 0.6
        return msgspec.structs.replace(order, quantity=lots) if exact else order

    def _market(self) -> Command:
        kind = self.rng.choice((TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK))
        slippage = self.rng.choice((None, None, 0, PERCENT))
        return self._limit(kind, type=OrderType.MARKET, price=None, max_slippage=slippage)

    def _post_only(self) -> Command:
        return self._limit(post_only=self.rng.choice((PostOnly.REJECT, PostOnly.REPRICE, PostOnly.REPRICE)))

    def _repeat(self) -> Command:
        """Send an order again, sometimes with another body or from another session."""
        known = [state.terms for state in (*self._open.values(), *self._recent) if state.terms.client_order_id]
        if not known:
            return self._limit(client_order_id="again")
        change = self.rng.choice(({}, {}, {"session_id": "other"}, {"quantity": self._lots()}, {"label": "other"}))
        return msgspec.structs.replace(self.rng.choice(known), **change)

    # ---- changes of orders ---------------------------------------------------------------------

    def _order(self) -> OrderState | None:
        """Return some order: mostly an open one."""
        ended = not self._open or self.rng.random() < 0.08
        known = list(self._recent if ended else self._open.values())
        return self.rng.choice(known) if known else None

    def _cancel(self) -> Command:
        state = self._order()
        if state is None:
            return self._limit()
        terms = state.terms
        account_id = terms.account_id if self.rng.random() < 0.95 else self.rng.choice(self._accounts)
        symbols = self.rng.choice((None, None, None, (terms.symbol,), ("X",)))
        if terms.client_order_id is not None and self.rng.random() < 0.5:
            return CancelOrder(account_id, client_order_id=terms.client_order_id, symbols=symbols)
        return CancelOrder(account_id, state.order_id, symbols=symbols)

    def _cancel_all(self) -> Command:
        rng = self.rng
        side, label = rng.choice((None, Side.BUY, Side.SELL)), rng.choice((None, None, "a"))
        return CancelAll(rng.choice(self._accounts), rng.choice((None, *self._listed)), side, label)

    def _amend(self) -> Command:
        rng, state = self.rng, self._order()
        if state is None:
            return self._limit()
        price = quantity = None
        if rng.random() < 0.5:
            price = max(1, state.price + rng.randint(-self.profile.reach, self.profile.reach))
        if price is None or rng.random() < 0.5:
            less = rng.randint(1, state.quantity)
            quantity = rng.choice((less, less, max(1, state.filled_quantity), state.quantity, state.quantity + less))
        version = rng.choice((None, None, None, state.version, state.version + 1))
        symbols = rng.choice((None, None, None, None, ("X",)))
        account_id = state.terms.account_id
        if rng.random() < 0.8:
            return AmendOrder(account_id, state.order_id, price, quantity, version, symbols=symbols)
        # As decimals: ticks of 0.05 and lots of 0.1 make some of these no multiple.
        scales = rng.choice((0, 1, 2)), rng.choice((0, 1, 8))
        return AmendOrder(account_id, state.order_id, price, quantity, version, *scales)

    # ---- administration ------------------------------------------------------------------------

    def _listing(self, number: int) -> CreateInstrument:
        quote = "R" if number % 3 == 2 else "Q"
        return CreateInstrument(f"S{number}", "B", quote, **self.profile.instrument)

    def _funds(self, asset: str) -> int:
        return min(10**29, self.profile.base_funds if asset == "B" else self.profile.quote_funds)

    def _transfer(self) -> Command:
        rng, account_id = self.rng, self.rng.choice(self._accounts)
        kind, asset = rng.choice((Deposit, Withdraw)), rng.choice("BQR")
        funds = self._funds(asset)
        amount = rng.choice((1, funds // 7, funds // 2, funds * 3, 10**30, 0))
        return kind(account_id, asset, str(amount), rng.choice(("t1", "t2", f"t{rng.randint(3, 99)}")))

    def _edit_instrument(self) -> Command:
        rng, symbol = self.rng, self.rng.choice(list(self._listed))
        if rng.random() < 0.4:
            status = InstrumentStatus.CLOSED if rng.random() < 0.06 else rng.choice(list(InstrumentStatus)[:-1])
            return UpdateInstrument(symbol, status)
        maker_fee, taker_fee = rng.choice(FEES)
        lots = rng.choice((None, 2, self.profile.lots_max))
        edits: tuple[dict[str, int | None], ...] = (
            {"maker_fee": maker_fee, "taker_fee": taker_fee},
            {"maker_fee": maker_fee, "taker_fee": taker_fee},
            {"maker_fee": 0, "taker_fee": 0},
            {"maker_fee": -PERCENT, "taker_fee": PERCENT - 1},
            {"price_band": None},
            {"price_band": 20 * PERCENT, "reference_price": self.profile.middle},
            {"reference_price": None},
            {"max_slippage": rng.choice((None, 0, 20 * PERCENT))},
            {"min_quantity": None, "max_quantity": lots},
            {"min_quantity": rng.choice((1, 2, self.profile.lots_max))},
            {"min_notional": None, "max_notional": None},
            {"notional_unit": 1},
        )
        return UpdateInstrument(symbol, changes=rng.choice(edits))

    def _edit_account(self) -> Command:
        status = AccountStatus.FROZEN if self.rng.random() < 0.3 else AccountStatus.ACTIVE
        return UpdateAccount(self.rng.choice((*self._accounts, 1)), status)

    def _limits(self) -> Command:
        return SetLimits({"open_orders": self.rng.choice((None, 5_000, 12, 3, -1))})

    def _epoch(self) -> Command:
        self._last_epoch += self.rng.choice((0, 1))
        return StartEpoch(self._last_epoch)

    def _odd(self) -> Command:
        """Something that makes no sense, or that was done before."""
        rng = self.rng
        order = self._limit()
        return rng.choice(
            (
                lambda: msgspec.structs.replace(order, symbol="NOPE"),
                lambda: msgspec.structs.replace(order, account_id=STRANGER),
                lambda: msgspec.structs.replace(order, price=None),
                lambda: msgspec.structs.replace(order, type=OrderType.STOP),
                lambda: msgspec.structs.replace(order, type=OrderType.MARKET),
                lambda: msgspec.structs.replace(order, time_in_force=TimeInForce.DAY),
                lambda: msgspec.structs.replace(order, time_in_force=TimeInForce.IOC, post_only=PostOnly.REJECT),
                lambda: msgspec.structs.replace(order, quantity=rng.choice((0, INTEGER_MAX, INTEGER_MAX + 1))),
                lambda: msgspec.structs.replace(order, price=rng.choice((0, INTEGER_MAX, INTEGER_MAX + 1))),
                lambda: CancelOrder(rng.choice((*self._accounts, STRANGER)), 10**9),
                lambda: AmendOrder(rng.choice((*self._accounts, STRANGER)), 10**9, 1),
                lambda: CancelAll(STRANGER),
                lambda: CreateAsset("B", rng.choice((8, 7))),
                lambda: CreateAsset("Z", 19),
                lambda: msgspec.structs.replace(self._listing(0), max_quantity=rng.choice((None, 7))),
                lambda: msgspec.structs.replace(self._listing(99), tick_size=rng.choice(("0", "1e3", "0.000000001"))),
                lambda: msgspec.structs.replace(self._listing(99), taker_fee=rng.choice((-1, 100 * PERCENT))),
                lambda: CreateAccount(rng.choice(("account 0", "fees"))),
                lambda: Deposit(rng.choice((1, STRANGER)), "Q", "1", "t"),
                lambda: Deposit(self._accounts[0], "NOPE", "1", "t"),
            )
        )()
