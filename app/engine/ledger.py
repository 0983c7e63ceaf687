"""Balances, holds and fees: every unit of every asset is somewhere, always.

A hold is what an open order could still cost: for a buy the remaining notional at its price and
the highest fee its fills could bring, for a sell the remaining base units. Fees are cumulative per
order, rounded up once over the whole order, so that many small fills never cost more than one.
"""

from app.domain.events import BalanceChanged
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import RATE_SCALE
from app.engine.recorder import Recorder
from app.engine.state import Balance, Order, State

AMOUNT_MAX = 10**30
"""Largest balance, in units of an asset."""


class Ledger:
    """The only writer of balances."""

    __slots__ = ("_fee_account", "_recorder", "_state", "_touched", "_touched_fees")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder
        self._fee_account = state.accounts[FEE_ACCOUNT_ID]
        self._touched: list[Balance] = []
        self._touched_fees: list[Balance] = []

    def required_hold(self, order: Order) -> int:
        """Return what the order must hold as it stands, in quote units for a buy, base units for a sell."""
        instrument = order.book.instrument
        if not order.is_buy:
            return order.remaining * instrument.lot_units
        if order.extras is not None and order.terms.quote_quantity is not None:
            return order.terms.quote_quantity - order.notional - order.fees
        notional = order.remaining * order.price * instrument.notional_unit
        maker_rate, taker_rate = order.maker_rate, order.taker_rate
        # Spelled out: the built-in max of three costs more than the rest of this sum.
        rate = taker_rate if taker_rate > maker_rate else maker_rate
        if rate < 0:
            rate = 0
        # Rounds up over the whole order, as the fee itself does; never below what was charged.
        return notional - (-(order.fee_accrued + notional * rate) // RATE_SCALE) - order.fees

    def hold_balance(self, order: Order) -> Balance:
        """Return the balance that an order holds from."""
        instrument = order.book.instrument
        return order.account.balance(instrument.quote if order.is_buy else instrument.base)

    def hold(self, order: Order) -> int:
        """Bring the order's hold to what it requires; returns 0, or what is missing if available is too small."""
        required = self.required_hold(order)
        change = required - order.held
        balance = self.hold_balance(order)
        if change > balance.available:
            return change - balance.available
        balance.available -= change
        balance.held += change
        order.held = required
        if not balance.touched:
            self._touch(balance)
        return 0

    def release(self, order: Order) -> None:
        """Give back all that an ended order holds."""
        if order.held:
            balance = self.hold_balance(order)
            balance.held -= order.held
            balance.available += order.held
            order.held = 0
            if not balance.touched:
                self._touch(balance)

    def settle(self, order: Order, notional: int, quantity: int, rate: int) -> int:
        """Move money and assets for one side of a trade; returns the fee in quote units.

        The order's remaining quantity was already lowered. The fee account takes the fee, or pays the rebate.
        """
        instrument = order.book.instrument
        order.fee_accrued += notional * rate
        fees = -(-order.fee_accrued // RATE_SCALE)
        fee = fees - order.fees
        order.fees = fees
        order.notional += notional
        quote = order.account.balance(instrument.quote)
        base = order.account.balance(instrument.base)
        units = quantity * instrument.lot_units
        required = self.required_hold(order)
        released = order.held - required
        order.held = required
        if order.is_buy:
            quote.held -= released
            quote.available += released - notional - fee
            base.available += units
        else:
            base.held -= released
            assert released == units, f"expected the hold to shrink by {units}, was {released}"
            quote.available += notional - fee
        assert quote.available >= 0, f"negative available {instrument.quote} of account {order.account.account_id}"
        if not quote.touched:
            self._touch(quote)
        if not base.touched:
            self._touch(base)
        if fee:
            collected = self._fee_account.balance(instrument.quote)
            collected.available += fee
            if not collected.touched:
                collected.touched = True
                self._touched_fees.append(collected)
        return fee

    def transfer(self, balance: Balance, amount: int) -> None:
        """Move an amount (negative: out of available) between outside and an account."""
        external = self._state.accounts[EXTERNAL_ACCOUNT_ID].balance(balance.asset)
        external.available -= amount
        balance.available += amount
        if not balance.touched:
            self._touch(balance)
        if not external.touched:
            external.touched = True
            self._touched_fees.append(external)

    def close_command(self) -> None:
        """State each balance that the command changed, once, in the order they were touched."""
        for balance in self._touched:
            self._show(balance)
        self._touched.clear()

    def close_batch(self) -> None:
        """State the house's own balances, once per batch: every trade changes them."""
        for balance in self._touched_fees:
            self._show(balance)
        self._touched_fees.clear()

    def _touch(self, balance: Balance) -> None:
        balance.touched = True
        self._touched.append(balance)

    def _show(self, balance: Balance) -> None:
        balance.touched = False
        available, held = balance.available, balance.held
        if available == balance.shown_available and held == balance.shown_held:
            return
        balance.shown_available = available
        balance.shown_held = held
        account = balance.account
        account.seq += 1
        sequence = self._state.sequence
        self._recorder.private(
            account,
            BalanceChanged(account.seq, sequence, account.account_id, balance.asset, str(available), str(held)),
        )


def trade_rates(maker: Order, taker: Order) -> tuple[int, int]:
    """Return the rates that a trade charges: the captured or the current one, whichever is lower.

    The maker's rebate never exceeds what the taker of the same trade pays: one that was captured
    before a fee cut would drain the fee account.
    """
    instrument = taker.book.instrument
    taker_rate = min(taker.taker_rate, instrument.taker_fee)
    return max(min(maker.maker_rate, instrument.maker_fee), -taker_rate), taker_rate
