"""Accounts and limits: who may trade, in which tier, group and bounds.

Each command is idempotent: it says how something is to be, not what to change it by.
"""

from collections.abc import Mapping

from app.domain.commands import CreateAccount, SetLimits, UpdateAccount
from app.domain.enums import RejectReason
from app.domain.events import AccountOpened, LimitsSet
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.limits import LIMIT_MAX, LIMITS
from app.domain.outcomes import Outcome
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, State

TIERS_MAX = 1_000
"""Tiers of accounts that limits may be set for."""


class Accounts:
    """Executes CreateAccount, UpdateAccount and SetLimits."""

    __slots__ = ("_recorder", "_state")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder

    def create(self, command: CreateAccount) -> Outcome:
        """Open an account; its name is the natural key."""
        state = self._state
        known = state.account_names.get(command.name)
        if known is not None:
            if known < FIRST_ACCOUNT_ID:
                return self._refused("name")
            return Outcome(state.sequence, state.timestamp_ns, duplicate=True, account_id=known)
        state.last_account_id += 1
        account = Account(state.last_account_id, command.name)
        state.accounts[account.account_id] = account
        state.account_names[account.name] = account.account_id
        self._recorder.system(AccountOpened(state.sequence, account.account_id, account.name))
        return Outcome(state.sequence, state.timestamp_ns, account_id=account.account_id)

    def update(self, command: UpdateAccount) -> Outcome:
        """Change what is named of an account; nothing changes when one of it is refused."""
        state = self._state
        account = state.accounts.get(command.account_id)
        if account is None or account.account_id < FIRST_ACCOUNT_ID:
            return Outcome(state.sequence, state.timestamp_ns, refuse(RejectReason.NOT_FOUND))
        field = self._bad_field(command)
        if field is not None:
            return self._refused(field)
        if command.status is not None:
            account.status = command.status
        if command.tier is not None:
            account.tier = command.tier or None
        if command.limits is not None:
            change(account.limits, command.limits)
        if command.stp_group is not None:
            account.stp_group = command.stp_group or None
        if command.restricted is not None:
            account.restricted = tuple(sorted(set(command.restricted)))
        if command.release_throttle:
            account.trip = None
        account.gate = None
        account.look_at_restraints()
        self._recorder.system(account.updated(state.sequence))
        return Outcome(state.sequence, state.timestamp_ns)

    def _bad_field(self, command: UpdateAccount) -> str | None:
        """Return the first field that cannot be set as it is, or None."""
        if command.tier and command.tier not in self._state.tier_limits:
            return "tier"
        name = bad_limit(command.limits or {})
        if name is not None:
            return name
        if command.stp_group is not None and not 0 <= command.stp_group < 2**63:
            return "stp_group"
        return None if set(command.restricted or ()) <= self._state.books.keys() else "restricted"

    def set_limits(self, command: SetLimits) -> Outcome:
        """Set limits of the exchange or of a tier; naming a tier makes it known."""
        state, tier = self._state, command.tier
        name = bad_limit(command.changes)
        if name is not None:
            return self._refused(name)
        level = state.exchange_limits if tier is None else state.tier_limits.get(tier)
        if level is None:
            assert tier is not None
            if not tier or len(state.tier_limits) >= TIERS_MAX:
                return self._refused("tier")
            level = state.tier_limits[tier] = {}
        change(level, command.changes)
        state.limits_version += 1
        self._recorder.system(LimitsSet(state.sequence, texts(level), tier))
        return Outcome(state.sequence, state.timestamp_ns)

    def _refused(self, field: str) -> Outcome:
        rejection = refuse(RejectReason.INVALID_REQUEST, field=field)
        return Outcome(self._state.sequence, self._state.timestamp_ns, rejection)


def texts(level: Mapping[str, int]) -> dict[str, str]:
    """Return limits as events state them: in an order that no history changes."""
    return {name: str(level[name]) for name in sorted(level)}


def bad_limit(changes: Mapping[str, str | None]) -> str | None:
    """Return the first name that is no limit or has a value that is none, or None."""
    for name, value in changes.items():
        if name not in LIMITS:
            return name
        if value is not None:
            is_number = value.isascii() and value.isdigit() and len(value) <= len(str(LIMIT_MAX))
            if not is_number or int(value) > LIMIT_MAX:
                return name
    return None


def change(level: dict[str, int], changes: Mapping[str, str | None]) -> None:
    """Set the limits that are named; None lifts one."""
    for name, value in changes.items():
        if value is None:
            level.pop(name, None)
        else:
            level[name] = int(value)
