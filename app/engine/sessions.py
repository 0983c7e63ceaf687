"""Cancel on disconnect: which sessions asked for it, and what is canceled when one of them is gone.

Who is gone is not decided here: the sequencer knows which replicas live and submits `close_session` when a
session's grace is over. A guard is what a session asked for; it outlives replicas and leaders.
"""

from app.domain.commands import CloseSession, GuardSession
from app.domain.enums import DisconnectScope, OrderReason, RejectReason
from app.domain.events import Rejection
from app.domain.outcomes import Outcome
from app.engine.mass_cancel import MassCancels
from app.engine.recorder import refuse
from app.engine.selection import Selection
from app.engine.state import Account, SessionGuard, State

GRACE_MAX_NS = 300_000_000_000
ACCOUNT_GUARDS_MAX = 1_000
"""Guarded sessions of an account, those included whose grace is running."""


class Sessions:
    """Executes guard_session and close_session."""

    __slots__ = ("_mass_cancels", "_state")

    def __init__(self, state: State, mass_cancels: MassCancels) -> None:
        self._state = state
        self._mass_cancels = mass_cancels

    def guard(self, command: GuardSession) -> Outcome:
        """Guard a session's orders from now on, or no more."""
        state = self._state
        rejection = self._refusal(command)
        if rejection is None:
            guards = state.accounts[command.account_id].guards
            if command.scope is None:
                guards.pop(command.session_id, None)
            else:
                guards[command.session_id] = SessionGuard(command.scope, command.grace_ns)
        return Outcome(state.sequence, state.timestamp_ns, rejection)

    def _refusal(self, command: GuardSession) -> Rejection | None:
        account = self._state.accounts.get(command.account_id)
        if account is None:
            return refuse(RejectReason.NOT_FOUND)
        grace, guards, invalid = command.grace_ns, account.guards, RejectReason.INVALID_REQUEST
        if not 0 <= grace <= GRACE_MAX_NS:
            bound = 0 if grace < 0 else GRACE_MAX_NS
            return refuse(invalid, field="grace_ms", limit=bound, actual=grace, unit="ns")
        if command.session_id in guards:
            return None
        if command.is_adopted:
            return refuse(RejectReason.NOT_FOUND, field="adopt")
        if command.scope is not None and len(guards) >= ACCOUNT_GUARDS_MAX:
            most, count = ACCOUNT_GUARDS_MAX, len(guards) + 1
            return refuse(invalid, field="cancel_on_disconnect", limit=most, actual=count, unit="count")
        return None

    def close(self, command: CloseSession) -> Outcome:
        """End a session's guard, and cancel what it was for; without one, what the session placed."""
        state = self._state
        account = state.accounts.get(command.account_id)
        if account is None:
            return Outcome(state.sequence, state.timestamp_ns, refuse(RejectReason.NOT_FOUND))
        guard = account.guards.pop(command.session_id, None)
        selection = Selection(account.account_id, session_id=command.session_id)
        if guard is not None and guard.scope is DisconnectScope.ACCOUNT:
            if _is_guarded_whole(account):
                return Outcome(state.sequence, state.timestamp_ns)
            selection = Selection(account.account_id)
        canceled = self._mass_cancels.cancel(selection, OrderReason.DISCONNECT)
        return Outcome(state.sequence, state.timestamp_ns, orders=tuple([order.snapshot() for order in canceled]))


def _is_guarded_whole(account: Account) -> bool:
    """Return whether a session is left that guards all orders of the account."""
    return any(guard.scope is DisconnectScope.ACCOUNT for guard in account.guards.values())
