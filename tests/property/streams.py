"""Seeded streams of random commands, from profiles chosen by swarm: each seed leaves out some features and
stresses others, so that states which never meet in an average stream do meet in some.

A stream watches the events of what it made (from the engine or the model alike), so that its cancels and amends
hit open orders. Equal seeds and equal events give equal streams.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CloseSession,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    GuardSession,
    SetCancelAfter,
    SetLimits,
    StartEpoch,
    Tick,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import (
    AccountStatus,
    DisconnectScope,
    InstrumentStatus,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    TimeInForce,
)
from app.domain.events import AccountUpdated, InstrumentListed, LimitsSet, OrderEvent, OrderState
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.instrument import Instrument
from tests.property.profiles import (
    BASE_SCALE,
    FEES,
    INTEGER_MAX,
    PERCENT,
    QUOTE_SCALE,
    SECOND_NS,
    STRANGER,
    profile_of,
)
from tests.property.streams_admin import AdminCommands
from tests.property.streams_orders import SESSIONS, OrderCommands

RECENT_ORDERS = 40
LIVE = OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED, OrderStatus.PENDING


class Stream(OrderCommands, AdminCommands):
    """Makes one command after the other; `observe` its events before asking for the next."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.profile = profile_of(self.rng)
        self.now_ns = 0
        self._open: dict[int, OrderState] = {}
        self._recent: deque[OrderState] = deque(maxlen=RECENT_ORDERS)
        """Orders that ended lately."""
        self._listed: dict[str, Instrument] = {}
        self._frozen: set[int] = set()
        self._tight = False
        self._names = 0
        self._last_epoch = 1
        self._accounts = [FIRST_ACCOUNT_ID + number for number in range(self.profile.accounts)]
        self.start_admin(self.profile.middle, self.profile.lots_max)
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
            return SetLimits({"open_orders": "5000"})
        relief = self.relief()
        if relief is not None:
            return relief
        return self.rng.choices(self._makers, self._weights)[0]()

    def batch_size(self) -> int:
        """Return how many commands the next batch takes."""
        return self.rng.randint(1, self.profile.batch_max)

    def pause_ns(self) -> int:
        """Return how long after the last batch the next one comes."""
        return self.rng.choice(self.profile.pauses)

    def observe(self, events: Sequence[object]) -> None:
        """Learn what became of the last command."""
        self.observe_admin(events)
        for event in events:
            if isinstance(event, OrderEvent):
                order = event.order
                if order.status in LIVE:
                    self._open[order.order_id] = order
                else:
                    self._open.pop(order.order_id, None)
                    self._recent.append(order)
            elif isinstance(event, InstrumentListed):
                self._listed[event.instrument.symbol] = event.instrument
            elif isinstance(event, AccountUpdated):
                (self._frozen.add if event.status is AccountStatus.FROZEN else self._frozen.discard)(event.account_id)
            elif isinstance(event, LimitsSet):
                self._tight = int(event.limits.get("open_orders", 100)) < 100

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
            less = rng.randint(1, max(1, state.quantity))
            quantity = rng.choice((less, less, max(1, state.filled_quantity), state.quantity, state.quantity + less))
        version = rng.choice((None, None, None, state.version, state.version + 1))
        symbols = rng.choice((None, None, None, None, ("X",)))
        account_id = state.terms.account_id
        if rng.random() < 0.8:
            return AmendOrder(account_id, state.order_id, price, quantity, version, symbols=symbols)
        # As decimals: ticks of 0.05 and lots of 0.1 make some of these no multiple.
        scales = rng.choice((0, 1, 2)), rng.choice((0, 1, 8))
        return AmendOrder(account_id, state.order_id, price, quantity, version, *scales)

    def _amend_waiting(self) -> Command:
        """Change the trigger of an order, mostly of one that has not fired."""
        rng = self.rng
        waiting = [state for state in self._open.values() if state.status is OrderStatus.UNTRIGGERED]
        state = rng.choice(waiting) if waiting and rng.random() < 0.9 else self._order()
        if state is None:
            return self._limit()
        trigger = rng.choice((self._near(), self._near(), state.trigger_price, 0))
        price, quantity = rng.choice((None, None, self._near())), rng.choice((None, None, self._lots()))
        scale = rng.choice((None, None, None, None, 1))
        return AmendOrder(
            state.terms.account_id,
            state.order_id,
            price if state.terms.price is not None else None,
            quantity,
            trigger_price=trigger,
            trigger_price_scale=scale,
        )

    def _amend_display(self) -> Command:
        """Change what an order shows, mostly of an iceberg."""
        rng = self.rng
        icebergs = [state for state in self._open.values() if state.display_quantity is not None]
        state = rng.choice(icebergs) if icebergs and rng.random() < 0.8 else self._order()
        if state is None:
            return self._limit()
        some = max(1, state.remaining_quantity // rng.randint(1, 10))
        shown = rng.choice((some, some, some, state.display_quantity, 0))
        price, quantity = rng.choice((None, None, self._near())), rng.choice((None, None, self._lots()))
        scale = rng.choice((None, None, None, None, 1))
        return AmendOrder(
            state.terms.account_id,
            state.order_id,
            price,
            quantity,
            display_quantity=shown,
            display_quantity_scale=scale,
        )

    def _cancel_some(self) -> Command:
        """Cancel a session's orders, or those of a list."""
        rng = self.rng
        lists = [state for state in self._open.values() if state.order_list_id is not None]
        if lists and rng.random() < 0.6:
            state = rng.choice(lists)
            account_id = state.terms.account_id if rng.random() < 0.9 else rng.choice(self._accounts)
            return CancelAll(account_id, order_list_id=state.order_list_id)
        side = rng.choice((None, None, *Side))
        return CancelAll(rng.choice(self._accounts), side=side, session_id=rng.choice(SESSIONS))

    def _guard_session(self) -> Command:
        rng = self.rng
        scope = rng.choice((None, DisconnectScope.SESSION, DisconnectScope.ACCOUNT, DisconnectScope.ACCOUNT))
        grace = rng.choice((0, SECOND_NS, 300 * SECOND_NS, -1, 300 * SECOND_NS + 1))
        account_id, session_id = rng.choice((*self._accounts, STRANGER)), rng.choice(("s1", "s2", "s3"))
        return GuardSession(account_id, session_id, scope, grace, rng.random() < 0.2)

    def _close_session(self) -> Command:
        return CloseSession(self.rng.choice((*self._accounts, STRANGER)), self.rng.choice(("s1", "s2", "s3")))

    def _cancel_after(self) -> Command:
        rng = self.rng
        timeout = rng.choice((0, 3 * SECOND_NS, 3 * SECOND_NS, 5 * SECOND_NS, 300 * SECOND_NS, 1, 301 * SECOND_NS))
        symbols = rng.choice((None, None, (next(iter(self._listed)),), ("NOPE",), ()))
        return SetCancelAfter(rng.choice((*self._accounts, STRANGER)), timeout, symbols, rng.random() < 0.4)

    def _tick(self) -> Command:
        """Let time act though nothing asks for it."""
        return Tick()

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
        return SetLimits({"open_orders": self.rng.choice((None, "5000", "12", "3", "-1"))})

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
                lambda: msgspec.structs.replace(order, time_in_force=TimeInForce.GTD),
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
