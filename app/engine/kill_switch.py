"""Kill switches: they stop an account, an instrument or the exchange at once, and then clear its orders.

While one is on, new orders and amends that move are refused and triggers sleep; cancels pass. The
orders of its scope are canceled by Ticks in slices, so that even a whole exchange stops in one command.
"""

from app.domain.commands import SetKillSwitch
from app.domain.enums import KillSwitchScope, OrderReason, RejectReason
from app.domain.events import KillSwitchSet, Rejection
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.outcomes import Outcome
from app.engine.book import Book
from app.engine.mass_cancel import MassCancels
from app.engine.recorder import Recorder, refuse
from app.engine.selection import Selection
from app.engine.state import Account, State

ACCOUNT_ID_DIGITS_MAX = 19
"""Longer texts name no account."""


class KillSwitches:
    """Executes set_kill_switch."""

    __slots__ = ("_mass_cancels", "_recorder", "_state")

    def __init__(self, state: State, mass_cancels: MassCancels, recorder: Recorder) -> None:
        self._state = state
        self._mass_cancels = mass_cancels
        self._recorder = recorder

    def set(self, command: SetKillSwitch) -> Outcome:
        """Turn a switch on or off; one that stands so already stays as it is."""
        target = self._target(command)
        if isinstance(target, Rejection):
            return self._outcome(target)
        if target.killed is command.on:
            return self._outcome(duplicate=True)
        target.killed = command.on
        state = self._state
        state.kills += 1 if command.on else -1
        self._recorder.system(KillSwitchSet(state.sequence, command.scope, command.target, command.on, command.note))
        selection = Selection()
        if isinstance(target, Account):
            self._recorder.system(target.updated(state.sequence))
            selection = Selection(target.account_id)
        elif isinstance(target, Book):
            selection = Selection(symbols=(target.instrument.symbol,))
        (self._mass_cancels.queue if command.on else self._mass_cancels.drop)(selection, OrderReason.KILL_SWITCH)
        return self._outcome()

    def _target(self, command: SetKillSwitch) -> State | Book | Account | Rejection:
        """Return what the switch stops, or the refusal."""
        state, scope, target = self._state, command.scope, command.target
        misfit = refuse(RejectReason.INVALID_REQUEST, field="target")
        if scope is KillSwitchScope.EXCHANGE:
            return state if target is None else misfit
        if target is None:
            return misfit
        if scope is KillSwitchScope.INSTRUMENT:
            return state.books.get(target) or refuse(RejectReason.NOT_FOUND)
        if not (target.isascii() and target.isdigit()):
            return misfit
        account_id = int(target) if len(target) <= ACCOUNT_ID_DIGITS_MAX else 0
        account = state.accounts.get(account_id) if account_id >= FIRST_ACCOUNT_ID else None
        return account or refuse(RejectReason.NOT_FOUND)

    def _outcome(self, rejection: Rejection | None = None, *, duplicate: bool = False) -> Outcome:
        state = self._state
        return Outcome(state.sequence, state.timestamp_ns, rejection, duplicate=duplicate)


def scope_on(state: State, account: Account, book: Book) -> KillSwitchScope | None:
    """Return the widest kill switch that stops an account's orders in a book, or None."""
    if not state.kills:
        return None
    if state.killed:
        return KillSwitchScope.EXCHANGE
    if book.killed:
        return KillSwitchScope.INSTRUMENT
    return KillSwitchScope.ACCOUNT if account.killed else None


def check_kill_switch(state: State, account: Account, book: Book) -> Rejection | None:
    """Refuse what a kill switch stops; the field names the widest scope that is on."""
    scope = scope_on(state, account, book)
    return None if scope is None else refuse(RejectReason.KILL_SWITCH, field=scope)
