"""Assets, accounts, transfers and limits: the commands of administrators.

Each is idempotent by its natural key, so that an unknown outcome is resolved by repeating it.
"""

from app.domain.commands import (
    CreateAccount,
    CreateAsset,
    Deposit,
    SetLimits,
    StartEpoch,
    UpdateAccount,
    Withdraw,
)
from app.domain.decimals import SCALE_MAX
from app.domain.enums import RejectReason
from app.domain.events import (
    AccountOpened,
    AssetCreated,
    EpochStarted,
    FundsTransferred,
    LimitsSet,
)
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.outcomes import Outcome
from app.engine.ledger import AMOUNT_MAX, Ledger
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, State

ASSETS_MAX = 10_000


class Listing:
    """Executes the administrative commands."""

    __slots__ = ("_ledger", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder

    def create_asset(self, command: CreateAsset) -> Outcome:
        """Add an asset."""
        state = self._state
        known = state.assets.get(command.asset)
        if known is not None:
            if known == command.scale:
                return self._done(duplicate=True)
            return self._refused(RejectReason.INVALID_REQUEST, "scale")
        if not 0 <= command.scale <= SCALE_MAX or len(state.assets) >= ASSETS_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "scale")
        state.assets[command.asset] = command.scale
        self._recorder.system(AssetCreated(state.sequence, command.asset, command.scale))
        return self._done()

    def create_account(self, command: CreateAccount) -> Outcome:
        """Open an account; its name is the natural key."""
        state = self._state
        known = state.account_names.get(command.name)
        if known is not None:
            if known < FIRST_ACCOUNT_ID:
                return self._refused(RejectReason.INVALID_REQUEST, "name")
            return self._done(duplicate=True, account_id=known)
        state.last_account_id += 1
        account = Account(state.last_account_id, command.name)
        state.accounts[account.account_id] = account
        state.account_names[account.name] = account.account_id
        self._recorder.system(AccountOpened(state.sequence, account.account_id, account.name))
        return self._done(account_id=account.account_id)

    def update_account(self, command: UpdateAccount) -> Outcome:
        """Freeze or reactivate an account."""
        account = self._state.accounts.get(command.account_id)
        if account is None or account.account_id < FIRST_ACCOUNT_ID:
            return self._refused(RejectReason.NOT_FOUND, None)
        if command.status is not None:
            account.status = command.status
        self._recorder.system(account.updated(self._state.sequence))
        return self._done()

    def deposit(self, command: Deposit) -> Outcome:
        """Credit an account from outside."""
        return self._transfer(command, 1)

    def withdraw(self, command: Withdraw) -> Outcome:
        """Debit an account's available balance to outside."""
        return self._transfer(command, -1)

    def _transfer(self, command: Deposit | Withdraw, sign: int) -> Outcome:
        state = self._state
        account = state.accounts.get(command.account_id)
        if account is None or account.account_id < FIRST_ACCOUNT_ID:
            return self._refused(RejectReason.NOT_FOUND, None)
        if command.asset not in state.assets:
            return self._refused(RejectReason.INVALID_REQUEST, "asset")
        amount = int(command.amount) * sign
        key = (account.account_id, command.transfer_id)
        known = state.transfers.get(key)
        if known is not None:
            if known == (command.asset, str(amount)):
                return self._done(duplicate=True)
            return self._refused(RejectReason.TRANSFER_ID_REUSED, "transfer_id")
        balance = account.balance(command.asset)
        if not 0 < amount * sign <= AMOUNT_MAX or balance.available + balance.held + amount > AMOUNT_MAX:
            return self._refused(
                RejectReason.AMOUNT_OUT_OF_RANGE, "amount", limit=AMOUNT_MAX, actual=amount * sign, unit=command.asset
            )
        if balance.available + amount < 0:
            return self._refused(
                RejectReason.INSUFFICIENT_BALANCE, "amount", limit=balance.available, actual=-amount, unit=command.asset
            )
        state.transfers[key] = (command.asset, str(amount))
        self._ledger.transfer(balance, amount)
        self._recorder.system(
            FundsTransferred(state.sequence, account.account_id, command.asset, str(amount), command.transfer_id)
        )
        return self._done()

    def set_limits(self, command: SetLimits) -> Outcome:
        """Set the exchange's limits."""
        state = self._state
        for name, value in command.changes.items():
            if name != "open_orders" or (value is not None and value < 0):
                return self._refused(RejectReason.INVALID_REQUEST, name)
        if command.tier is not None:
            return self._refused(RejectReason.INVALID_REQUEST, "tier")
        state.open_orders_max = command.changes.get("open_orders", state.open_orders_max)
        limits = {} if state.open_orders_max is None else {"open_orders": state.open_orders_max}
        self._recorder.system(LimitsSet(state.sequence, limits))
        return self._done()

    def start_epoch(self, command: StartEpoch) -> Outcome:
        """Begin a new identity of the published sequences; books count on from 0."""
        state = self._state
        if command.epoch <= state.epoch:
            return self._refused(
                RejectReason.INVALID_REQUEST, "epoch", limit=state.epoch, actual=command.epoch, unit="count"
            )
        state.epoch = command.epoch
        for book in state.books.values():
            book.seq = 0
        self._recorder.system(EpochStarted(state.sequence, state.epoch))
        return self._done()

    def _done(self, *, duplicate: bool = False, account_id: int | None = None) -> Outcome:
        state = self._state
        return Outcome(state.sequence, state.timestamp_ns, duplicate=duplicate, account_id=account_id)

    def _refused(
        self,
        reason: RejectReason,
        field: str | None,
        *,
        limit: int | None = None,
        actual: int | None = None,
        unit: str | None = None,
    ) -> Outcome:
        state = self._state
        rejection = refuse(reason, field=field, limit=limit, actual=actual, unit=unit)
        return Outcome(state.sequence, state.timestamp_ns, rejection)
