"""Double entry: what each fill and each transfer moves, as signed amounts that sum to zero per asset and command.

A fill moves base and quote of its own account (the other side of its trade does the opposite) and its fee
to the fee account; a transfer moves between two accounts, or an account and the external one. Pure.
"""

from typing import NamedTuple

from app.domain.enums import Side
from app.domain.events import FundsTransferred, OrderFilled, OrderPartiallyFilled
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import Instrument

TRADE, FEE, DEPOSIT, WITHDRAWAL, TRANSFER = "trade", "fee", "deposit", "withdrawal", "transfer"


class Entry(NamedTuple):
    """One movement of one asset on one account, in units of the asset."""

    account_id: int
    asset: str
    amount: int
    cause: str
    ref: str
    """`SYMBOL:trade_id` of a trade and its fee, the transfer_id of anything else."""
    engine_seq: int
    timestamp_ns: int


def fill_entries(event: OrderPartiallyFilled | OrderFilled, instrument: Instrument, at_ns: int) -> list[Entry]:
    """Return what one side of a trade moved."""
    fill, order = event.fill, event.order
    terms, sequence = order.terms, order.engine_seq
    account_id, ref = terms.account_id, f"{terms.symbol}:{fill.trade_id}"
    units = fill.quantity * instrument.lot_units
    notional = fill.price * fill.quantity * instrument.notional_unit
    if terms.side is Side.SELL:
        units, notional = -units, -notional
    entries = [
        Entry(account_id, instrument.base, units, TRADE, ref, sequence, at_ns),
        Entry(account_id, instrument.quote, -notional, TRADE, ref, sequence, at_ns),
    ]
    if fill.fee:
        entries.append(Entry(account_id, instrument.quote, -fill.fee, FEE, ref, sequence, at_ns))
        entries.append(Entry(FEE_ACCOUNT_ID, instrument.quote, fill.fee, FEE, ref, sequence, at_ns))
    return entries


def transfer_entries(event: FundsTransferred, at_ns: int) -> list[Entry]:
    """Return what a transfer moved; of one between accounts each has an event, and its own side, only."""
    amount, sequence = int(event.amount), event.engine_seq
    if event.counterparty_id is not None:
        return [Entry(event.account_id, event.asset, amount, TRANSFER, event.transfer_id, sequence, at_ns)]
    cause = DEPOSIT if amount > 0 else WITHDRAWAL
    return [
        Entry(event.account_id, event.asset, amount, cause, event.transfer_id, sequence, at_ns),
        Entry(EXTERNAL_ACCOUNT_ID, event.asset, -amount, cause, event.transfer_id, sequence, at_ns),
    ]
