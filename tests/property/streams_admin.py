"""What risk and market administrators do in the random streams, and orders that only their rules concern."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from app.domain.commands import (
    CheckOrder,
    Command,
    PlaceOrder,
    SetFeeTiers,
    SetKillSwitch,
    SetLimits,
    SetReference,
    Transfer,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import AccountStatus, InstrumentStatus, KillSwitchScope, OrderStatus, OrderType, Side
from app.domain.events import AccountUpdated, BalanceChanged, KillSwitchSet, LimitsSet, OrderState, PositionChanged
from app.domain.instrument import Instrument

ADMIN_WEIGHTS = {
    "transfer_between": ("transfers", 2),
    "fee_tiers": ("tiers", 1),
    "kill_switch": ("kill_switch", 1),
    "risk_limits": ("limits", 4),
    "own_limits": ("limits", 3),
    "settings": ("account_settings", 3),
    "reference": ("mark", 3),
    "reduce_only": ("reduce_only", 6),
    "same_again": ("limits", 6),
    "check_order": ("check_order", 4),
    "breaker": ("breaker", 2),
    "call_auction": ("auction", 3),
    "order_types": ("order_types", 1),
    "freeze": ("triggers", 1),
    "drain": ("lists", 2),
}
"""Makers of commands with the group they belong to and their weight."""
SECOND_NS = 10**9
PERCENT = 1_000_000
STRANGER = 999
TIERS = ("slow", "fast")
RELIEF = 0.08
"""Chance, per command, that something that keeps orders out is lifted."""
MIXED = 0.3
"""Share of streams that set limits of all kinds."""
LENIENT = 0.5
"""Share of streams in which limits are lifted like that; in the others daily figures reach theirs."""
COUNTS = {
    "message_rate": (1, 3, 10),
    "symbol_message_rate": (1, 2, 5),
    "rejection_rate": (0, 2, 5),
    "order_trade_ratio": (0, 1, 30),
    "duplicate_window_ns": (1, SECOND_NS, 10**14, 10**14),
    "execution_rate": (0, 1),
    "symbol_open_orders": (1, 4, 12),
}
"""Limits that are counts or times, with values that are reached."""
RARELY_REACHED = ("order_trade_ratio", "execution_rate", "duplicate_window_ns", "open_notional")
NOTIONALS = ("order_notional", "open_notional", "daily_notional", "position_notional", "daily_loss")


class AdminCommands:
    """Part of a stream: makes these commands and lifts what would stop everything."""

    rng: random.Random
    _accounts: list[int]
    _listed: dict[str, Instrument]
    _open: dict[int, OrderState]

    def _limit(self, **terms: Any) -> PlaceOrder:
        """Return some limit order."""
        raise NotImplementedError

    def _plain_orders(self) -> Sequence[Callable[[], Command]]:
        """Return the makers of orders of all kinds."""
        raise NotImplementedError

    def start_admin(self, middle: int, lots_max: int) -> None:
        """Begin with nothing stopped; the typical price and size give limits that are reached."""
        self._middle, self._lots_max = middle, lots_max
        self._killed: dict[tuple[KillSwitchScope, str | None], bool] = {}
        self._strict: dict[str | int | None, dict[str, str]] = {}
        """Limits that are set, by tier, account, or None for the exchange."""
        self._lenient = self.rng.random() < LENIENT
        names = (*COUNTS, *NOTIONALS, *RARELY_REACHED, *RARELY_REACHED)
        self._favorite = None if self.rng.random() < MIXED else self.rng.choice(names)
        """The only limit that a stream sets: others would get in its way."""
        self._sent: list[Transfer] = []
        self._throttled: set[int] = set()
        self._restricted: set[int] = set()
        self._positions: dict[tuple[int, str], int] = {}
        self._available: dict[tuple[int, str], str] = {}
        self._names_used = 0

    def observe_admin(self, events: Iterable[object]) -> None:
        """Learn what is stopped."""
        for event in events:
            if isinstance(event, KillSwitchSet):
                self._killed[event.scope, event.target] = event.on
            elif isinstance(event, LimitsSet):
                self._strict[event.tier] = event.limits
            elif isinstance(event, AccountUpdated):
                account_id = event.account_id
                self._strict[account_id] = event.limits
                (self._throttled.add if event.throttled else self._throttled.discard)(account_id)
                is_limited = event.restricted or event.status is AccountStatus.REDUCE_ONLY
                (self._restricted.add if is_limited else self._restricted.discard)(account_id)
            elif isinstance(event, PositionChanged):
                self._positions[event.account_id, event.symbol] = int(event.quantity)
            elif isinstance(event, BalanceChanged):
                self._available[event.account_id, event.asset] = event.available

    def relief(self) -> Command | None:
        """Return a command that lets orders in again, now and then, when something keeps them out."""
        if self.rng.random() > RELIEF:
            return None
        cures: list[Command] = [
            SetKillSwitch(scope, target, on=False) for (scope, target), on in self._killed.items() if on
        ]
        cures += [UpdateAccount(account_id, release_throttle=True) for account_id in sorted(self._throttled)]
        cures += [
            UpdateAccount(account_id, AccountStatus.ACTIVE, restricted=()) for account_id in sorted(self._restricted)
        ]
        for level, limits in self._strict.items() if self._lenient else ():
            lifted: dict[str, str | None] = {name: None for name in limits if name != "open_orders"}
            if lifted and isinstance(level, int):
                cures.append(UpdateAccount(level, limits=lifted))
            elif lifted and not isinstance(level, int):
                cures.append(SetLimits(lifted, level))
        return self.rng.choice(cures) if cures else None

    # ---- orders --------------------------------------------------------------------------------

    def _reduce_only(self) -> Command:
        """Mostly of the size and side that closes a position, or a lot more."""
        order = self._limit()
        net = self._positions.get((order.account_id, order.symbol), 0)
        side = Side.SELL if net > 0 else Side.BUY
        lots = max(1, abs(net) + self.rng.choice((0, 0, 1, -1)))
        if self.rng.random() < 0.5:
            lots = max(1, lots // 2)
        if self.rng.random() < 0.8:
            order = msgspec.structs.replace(order, side=side, quantity=min(lots, 2**62))
        return msgspec.structs.replace(order, reduce_only=True)

    def _same_again(self) -> Command:
        """Place what is open once more, by an order without a name."""
        nameless = [order.terms for order in self._open.values() if order.terms.client_order_id is None]
        return self.rng.choice(nameless) if nameless else self._limit(client_order_id=None)

    def _check_order(self) -> Command:
        order = self.rng.choice(self._plain_orders())()
        if not isinstance(order, PlaceOrder):
            order = self._limit()
        change = self.rng.choice(({}, {}, {}, {"price": None}, {"reduce_only": True}, {"symbol": "NOPE"}))
        return CheckOrder(msgspec.structs.replace(order, **change))

    # ---- accounts ------------------------------------------------------------------------------

    def _typical(self) -> int:
        """Return the notional of a typical order."""
        unit = self.rng.choice(list(self._listed.values())).notional_unit
        return max(1, self._middle * self._lots_max * unit // 2)

    def _some_limits(self) -> dict[str, str | None]:
        rng = self.rng
        name = self._favorite or rng.choice((*COUNTS, *NOTIONALS, *NOTIONALS))
        if name in COUNTS:
            value = rng.choice(COUNTS[name])
        else:
            scale = {"order_notional": (1, 2), "open_notional": (1, 2, 10), "daily_loss": (0, 1)}.get(name, (2, 10, 40))
            value = min(10**30, self._typical() * rng.choice(scale) // rng.choice((1, 1, 3)))
        choices: tuple[dict[str, str | None], ...] = ({name: None}, {name: "-1"}, {"odd": "1"}, {name: str(value)})
        return rng.choices(choices, (1, 1, 1, 5))[0]

    def _risk_limits(self) -> Command:
        return SetLimits(self._some_limits(), self.rng.choice((None, *TIERS)))

    def _own_limits(self) -> Command:
        account_id = self.rng.choice(self._accounts)
        tiers = [level for level in self._strict if isinstance(level, str)]
        if tiers and self.rng.random() < 0.4:
            return UpdateAccount(account_id, tier=self.rng.choice(tiers))
        return UpdateAccount(account_id, limits=self._some_limits())

    def _settings(self) -> Command:
        rng, account_id = self.rng, self.rng.choice((*self._accounts, *self._accounts, 1, STRANGER))
        some = rng.choice((tuple(self._listed), tuple(self._listed)[:1], (), ("NOPE",)))
        changes: tuple[dict[str, Any], ...] = (
            {"tier": rng.choice(("", "nope", *TIERS))},
            {"stp_group": rng.choice((0, 1, 1, 2))},
            {"restricted": some},
            {"status": AccountStatus.REDUCE_ONLY},
            {"release_throttle": True},
        )
        return UpdateAccount(account_id, **rng.choice(changes))

    def _transfer_between(self) -> Command:
        rng = self.rng
        if self._sent and rng.random() < 0.2:
            return self._sent[-1]
        sender = rng.choice(self._accounts)
        receiver = rng.choice((*self._accounts, *self._accounts, *self._accounts, 2, STRANGER))
        amount = rng.choice((1, 1, 1, self._typical(), 10**30, 0))
        name = rng.choice(("x1", "x1", f"t{rng.randint(3, 99)}"))
        self._sent.append(Transfer(sender, receiver, rng.choice("BBQQRX"), str(amount), name))
        return self._sent[-1]

    def _fee_tiers(self) -> Command:
        rng, volume = self.rng, self._typical()
        sound = (
            (),
            (("0", 0, 1),),
            ((str(volume), 0, PERCENT), (str(volume * 9), -PERCENT // 2, PERCENT // 2)),
            (("1", -1, 1), (str(volume * 3), 5, 7), (str(volume * 30), -20_000, 20_000)),
        )
        odd = ((("5", 0, 1), ("5", 0, 1)), (("0", -2, 1),), (("0", 0, 100 * PERCENT),), (("-1", 0, 1),))
        return SetFeeTiers(rng.choice("QQQRX"), rng.choice((*sound, *sound, *sound, *odd)))

    def _freeze(self) -> Command:
        """Freeze an account whose stops may fire."""
        waiting = [state.terms.account_id for state in self._open.values() if state.status is OrderStatus.UNTRIGGERED]
        return UpdateAccount(self.rng.choice(waiting or self._accounts), AccountStatus.FROZEN)

    def _drain(self) -> Command:
        """Take out all that an account with waiting children has, so that they find nothing to hold."""
        waiting = [state.terms.account_id for state in self._open.values() if state.status is OrderStatus.PENDING]
        account_id, asset = self.rng.choice(waiting or self._accounts), self.rng.choice("BQR")
        self._names_used += 1
        return Withdraw(account_id, asset, self._available.get((account_id, asset), "1"), f"out {self._names_used}")

    # ---- market --------------------------------------------------------------------------------

    def _kill_switch(self) -> Command:
        rng, scope = self.rng, self.rng.choice(list(KillSwitchScope))
        accounts = [str(account_id) for account_id in self._accounts]
        target = None
        if scope is KillSwitchScope.INSTRUMENT:
            target = rng.choice((*self._listed, *self._listed, "NOPE", None))
        elif scope is KillSwitchScope.ACCOUNT:
            target = rng.choice((*accounts, *accounts, "2", str(STRANGER), "x"))
        return SetKillSwitch(scope, target, rng.random() < 0.7, rng.choice((None, "drill")))

    def _reference(self) -> Command:
        near = max(1, self._middle + self.rng.randint(-5, 5))
        return SetReference(
            self.rng.choice((*self._listed, *self._listed, "NOPE")), self.rng.choice((near, near, near, 0))
        )

    def _order_types(self) -> Command:
        types = tuple(OrderType)
        some = self.rng.choice((types, types, (OrderType.LIMIT, OrderType.STOP), types[:-1], ()))
        return UpdateInstrument(self.rng.choice(list(self._listed)), order_types=some)

    def _breaker(self) -> Command:
        """Set the breaker of an instrument, or lift it; sometimes only half of it."""
        rng = self.rng
        whole: dict[str, int | None] = {
            "breaker_move": rng.choice((PERCENT // 10, PERCENT, 10 * PERCENT)),
            "breaker_window_ns": SECOND_NS,
            "breaker_halt_ns": rng.choice((1, SECOND_NS, 20 * SECOND_NS)),
            "auction_ns": rng.choice((0, 2 * SECOND_NS)),
        }
        lifted: dict[str, int | None] = {"breaker_move": None, "breaker_window_ns": None, "breaker_halt_ns": None}
        halves: dict[str, int | None] = {"breaker_move": None}
        changes = rng.choices((whole, lifted, halves), (5, 1, 1))[0]
        return UpdateInstrument(rng.choice(list(self._listed)), changes=changes)

    def _call_auction(self) -> Command:
        """Call an auction, or let it end in one of the ways."""
        rng, symbol = self.rng, self.rng.choice(list(self._listed))
        if self._listed[symbol].status is not InstrumentStatus.AUCTION:
            return UpdateInstrument(symbol, InstrumentStatus.AUCTION)
        ends = InstrumentStatus.OPEN, InstrumentStatus.HALTED, InstrumentStatus.POST_ONLY, InstrumentStatus.CANCEL_ONLY
        return UpdateInstrument(symbol, rng.choices(ends, (8, 1, 1, 1))[0])
