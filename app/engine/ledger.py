"""Balances, holds and fees: every unit of every asset is somewhere, always.

A hold is what an open order could still cost: for a buy the remaining notional at its price and
the highest fee its fills could bring, for a sell the remaining base units. Fees are cumulative per
order, rounded up once over the whole order, so that many small fills never cost more than one.
"""

from operator import attrgetter

from app.domain.events import BalanceChanged, PositionChanged
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import RATE_SCALE
from app.engine.links import link_of, peer_of
from app.engine.recorder import Recorder
from app.engine.state import Balance, Order, State

_rank = attrgetter("rank")

AMOUNT_MAX = 10**30
"""Largest balance, in units of an asset."""


class Ledger:
    """The only writer of balances."""

    __slots__ = ("_fee_account", "_recorder", "_state", "_touched", "_touched_house")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder
        self._fee_account = state.accounts[FEE_ACCOUNT_ID]
        self._touched: list[Balance] = []
        """Balances that the batch changed and did not state yet."""
        self._touched_house: list[Balance] = []

    def required_hold(self, order: Order) -> int:
        """Return what the order must hold as it stands, in quote units for a buy, base units for a sell."""
        book = order.book
        if not order.is_buy:
            return order.remaining * book.lot_units
        if order.extras is not None and order.terms.quote_quantity is not None:
            return order.terms.quote_quantity - order.state.notional - order.state.fees
        notional = order.remaining * order.price * book.notional_unit
        # Rounds up over the whole order, as the fee itself does; never below what was charged.
        return notional - (-(order.fee_accrued + notional * order.rates.highest) // RATE_SCALE) - order.state.fees

    def open(self, order: Order, balance: Balance, required: int) -> None:
        """Take the hold of a new order from its balance, which was found to have it."""
        balance.available -= required
        balance.held += required
        order.held = required
        if not balance.touched:
            balance.touched = True
            self._touched.append(balance)

    def hold(self, order: Order) -> int:
        """Bring the order's hold to what it requires; returns 0, or what is missing if available is too small."""
        if order.extras is not None and order.extras.link is not None:
            return self._hold_shares(order)
        required = self.required_hold(order)
        change = required - order.held
        balance = order.balance
        if change > balance.available:
            return change - balance.available
        balance.available -= change
        balance.held += change
        order.held = required
        if not balance.touched:
            self._touch(balance)
        return 0

    def shares(self, order: Order) -> list[tuple[Order, int]]:
        """Return what an open order must hold, beside what the order must that it is paired with.

        Only one of a pair trades, so the one that needs more holds for both, the first one if they need the same.
        """
        peer = peer_of(order)
        if peer is None:
            return [(order, self._needed(order))]
        first, second = (order, peer) if order.order_id < peer.order_id else (peer, order)
        ours, theirs = self._needed(first), self._needed(second)
        return [(first, ours), (second, 0)] if ours >= theirs else [(first, 0), (second, theirs)]

    def _needed(self, order: Order) -> int:
        """Return what an order must hold if it stands for itself: a pending child nothing."""
        link = link_of(order)
        return 0 if link is not None and link.is_pending else self.required_hold(order)

    def _hold_shares(self, order: Order) -> int:
        """As hold, for an order of a list."""
        shares = self.shares(order)
        change = sum(required - each.held for each, required in shares)
        balance = order.balance
        if change > balance.available:
            return change - balance.available
        balance.available -= change
        balance.held += change
        for each, required in shares:
            each.held = required
        if not balance.touched:
            self._touch(balance)
        return 0

    def release(self, order: Order) -> None:
        """Give back all that an ended order holds."""
        if order.held:
            balance = order.position.quote if order.is_buy else order.position.base
            balance.held -= order.held
            balance.available += order.held
            order.held = 0
            if not balance.touched:
                balance.touched = True
                self._touched.append(balance)

    def settle(self, order: Order, notional: int, quantity: int, fee: int) -> None:
        """Move money and assets for one side of a trade, or of several.

        The order's remaining quantity, its fee and its state are already those after the trade. The
        fee account takes the fee, or pays the rebate.
        """
        book, position = order.book, order.position
        quote, base = position.quote, position.base
        units = quantity * book.lot_units
        if order.is_buy:
            required = 0
            if order.remaining:
                left = order.remaining * order.price * book.notional_unit
                # As in required_hold.
                required = left - (-(order.fee_accrued + left * order.rates.highest) // RATE_SCALE) - order.state.fees
            elif order.extras is not None:
                # One that spends money has no lots left, and goes on.
                required = self._left_to_spend(order)
            released = order.held - required
            order.held = required
            quote.held -= released
            quote.available += released - notional - fee
            base.available += units
        else:
            order.held -= units
            base.held -= units
            quote.available += notional - fee
            assert order.held >= 0, f"order {order.order_id} sold more than it held: {order.held} left"
        assert quote.available >= 0, f"negative available {book.quote} of account {order.account.account_id}"
        if not quote.touched:
            self._touch(quote)
        if not base.touched:
            self._touch(base)
        if fee:
            collected = self._fee_account.balance(book.quote)
            collected.available += fee
            if not collected.touched:
                collected.touched = True
                self._touched_house.append(collected)

    def transfer(self, balance: Balance, amount: int) -> None:
        """Move an amount (negative: out of available) between outside and an account."""
        external = self._state.accounts[EXTERNAL_ACCOUNT_ID].balance(balance.asset)
        external.available -= amount
        balance.available += amount
        if not balance.touched:
            self._touch(balance)
        if not external.touched:
            external.touched = True
            self._touched_house.append(external)

    def move(self, source: Balance, target: Balance, amount: int) -> None:
        """Move an available amount between two accounts."""
        for balance, change in ((source, -amount), (target, amount)):
            balance.available += change
            if not balance.touched:
                self._touch(balance)

    def close_batch(self) -> None:
        """State each balance, then each position that the batch changed, once; the house's balances come last.

        One statement per batch, not per command: an account that sends many commands, or trades with
        many, changes the same balances again and again, and readers see a batch at once anyway.
        """
        self._state_balances(self._touched)
        self._state_positions()
        self._state_balances(self._touched_house)

    def _state_balances(self, touched: list[Balance]) -> None:
        """State balances by account and asset."""
        sequence, accounts = self._state.sequence, self._recorder.accounts
        touched.sort(key=_rank)
        for balance in touched:
            balance.touched = False
            available, held = balance.available, balance.held
            if available != balance.shown_available or held != balance.shown_held:
                balance.shown_available, balance.shown_held = available, held
                account = balance.account
                account.seq += 1
                if not account.pending:
                    accounts[account.account_id] = account
                account.pending.append(
                    BalanceChanged(account.seq, sequence, account.account_id, balance.asset, f"{available}", f"{held}")
                )
        touched.clear()

    def _state_positions(self) -> None:
        """State positions by account and symbol."""
        sequence, traded = self._state.sequence, self._recorder.traded
        traded.sort(key=_rank)
        for position in traded:
            position.touched = False
            figures = net, cost, realized, fees = position.net, position.cost, position.realized, position.fees
            if figures != position.stated:
                position.stated = figures
                account, symbol = position.account, position.book.symbol
                account.seq += 1
                texts = str(net), str(cost), str(realized), str(fees)
                # Its fills are in the batch too, so the account is known to have events.
                account.pending.append(PositionChanged(account.seq, sequence, account.account_id, symbol, *texts))
        traded.clear()

    def _left_to_spend(self, order: Order) -> int:
        """Return what a market buy by quote_quantity still holds; 0 for any other order, which has nothing left."""
        return 0 if order.terms.quote_quantity is None else self.required_hold(order)

    def _touch(self, balance: Balance) -> None:
        balance.touched = True
        self._touched.append(balance)


def trade_rates(maker: Order, taker: Order) -> tuple[int, int]:
    """Return the rates that a trade charges: the captured or the current one, whichever is lower.

    The maker's rebate never exceeds what the taker of the same trade pays: one that was captured
    before a fee cut would drain the fee account.
    """
    current = taker.book.rates
    captured, taking = maker.rates, taker.rates
    if captured is current and taking is current:
        # The instrument's own rates were checked against each other when they were set.
        return current.maker, current.taker
    # Spelled out: min and max cost more than the rest of this, and with fee tiers most trades come here.
    taker_rate = taking.taker if taking.taker < current.taker else current.taker
    maker_rate = captured.maker if captured.maker < current.maker else current.maker
    return (maker_rate if maker_rate > -taker_rate else -taker_rate), taker_rate
