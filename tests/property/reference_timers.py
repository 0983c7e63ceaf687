"""What time and sessions do in the reference model: expiry, the dead man's switch, mass cancels, Ticks."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.commands import CancelAll, CloseSession, GuardSession, SetCancelAfter, Tick
from app.domain.enums import DisconnectScope, OrderReason, OrderStatus, RejectReason, Side, TimeInForce
from app.domain.events import CancelAfterSet, OrderCanceled, OrderExpired, TradeExecuted
from app.domain.outcomes import Outcome
from tests.property.reference_auction import AUCTION_END, HALT_END
from tests.property.reference_listing import INVALID
from tests.property.reference_lists import ReferenceLists
from tests.property.reference_records import RefOrder, Refused

EXPIRY, CANCEL_AFTER = "expiry", "cancel_after"
KINDS = (EXPIRY, CANCEL_AFTER, HALT_END, AUCTION_END)
"""Timers that are due at one time act in this order."""
GRACE_MAX_NS = 300 * 10**9
TIMEOUT_MIN_NS, TIMEOUT_MAX_NS = 3 * 10**9, 300 * 10**9


@dataclass(frozen=True)
class Selection:
    """Which orders a cancel of many means; None means all."""

    account_id: int | None = None
    symbols: Sequence[str] | None = None
    side: Side | None = None
    label: str | None = None
    session_id: str | None = None
    order_list_id: int | None = None
    spares_protective: bool = False
    up_to_id: int | None = None
    """Orders that came later are not meant."""

    def admits(self, order: RefOrder) -> bool:
        terms = order.terms
        found = None if order.order_list is None else order.order_list.order_list_id
        protects = order.status in (OrderStatus.UNTRIGGERED, OrderStatus.PENDING) or terms.reduce_only
        return (
            self.account_id in (None, terms.account_id)
            and (self.symbols is None or terms.symbol in self.symbols)
            and self.side in (None, terms.side)
            and self.label in (None, terms.label)
            and self.session_id in (None, terms.session_id)
            and self.order_list_id in (None, found)
            and not (self.spares_protective and protects)
            and (self.up_to_id is None or order.order_id <= self.up_to_id)
        )


@dataclass(frozen=True)
class MassCancel:
    """A cancel of many that Ticks carry out in slices."""

    reason: OrderReason
    selection: Selection


@dataclass(frozen=True)
class Switch:
    """An armed dead man's switch."""

    due_ns: int
    symbols: tuple[str, ...] | None
    keep_protective: bool


