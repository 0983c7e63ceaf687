"""Limits of the reference model: levels, settings of accounts, kill switches, and what is counted against limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.commands import SetKillSwitch, SetLimits, UpdateAccount
from app.domain.enums import AccountStatus, KillSwitchScope, Liquidity, OrderReason, RejectReason, Side
from app.domain.events import (
    AccountUpdated,
    Event,
    KillSwitchSet,
    LimitsSet,
    OrderAccepted,
    OrderAmendRejected,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
)
from app.domain.limits import LIMITS
from app.domain.outcomes import Outcome
from tests.property.reference_auction import ReferenceAuction
from tests.property.reference_listing import INVALID
from tests.property.reference_positions import AMOUNT_MAX, DAY_NS
from tests.property.reference_records import RefOrder, Refused

SECOND_NS = 10**9
RATES = (
    "message_rate", "symbol_message_rate", "rejection_rate",
    "order_trade_ratio", "duplicate_window_ns", "execution_rate",
)  # fmt: skip
REPEATABLE_KEYS_MAX = 1_000
"""Distinct orders per account that are remembered as possible duplicates."""


class Trip(NamedTuple):
    """How an account came to be throttled."""

    limit: int
    prints: int


class Attempt(NamedTuple):
    """A message that reached the rate limits, or an order or amend that was accepted or refused."""

    timestamp_ns: int
    account_id: int
    symbol: str = ""


@dataclass
class Settings:
    """What administrators set for one account."""

    tier: str | None = None
    limits: dict[str, int] = field(default_factory=dict)
    stp_group: int | None = None
    restricted: tuple[str, ...] = ()
    killed: bool = False
    trip: Trip | None = None


class ReferenceLimits(ReferenceAuction):
    """Limits by level, and counts taken from the record of everything that happened."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange_limits: dict[str, int] = {"open_orders": 5_000}
        self.tier_limits: dict[str, dict[str, int]] = {}
        self.settings: dict[int, Settings] = {}
        self.exchange_killed = False
        self.killed_symbols: set[str] = set()
        self.messages: list[Attempt] = []
        self.symbol_messages: list[Attempt] = []
        self.accepted: list[Attempt] = []
        self.refusals: list[Attempt] = []
        self.executions: list[Attempt] = []
        self.repeatable: list[tuple[int, int, tuple[object, ...]]] = []
        """Time, account and key of accepted orders without client_order_id, oldest first."""
        self._tripped: list[int] = []

    # ---- what the half that knows orders does ----------------------------------------------------

    def drop_mass_cancel(
        self, reason: OrderReason, *, symbol: str | None = None, account_id: int | None = None
    ) -> None:
        """Forget a queued mass cancel."""
        raise NotImplementedError

    # ---- levels --------------------------------------------------------------------------------

    def settings_of(self, account_id: int) -> Settings:
        return self.settings.setdefault(account_id, Settings())

    def limit(self, account_id: int, name: str) -> int | None:
        """Return the tightest of what the exchange, the tier and the account set; None if nobody set one."""
        settings = self.settings_of(account_id)
        levels = self.exchange_limits, self.tier_limits.get(settings.tier or "", {}), settings.limits
        values = [level[name] for level in levels if name in level]
        if not values:
            return None
        return max(values) if LIMITS[name].tightest_is_largest else min(values)

    def set_limits(self, command: SetLimits) -> Outcome:
        check_limits(command.changes)
        level = self.exchange_limits
        if command.tier is not None:
            level = self.tier_limits.setdefault(command.tier, {})
        change(level, command.changes)
        self.say(LimitsSet(self.sequence, texts(level), command.tier))
        return Outcome(0, 0)

    def update_account(self, command: UpdateAccount) -> Outcome:
        account = self.client(command.account_id)
        settings = self.settings_of(command.account_id)
        if command.tier and command.tier not in self.tier_limits:
            raise Refused(INVALID, "tier")
        check_limits(command.limits or {})
        if command.stp_group is not None and command.stp_group < 0:
            raise Refused(INVALID, "stp_group")
        if not set(command.restricted or ()) <= set(self.instruments):
            raise Refused(INVALID, "restricted")
        account.status = command.status or account.status
        if command.tier is not None:
            settings.tier = command.tier or None
        change(settings.limits, command.limits or {})
        if command.stp_group is not None:
            settings.stp_group = command.stp_group or None
        if command.restricted is not None:
            settings.restricted = tuple(sorted(set(command.restricted)))
        if command.release_throttle:
            settings.trip = None
        self._state_account(command.account_id)
        return Outcome(0, 0)

    def _state_account(self, account_id: int) -> None:
        settings = self.settings_of(account_id)
        self.say(
            AccountUpdated(
                self.sequence,
                account_id,
                self.accounts[account_id].status,
                settings.tier,
                texts(settings.limits),
                settings.stp_group,
                settings.restricted,
                settings.killed,
                settings.trip is not None,
            )
        )

    def one_owner(self, first: RefOrder, second: RefOrder) -> bool:
        ids = first.terms.account_id, second.terms.account_id
        groups = [self.settings_of(account_id).stp_group for account_id in ids]
        return ids[0] == ids[1] or (groups[0] is not None and groups[0] == groups[1])

    # ---- kill switches -------------------------------------------------------------------------

    def killed(self, account_id: int, symbol: str) -> KillSwitchScope | None:
        """Return the widest kill switch that is on for an account's orders of an instrument."""
        if self.exchange_killed:
            return KillSwitchScope.EXCHANGE
        if symbol in self.killed_symbols:
            return KillSwitchScope.INSTRUMENT
        return KillSwitchScope.ACCOUNT if self.settings_of(account_id).killed else None

    def is_stopped(self, symbol: str) -> bool:
        return self.exchange_killed or symbol in self.killed_symbols

    def set_kill_switch(self, command: SetKillSwitch) -> Outcome:
        scope, target, on = command.scope, command.target, command.on
        account_id, symbol = None, None
        if (target is None) is not (scope is KillSwitchScope.EXCHANGE):
            raise Refused(INVALID, "target")
        if scope is KillSwitchScope.INSTRUMENT:
            symbol = target
            if symbol not in self.instruments:
                raise Refused(RejectReason.NOT_FOUND)
            was = symbol in self.killed_symbols
        elif scope is KillSwitchScope.ACCOUNT:
            assert target is not None
            if not (target.isascii() and target.isdigit()):
                raise Refused(INVALID, "target")
            account_id = self.client(int(target)).account_id
            was = self.settings_of(account_id).killed
        else:
            was = self.exchange_killed
        if was is on:
            return Outcome(0, 0, duplicate=True)
        if symbol is not None:
            (self.killed_symbols.add if on else self.killed_symbols.discard)(symbol)
        elif account_id is not None:
            self.settings_of(account_id).killed = on
        else:
            self.exchange_killed = on
        self.say(KillSwitchSet(self.sequence, scope, target, on, command.note))
        if account_id is not None:
            self._state_account(account_id)
        act = self.queue_mass_cancel if on else self.drop_mass_cancel
        act(OrderReason.KILL_SWITCH, symbol=symbol, account_id=account_id)
        return Outcome(0, 0)

    # ---- record --------------------------------------------------------------------------------

    def say(self, event: Event) -> None:
        super().say(event)
        if isinstance(event, OrderRejected | OrderAmendRejected) and self.is_counted(event.account_id):
            self.refusals.append(Attempt(self.timestamp_ns, event.account_id))
        elif isinstance(event, OrderAccepted) and self.is_counted(event.account_id):
            terms = event.order.terms
            self.accepted.append(Attempt(self.timestamp_ns, terms.account_id))
            if terms.client_order_id is None and self.limit(terms.account_id, "duplicate_window_ns") is not None:
                key = terms.symbol, terms.side, terms.type, terms.price, terms.quantity
                self.repeatable.append((self.timestamp_ns, terms.account_id, key))
        elif isinstance(event, OrderFilled | OrderPartiallyFilled) and event.fill.liquidity is Liquidity.TAKER:
            self._watch_executions(event.account_id)

    def is_counted(self, account_id: int) -> bool:
        """Return whether a limit of a rate holds for the account: only then its doings are counted."""
        return any(self.limit(account_id, name) is not None for name in RATES)

    def _watch_executions(self, account_id: int) -> None:
        if self.is_counted(account_id):
            self.executions.append(Attempt(self.timestamp_ns, account_id))
        limit, settings = self.limit(account_id, "execution_rate"), self.settings_of(account_id)
        if limit is None or settings.trip is not None:
            return
        prints = self.taker_prints(account_id)
        if prints > limit:
            settings.trip = Trip(limit, prints)
            self._tripped.append(account_id)

    def taker_prints(self, account_id: int) -> int:
        """Return how often the account took in this second while it was counted."""
        return self.in_second(self.executions, account_id)

    @property
    def second(self) -> int:
        return self.timestamp_ns // SECOND_NS

    def in_second(self, attempts: list[Attempt], account_id: int, symbol: str | None = None) -> int:
        """Return how many of the account's attempts fell into this second."""
        ours = [each for each in attempts if each.account_id == account_id and symbol in (None, each.symbol)]
        return sum(1 for each in ours if each.timestamp_ns // SECOND_NS == self.second)

    def accepted_today(self, account_id: int) -> int:
        ours = [each for each in self.accepted if each.account_id == account_id]
        return sum(1 for each in ours if each.timestamp_ns // DAY_NS == self.day)

    def prints_today(self, account_id: int) -> int:
        return sum(1 for each in self.prints_of(account_id) if each.day == self.day)

    def accepted_at(self, account_id: int, key: tuple[object, ...]) -> int | None:
        """Return when such an order was last accepted, as far as it is remembered."""
        newest: dict[tuple[object, ...], int] = {}
        for time, owner, accepted in self.repeatable:
            if owner == account_id:
                newest.pop(accepted, None)
                newest[accepted] = time
        remembered = list(newest)[-REPEATABLE_KEYS_MAX:]
        return newest[key] if key in remembered else None

    # ---- reduce-only ---------------------------------------------------------------------------

    def reducible(self, account_id: int, symbol: str, side: Side, except_id: int | None = None) -> int:
        """Return the lots that a reduce-only order may have: the position less the other reduce-only orders."""
        net = self.position(account_id, symbol).net
        reduces = max(net, 0) if side is Side.SELL else max(-net, 0)
        others = [o for o in self.reducing(account_id, symbol, side) if o.order_id != except_id]
        return reduces - sum(o.remaining for o in others)

    def reducing(self, account_id: int, symbol: str, side: Side) -> list[RefOrder]:
        """Return the account's live reduce-only orders of one side, oldest first."""
        key = account_id, symbol, side
        flagged = [o for o in self.open if o.terms.reduce_only]
        ours = [o for o in flagged if (o.terms.account_id, o.terms.symbol, o.terms.side) == key]
        return sorted(ours, key=lambda order: order.order_id)

    def end_of_command(self) -> None:
        """Cancel reduce-only orders that a smaller position has no room for, then state who was throttled."""
        for account_id, symbol in sorted(self._traded):
            for side in (Side.BUY, Side.SELL):
                while self.reducible(account_id, symbol, side) < 0:
                    self.end(self.reducing(account_id, symbol, side)[-1], OrderReason.REDUCE_ONLY)
        for account_id in self._tripped:
            self._state_account(account_id)
        self._tripped.clear()

    def is_reducing_only(self, account_id: int) -> bool:
        return self.accounts[account_id].status is AccountStatus.REDUCE_ONLY


def check_limits(changes: Mapping[str, str | None]) -> None:
    """Refuse names that are no limit, and values that are none."""
    for name, value in changes.items():
        if name not in LIMITS or (value is not None and not 0 <= number_of(value) <= AMOUNT_MAX):
            raise Refused(INVALID, name)


def number_of(text: str) -> int:
    """Return the number that plain digits mean; -1 for any other text."""
    return int(text) if text.isascii() and text.isdigit() else -1


def texts(level: Mapping[str, int]) -> dict[str, str]:
    return {name: str(value) for name, value in level.items()}


def change(level: dict[str, int], changes: Mapping[str, str | None]) -> None:
    """Set the limits of a level that changed; None lifts one."""
    for name, value in changes.items():
        if value is None:
            level.pop(name, None)
        else:
            level[name] = int(value)
