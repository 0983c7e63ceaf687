"""Deposits, withdrawals and transfers: money from outside, to outside, and from one account to another.

Each is idempotent by the account that it belongs to and its transfer_id, so that an unknown outcome is
resolved by repeating it.
"""

from app.domain.commands import Deposit, Transfer, Withdraw
from app.domain.enums import RejectReason
from app.domain.events import FundsTransferred
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.outcomes import Outcome
from app.engine.ledger import AMOUNT_MAX, Ledger
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, Balance, State, TransferDone


class Transfers:
    """Executes Deposit, Withdraw and Transfer."""

    __slots__ = ("_ledger", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, recorder: Recorder) -> None:
        self._state = state
        self._ledger = ledger
        self._recorder = recorder

    def deposit(self, command: Deposit) -> Outcome:
        """Credit an account from outside."""
        return self._external(command, 1)

    def withdraw(self, command: Withdraw) -> Outcome:
        """Debit an account's available balance to outside."""
        return self._external(command, -1)

    def _external(self, command: Deposit | Withdraw, sign: int) -> Outcome:
        state, asset = self._state, command.asset
        account = self._client(command.account_id)
        if account is None:
            return self._refused(RejectReason.NOT_FOUND)
        if asset not in state.assets:
            return self._refused(RejectReason.INVALID_REQUEST, "asset")
        size = int(command.amount)
        amount = size * sign
        done = TransferDone(asset, str(amount))
        known = state.transfers.get((account.account_id, command.transfer_id))
        if known is not None:
            return self._repeated(known, done)
        balance = account.balance(asset)
        if not 0 < size <= AMOUNT_MAX or balance.available + balance.held + amount > AMOUNT_MAX:
            return self._out_of_range(asset, size)
        if balance.available + amount < 0:
            return self._insufficient(balance, size)
        state.transfers[account.account_id, command.transfer_id] = done
        self._ledger.transfer(balance, amount)
        event = FundsTransferred(state.sequence, account.account_id, asset, str(amount), command.transfer_id)
        self._recorder.system(event)
        return Outcome(state.sequence, state.timestamp_ns)

    def between(self, command: Transfer) -> Outcome:
        """Move an amount from one client's available balance to another's."""
        state, asset = self._state, command.asset
        sender, receiver = self._client(command.account_id), self._client(command.to_account_id)
        if sender is None or receiver is None:
            return self._refused(RejectReason.NOT_FOUND)
        if sender is receiver:
            return self._refused(RejectReason.INVALID_REQUEST, "to_account_id")
        if asset not in state.assets:
            return self._refused(RejectReason.INVALID_REQUEST, "asset")
        amount = int(command.amount)
        done = TransferDone(asset, str(-amount), receiver.account_id)
        known = state.transfers.get((sender.account_id, command.transfer_id))
        if known is not None:
            return self._repeated(known, done)
        source, target = sender.balance(asset), receiver.balance(asset)
        if not 0 < amount <= AMOUNT_MAX or target.available + target.held + amount > AMOUNT_MAX:
            return self._out_of_range(asset, amount)
        if amount > source.available:
            return self._insufficient(source, amount)
        state.transfers[sender.account_id, command.transfer_id] = done
        self._ledger.move(source, target, amount)
        for account, signed, other in ((sender, -amount, receiver), (receiver, amount, sender)):
            self._recorder.system(
                FundsTransferred(
                    state.sequence, account.account_id, asset, str(signed), command.transfer_id, other.account_id
                )
            )
        return Outcome(state.sequence, state.timestamp_ns)

    def _client(self, account_id: int) -> Account | None:
        return self._state.accounts.get(account_id) if account_id >= FIRST_ACCOUNT_ID else None

    def _repeated(self, known: TransferDone, done: TransferDone) -> Outcome:
        if known != done:
            return self._refused(RejectReason.TRANSFER_ID_REUSED, "transfer_id")
        return Outcome(self._state.sequence, self._state.timestamp_ns, duplicate=True)

    def _out_of_range(self, asset: str, amount: int) -> Outcome:
        reason = RejectReason.AMOUNT_OUT_OF_RANGE
        return self._refused(reason, "amount", limit=AMOUNT_MAX, actual=amount, unit=asset)

    def _insufficient(self, balance: Balance, amount: int) -> Outcome:
        reason = RejectReason.INSUFFICIENT_BALANCE
        return self._refused(reason, "amount", limit=balance.available, actual=amount, unit=balance.asset)

    def _refused(
        self,
        reason: RejectReason,
        field: str | None = None,
        *,
        limit: int | None = None,
        actual: int | None = None,
        unit: str | None = None,
    ) -> Outcome:
        rejection = refuse(reason, field=field, limit=limit, actual=actual, unit=unit)
        return Outcome(self._state.sequence, self._state.timestamp_ns, rejection)
