"""Dead man's switch: an account that stops calling for it loses its orders.

Each call arms it anew or disarms it; firing disarms it too. An account has at most one.
"""

from app.domain.commands import SetCancelAfter
from app.domain.enums import OrderReason, RejectReason
from app.domain.events import CancelAfterSet, Rejection
from app.domain.outcomes import Outcome
from app.engine.mass_cancel import MassCancels
from app.engine.recorder import Recorder, refuse
from app.engine.selection import Selection
from app.engine.state import Account, CancelAfter, State
from app.engine.timers import CANCEL_AFTER

TIMEOUT_MIN_NS = 3_000_000_000
TIMEOUT_MAX_NS = 300_000_000_000


class DeadMansSwitches:
    """Executes set_cancel_after, and what happens when nobody called again in time."""

    __slots__ = ("_mass_cancels", "_recorder", "_state")

    def __init__(self, state: State, mass_cancels: MassCancels, recorder: Recorder) -> None:
        self._state = state
        self._mass_cancels = mass_cancels
        self._recorder = recorder

    def set(self, command: SetCancelAfter) -> Outcome:
        """Arm the account's switch anew, or disarm it with a timeout of 0."""
        state = self._state
        rejection = self._refusal(command)
        if rejection is not None:
            return Outcome(state.sequence, state.timestamp_ns, rejection)
        account = state.accounts[command.account_id]
        if account.cancel_after is not None:
            state.timers.disarm(account.cancel_after.due_ns, CANCEL_AFTER, account.account_id)
            account.cancel_after = None
        due = None
        if command.timeout_ns:
            due = state.timestamp_ns + command.timeout_ns
            account.cancel_after = CancelAfter(due, command.symbols, command.keep_protective)
            state.timers.arm(due, CANCEL_AFTER, account.account_id)
        self._state_switch(account, due)
        return Outcome(state.sequence, state.timestamp_ns, trigger_ns=due)

    def _refusal(self, command: SetCancelAfter) -> Rejection | None:
        state, timeout = self._state, command.timeout_ns
        if command.account_id not in state.accounts:
            return refuse(RejectReason.NOT_FOUND)
        if timeout and not TIMEOUT_MIN_NS <= timeout <= TIMEOUT_MAX_NS:
            bound = TIMEOUT_MIN_NS if timeout < TIMEOUT_MIN_NS else TIMEOUT_MAX_NS
            return refuse(RejectReason.INVALID_REQUEST, field="timeout_ms", limit=bound, actual=timeout, unit="ns")
        if any(symbol not in state.books for symbol in command.symbols or ()):
            return refuse(RejectReason.UNKNOWN_SYMBOL, field="symbols")
        return None

    def fire(self, account_id: int) -> None:
        """Cancel what the switch is for; its timer came due."""
        account = self._state.accounts[account_id]
        switch, account.cancel_after = account.cancel_after, None
        assert switch is not None, f"account {account_id}: expected an armed switch"
        self._state_switch(account, None, fired=True)
        selection = Selection(account_id, switch.symbols, spares_protective=switch.keep_protective)
        self._mass_cancels.cancel(selection, OrderReason.CANCEL_AFTER)

    def _state_switch(self, account: Account, due_ns: int | None, *, fired: bool = False) -> None:
        account.seq += 1
        event = CancelAfterSet(account.seq, self._state.sequence, account.account_id, due_ns, fired)
        self._recorder.private(account, event)