class ReferenceTimers(ReferenceLists):
    """Timers are looked for among everything that has one; nothing is kept in order."""

    def __init__(self) -> None:
        super().__init__()
        self.cancels_max = 5_000
        self.slice_max = 1_000
        self.guards: dict[tuple[int, str], DisconnectScope] = {}
        """By account and session; who is gone is not the model's to know, so nothing asks for the grace."""
        self.guards_max = 1_000
        self.timer_operations_max = 5_000
        self.switches: dict[int, Switch] = {}
        self.mass_cancels: list[MassCancel] = []

    # ---- cancels of many -----------------------------------------------------------------------

    def _selected(self, selection: Selection) -> list[RefOrder]:
        return sorted((o for o in self.open if selection.admits(o)), key=lambda order: order.order_id)

    def cancel_many(self, selection: Selection, reason: OrderReason) -> list[RefOrder]:
        """Cancel what is selected, oldest first; what is too much for one command is left to Ticks."""
        chosen = self._selected(selection)
        for order in chosen[: self.cancels_max]:
            self.end(order, reason)
        if any(order in self.open for order in chosen):
            up_to = Selection(**(vars(selection) | {"up_to_id": self.last_order_id}))
            self.mass_cancels.append(MassCancel(reason, up_to))
        return chosen[: self.cancels_max]

    def queue_mass_cancel(
        self, reason: OrderReason, *, symbol: str | None = None, account_id: int | None = None
    ) -> None:
        selection = Selection(account_id, None if symbol is None else (symbol,))
        if self._selected(selection):
            self.mass_cancels.append(MassCancel(reason, selection))

    def drop_mass_cancel(
        self, reason: OrderReason, *, symbol: str | None = None, account_id: int | None = None
    ) -> None:
        dropped = MassCancel(reason, Selection(account_id, None if symbol is None else (symbol,)))
        self.mass_cancels = [each for each in self.mass_cancels if each != dropped]

    def _cancel_slice(self) -> None:
        """Carry the oldest mass cancel one slice further."""
        if not self.mass_cancels:
            return
        oldest = self.mass_cancels[0]
        for order in self._selected(oldest.selection)[: self.slice_max]:
            self.end(order, oldest.reason)
        if not self._selected(oldest.selection):
            self.mass_cancels.pop(0)

    def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all that match every filter, oldest first."""
        self._account(command.account_id)
        symbols = None if command.symbol is None else (command.symbol,)
        filters = command.side, command.label, command.session_id, command.order_list_id
        canceled = self.cancel_many(Selection(command.account_id, symbols, *filters), OrderReason.CANCEL_ALL)
        return Outcome(0, 0, orders=tuple(order.state() for order in canceled))

    # ---- sessions --------------------------------------------------------------------------------

    def guard_session(self, command: GuardSession) -> Outcome:
        """Note what a session asks for in case that it is gone."""
        self._account(command.account_id)
        grace = command.grace_ns
        if grace < 0 or grace > GRACE_MAX_NS:
            bound = max(0, min(grace, GRACE_MAX_NS))
            raise Refused(INVALID, field="grace_ms", limit=bound, actual=grace, unit="ns")
        key = (command.account_id, command.session_id)
        if key not in self.guards:
            if command.is_adopted:
                raise Refused(RejectReason.NOT_FOUND, field="adopt")
            count = 1 + sum(account_id == command.account_id for account_id, _ in self.guards)
            if command.scope is not None and count > self.guards_max:
                field, limit = "cancel_on_disconnect", self.guards_max
                raise Refused(INVALID, field=field, limit=limit, actual=count, unit="count")
        self.guards.pop(key, None)
        if command.scope is not None:
            self.guards[key] = command.scope
        return Outcome(0, 0)

    def close_session(self, command: CloseSession) -> Outcome:
        """Cancel what a session was guarded for, by default what it placed."""
        self._account(command.account_id)
        scope = self.guards.pop((command.account_id, command.session_id), DisconnectScope.SESSION)
        selection = Selection(command.account_id, session_id=command.session_id)
        if scope is DisconnectScope.ACCOUNT:
            if (command.account_id, scope) in [(account_id, left) for (account_id, _), left in self.guards.items()]:
                return Outcome(0, 0)
            selection = Selection(command.account_id)
        canceled = self.cancel_many(selection, OrderReason.DISCONNECT)
        return Outcome(0, 0, orders=tuple(order.state() for order in canceled))

    # ---- dead man's switch -----------------------------------------------------------------------

    def set_cancel_after(self, command: SetCancelAfter) -> Outcome:
        """Arm the account's switch anew, or disarm it."""
        self._account(command.account_id)
        timeout = command.timeout_ns
        if timeout and not TIMEOUT_MIN_NS <= timeout <= TIMEOUT_MAX_NS:
            bound = TIMEOUT_MIN_NS if timeout < TIMEOUT_MIN_NS else TIMEOUT_MAX_NS
            raise Refused(INVALID, "timeout_ms", limit=bound, actual=timeout, unit="ns")
        if not set(command.symbols or ()) <= set(self.instruments):
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbols")
        self.switches.pop(command.account_id, None)
        due = None
        if timeout:
            due = self.timestamp_ns + timeout
            self.switches[command.account_id] = Switch(due, command.symbols, command.keep_protective)
        seq = self.next_seq(command.account_id)
        self.say(CancelAfterSet(seq, self.sequence, command.account_id, due))
        return Outcome(0, 0, trigger_ns=due)

    def _fire_switch(self, account_id: int) -> None:
        switch = self.switches.pop(account_id)
        self.say(CancelAfterSet(self.next_seq(account_id), self.sequence, account_id, None, fired=True))
        selection = Selection(account_id, switch.symbols, spares_protective=switch.keep_protective)
        self.cancel_many(selection, OrderReason.CANCEL_AFTER)

    # ---- time ----------------------------------------------------------------------------------

    def timers(self) -> list[tuple[int, int, int | str]]:
        """Return everything that time will bring: when, the place of its kind, and whose it is."""
        found: list[tuple[int, int, int | str]] = [
            (order.due_ns, KINDS.index(EXPIRY), order.order_id) for order in self.open if order.due_ns is not None
        ]
        found += [(switch.due_ns, KINDS.index(CANCEL_AFTER), account) for account, switch in self.switches.items()]
        return found + [(due, KINDS.index(kind), symbol) for due, kind, symbol in self.market_timers()]

    @property
    def next_deadline(self) -> int | None:
        """Return when a Tick is wanted: at once (0) while work is queued, else with the first timer."""
        uncrosses = any(not self.is_stopped(symbol) for symbol in self.uncrossing)
        if self.mass_cancels or uncrosses or any(self.is_awake(order) for order in self.fired):
            return 0
        return min((due for due, *_ in self.timers()), default=None)

    def tick(self, command: Tick) -> Outcome:
        """Let time act: timers, then a slice of a mass cancel, of an uncross, then what fired."""
        uncrossing = [symbol for symbol in self.uncrossing if not self.is_stopped(symbol)]
        self._run_timers()
        self._cancel_slice()
        # One that a timer began has had its slice.
        if uncrossing:
            self.uncross_slice(uncrossing[0])
        self.run_triggers()
        return Outcome(0, 0)

    def _run_timers(self) -> None:
        counted = OrderCanceled, OrderExpired, TradeExecuted
        while sum(isinstance(event, counted) for event in self.events) < self.timer_operations_max:
            due = sorted(timer for timer in self.timers() if timer[0] <= self.timestamp_ns)
            if not due:
                return
            _, kind, whose = due[0]
            if KINDS[kind] == EXPIRY:
                self._expire(next(order for order in self.open if order.order_id == whose))
            elif KINDS[kind] == CANCEL_AFTER:
                self._fire_switch(int(whose))
            else:
                self.run_market_timer(KINDS[kind], str(whose))

    def _expire(self, order: RefOrder) -> None:
        day = order.terms.time_in_force is TimeInForce.DAY
        self._finish(order, OrderStatus.EXPIRED, OrderReason.DAY_END if day else OrderReason.GTD, OrderExpired)
